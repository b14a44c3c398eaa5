"""`tmesh arena`: one swarm against every kind of Byzantine agent, in rounds and in messages."""

import dataclasses
import hashlib
import inspect
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from tmesh.adversaries import kind
from tmesh.campaigns import Campaign, Store
from tmesh.devices import open_device
from tmesh.swarm import Scenario, run
from tmesh.swarm.course import decide

#: Rounds of the round model at most.
ROUNDS = 100


@dataclasses.dataclass(frozen=True)
class Row:
    """All runs with one kind and number of Byzantine agents.

    Shares of runs:

    - decided: every honest agent got a certificate. In the round model enough agents settled for
      one, within 100 rounds.
    - split: honest agents had two outcomes.
    - wrong: an honest agent had an outcome that most honest agents did not prefer.
    - followed: most honest agents had the outcome that they preferred.
    - stated: the stated evidence won. Only runs count whose evidence has a mean of at least a tenth
      of the cap; None if there are none.

    Medians: rounds are an agent's statements over all generations, in the runs that decided. The
    round model has no delays, frames, bytes or seconds, and its channel is None. `bytes` are of
    the whole swarm. excluded: the most honest agents with a proof against them.
    """

    protocol: str
    channel: str | None
    agents: int
    majority: float
    adversary: str
    faulty: int
    seeds: int
    decided: float
    split: float
    wrong: float
    followed: float
    stated: float | None
    rounds_p50: float | None
    rounds_p95: float | None
    generations: float
    excluded: int
    delays_p50: float | None = None
    frames: float | None = None
    bytes: float | None = None
    seconds: float | None = None


def scenarios(
    base: Scenario,
    majorities: Sequence[float],
    faulty: Sequence[int],
    adversaries: Sequence[str],
) -> list[Scenario]:
    """The scenario with each share, number and kind; without Byzantine agents once."""
    made = list[Scenario]()
    for majority, count in itertools.product(majorities, faulty):
        for name in adversaries if count else [""]:
            varied = {"majority": majority, "byzantine": {name: count} if count else {}}
            made.append(base.varied(**varied))
    return list({one.model_dump_json(): one for one in made}.values())


class Arena:
    """Scenarios in the round model, and message by message over channels, for some seeds.

    Runs with a result in `store` are not measured again.
    """

    def __init__(
        self,
        scenarios: Sequence[Scenario],
        channels: Sequence[str],
        seeds: int,
        seed: int,
        store: Store | None = None,
    ) -> None:
        self._seeds, self._rows = seeds, list[tuple[Scenario, str | None, dict[str, Any]]]()
        for scenario in scenarios:
            self._rows.append((scenario, None, _cell(scenario)))
            for channel in dict.fromkeys(channels):
                self._rows.append((scenario, channel, _cell(scenario.varied(channel=channel))))
        sweeps = [cell for _, channel, cell in self._rows if channel is None]
        runs = [cell for _, channel, cell in self._rows if channel is not None]
        self._rounds = Campaign(_decide, sweeps, range(seed, seed + seeds), store)
        self._messages = Campaign(_run, runs, range(seed, seed + seeds), store)

    @property
    def missing(self) -> int:
        """Runs without a result."""
        return len(self._rounds.missing) + len(self._messages.missing)

    def measure(self, done: Callable[[object], object]) -> None:
        """Measure the missing runs; `done` is called after each."""
        self._rounds.measure(done)
        self._messages.measure(done)

    def rows(self) -> list[Row]:
        """A row of each scenario and channel of which all runs are measured."""
        rows = list[Row]()
        for scenario, channel, cell in self._rows:
            ends = (self._rounds if channel is None else self._messages).results(cell)
            if len(ends) == self._seeds:
                rows.append(_row(scenario, channel, ends))
        return rows


def _cell(scenario: Scenario) -> dict[str, Any]:
    """A cell of a campaign, which depends on the code of the user's own kinds, too."""
    sources = [Path(inspect.getfile(kind(name))).read_bytes() for name in scenario.byzantine]
    digest = hashlib.sha256(b"".join(sources)).hexdigest()[:16]
    return {"scenario": json.loads(scenario.model_dump_json()), "byzantine": digest}


def _scenario(cell: Mapping[str, Any]) -> Scenario:
    return Scenario.model_validate_json(json.dumps(cell["scenario"]))


def _decide(cell: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """One run in the round model."""
    end = decide(_scenario(cell), seed, ROUNDS)
    return {
        "decided": end.decided and end.settled == 1,
        "split": end.split,
        "wrong": end.outcome not in (-1, end.preferred),
        "followed": end.outcome == end.preferred,
        "stated": end.outcome == end.stated if end.margin >= 0.1 else None,
        "rounds": end.rounds,
        "generations": end.generations,
        "excluded": 0,
    }


def _run(cell: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """One run, message by message."""
    scenario = _scenario(cell)
    with open_device("model", scenario.config) as device:
        end = run(scenario, device, seed)
    outcomes = end.outcomes[0, ~end.byzantine & end.members[0]]
    found = set(outcomes[outcomes >= 0].tolist())
    return {
        "decided": end.decided == 1,
        "split": len(found) > 1,
        "wrong": bool(found - {int(end.preferred[0])}),
        "followed": bool(end.outcome == end.preferred[0]),
        "stated": bool(end.outcome == end.stated[0]) if end.margin >= 0.1 else None,
        "rounds": end.rounds,
        "generations": end.generations,
        "excluded": len(end.wrongly_excluded),
        "delays": end.delays,
        "frames": end.frames,
        "bytes": sum(end.bytes.values()),
        "seconds": end.seconds,
    }


def _row(scenario: Scenario, channel: str | None, ends: Sequence[Mapping[str, Any]]) -> Row:
    rounds = [one["rounds"] for one in ends if one["decided"]]
    stated = [one["stated"] for one in ends if one["stated"] is not None]
    names = list(scenario.byzantine)
    return Row(
        protocol="t-mesh",
        channel=channel,
        agents=scenario.agents,
        majority=scenario.majority,
        adversary=names[0] if names else "none",
        faulty=scenario.faulty,
        seeds=len(ends),
        decided=len(rounds) / len(ends),
        split=float(np.mean([one["split"] for one in ends])),
        wrong=float(np.mean([one["wrong"] for one in ends])),
        followed=float(np.mean([one["followed"] for one in ends])),
        stated=float(np.mean(stated)) if stated else None,
        rounds_p50=_quantile(rounds, 0.5),
        rounds_p95=_quantile(rounds, 0.95),
        generations=float(np.median([one["generations"] for one in ends])),
        excluded=max(one["excluded"] for one in ends),
        **{
            key: _quantile([one[name] for one in ends if name in one], 0.5)
            for key, name in (
                ("delays_p50", "delays"),
                ("frames", "frames"),
                ("bytes", "bytes"),
                ("seconds", "seconds"),
            )
        },
    )


def _quantile(values: Sequence[float], q: float) -> float | None:
    return float(np.quantile(values, q)) if values else None


def table(measured: Sequence[Row]) -> Table:
    """One line a row."""
    messages = any(row.channel for row in measured)
    titles = ["start", "Byzantine", "decided", "split", "wrong", "followed", "rounds p50", "p95"]
    shown = Table(box=None, padding=(0, 1, 0, 0))
    for title in titles + ["channel", "seconds"] * messages:
        shown.add_column(title, justify="left" if title in ("Byzantine", "channel") else "right")
    for row in measured:
        shares = (row.decided, row.split, row.wrong, row.followed)
        cells = [f"{row.majority:.0%}", f"{row.faulty} {row.adversary}"]
        cells += [f"{share:.0%}" for share in shares]
        cells += ["" if one is None else f"{one:.3g}" for one in (row.rounds_p50, row.rounds_p95)]
        if messages:
            cells += [row.channel or "", "" if row.seconds is None else f"{row.seconds:.2f}"]
        shown.add_row(*cells)
    return shown
