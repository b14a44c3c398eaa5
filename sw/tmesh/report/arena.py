"""`tmesh arena`: one swarm against every kind of Byzantine agent, in rounds and in messages."""

import contextlib
import dataclasses
import hashlib
import inspect
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from tmesh.adversaries import adversary, names
from tmesh.campaigns import Campaign, Store
from tmesh.config import core_config
from tmesh.devices import Device, open_device
from tmesh.errors import InvalidInput
from tmesh.states import bloch
from tmesh.swarm import Scenario, Sweep, run, sweep
from tmesh.swarm.rounds import most_honest

#: Resident states of the device: of all agents of all seeds at once.
ROOM = 1 << 18


@dataclasses.dataclass(frozen=True)
class Ending:
    """The end of one run; see `Row`."""

    rounds: float | None
    split: bool
    wrong: bool
    followed: bool
    epochs: int
    delays: float | None = None
    frames: int | None = None
    bytes: int | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """All runs with one kind and number of Byzantine agents.

    An agent is done when it holds a final certificate, in protocol `gossip` when its opinion has
    collapsed. Shares of runs:

    - decided: 95 % of the honest agents were done within the scenario's rounds.
    - split: two honest agents had different outcomes.
    - wrong: some honest agent had an outcome that most honest agents did not prefer at first.
    - followed: most honest agents had the outcome that they preferred.

    rounds, delays: until 95 % of the honest agents were done, over the runs that decided; None if
    no run did. channel: the channel of the messages, None for the round model. That model has no
    delays, frames or bytes; elsewhere they are medians of all runs. epochs: the last one of any
    run.
    """

    protocol: str
    coin: str
    channel: str | None
    agents: int
    k: int
    kappa: int
    majority: float
    adversary: str
    faulty: int
    seeds: int
    decided: float
    split: float
    wrong: float
    followed: float
    rounds_p50: float | None
    rounds_p95: float | None
    delays_p50: float | None = None
    frames: float | None = None
    bytes: float | None = None
    epochs: int = 1


def scenarios(
    fields: Mapping[str, Any],
    kappas: Sequence[int],
    majorities: Sequence[float],
    faulty: Sequence[int],
    adversaries: Sequence[str],
) -> list[Scenario]:
    """All combinations; those without Byzantine agents once. Raises `InvalidInput` for bad ones."""
    varied = ("kappa", "majority", "faulty", "adversary")
    made = [
        Scenario(**{**fields, **dict(zip(varied, (*one, kind), strict=True))})
        for one in itertools.product(kappas, majorities, faulty)
        for kind in (adversaries if one[2] else names()[:1])
    ]
    return list(dict.fromkeys(made))


class Arena:
    """All scenarios in the round model, all seeds at once, and message by message over channels.

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
        agents, k = scenarios[0].agents, scenarios[0].k
        if seeds * agents + k > ROOM:
            raise InvalidInput(f"seeds: {seeds} swarms of {agents} agents are more than {ROOM}")
        self._seeds, self._rows = seeds, list[tuple[Scenario, str | None, dict[str, Any]]]()
        for scenario in scenarios:
            self._rows.append((scenario, None, {**_cell(scenario), "seeds": seeds}))
            for channel in dict.fromkeys(channels):
                over = Scenario(**{**dict(scenario), "channel": channel})
                self._rows.append((scenario, channel, _cell(over)))
        sweeps = [cell for _, channel, cell in self._rows if channel is None]
        runs = [cell for _, channel, cell in self._rows if channel is not None]
        self._rounds = Campaign(_sweep, sweeps, [seed], store)
        self._messages = Campaign(_run, runs, range(seed, seed + seeds), store)

    @property
    def missing(self) -> int:
        """Runs without a result, a sweep counting as one."""
        return len(self._rounds.missing) + len(self._messages.missing)

    def measure(self, done: Callable[[object], object]) -> None:
        """Measure the missing runs; `done` is called after each."""
        self._rounds.measure(done)
        self._messages.measure(done)

    def rows(self) -> list[Row]:
        """A row of each scenario and channel of which all runs are measured."""
        rows: list[Row] = []
        for scenario, channel, cell in self._rows:
            if channel is None:
                ends = [one for all_seeds in self._rounds.results(cell) for one in all_seeds]
            else:
                ends = self._messages.results(cell)
            if len(ends) == self._seeds:
                rows.append(_row(scenario, channel, [Ending(**one) for one in ends]))
        return rows


def _cell(scenario: Scenario) -> dict[str, Any]:
    """A cell of a campaign, which depends on the code of the user's own adversary, too."""
    source = Path(inspect.getfile(type(adversary(scenario.adversary)))).read_bytes()
    text = scenario.model_dump_json()
    return {"scenario": json.loads(text), "adversary": hashlib.sha256(source).hexdigest()[:16]}


def _scenario(cell: Mapping[str, Any]) -> Scenario:
    return Scenario.model_validate_json(json.dumps(cell["scenario"]))


@contextlib.contextmanager
def _device(states: int, k: int) -> Iterator[Device]:
    """A device with room for all states, and for the neighbours' states of a part of the agents."""
    room = min(ROOM, max(2 * states, states + 1000 * k))
    config = dataclasses.replace(core_config("sim-gossip"), agents=room)
    with open_device("reference", config) as device:
        yield device


def _sweep(cell: Mapping[str, Any], seed: int) -> list[dict[str, Any]]:
    """The endings of all seeds in the round model."""
    scenario, seeds = _scenario(cell), cell["seeds"]
    with _device(seeds * scenario.agents, scenario.k) as device:
        return [dataclasses.asdict(one) for one in _endings(sweep(scenario, device, seeds, seed))]


def _run(cell: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The ending of one run, message by message."""
    scenario = _scenario(cell)
    with _device(scenario.agents, scenario.k) as device:
        end = run(scenario, device, seed)
    done = end.outcomes[0] >= 0
    # An agent that is done begins no more rounds, so its counts are of that moment.
    rounds, delays = (np.where(done, one, np.nan)[None] for one in (end.round_counts, end.delays))
    states, preferred = bloch(end.states[0])[None], np.array([end.preferred[0]])
    lying, epochs = end.lying[None], np.array([end.epochs])
    (ending,) = _endings(Sweep.of(rounds, end.outcomes[:1], preferred, states, lying, epochs))
    late = float(most_honest(delays, lying)[0])
    return dataclasses.asdict(
        dataclasses.replace(
            ending,
            delays=None if ending.rounds is None else late,
            frames=int(end.frames),
            bytes=int(sum(end.bytes.values())),
        )
    )


def _endings(runs: Sweep) -> list[Ending]:
    return [
        Ending(
            rounds=float(runs.rounds[i]) if runs.decided[i] else None,
            split=bool(runs.split[i]),
            wrong=bool(runs.wrong[i]),
            followed=bool(runs.outcomes[i] == runs.preferred[i]),
            epochs=int(runs.epochs[i]),
        )
        for i in range(len(runs.rounds))
    ]


def _row(scenario: Scenario, channel: str | None, ends: Sequence[Ending]) -> Row:
    rounds = [one.rounds for one in ends if one.rounds is not None]
    delays = [one.delays for one in ends if one.delays is not None]
    return Row(
        protocol="finality" if scenario.finality else "gossip",
        coin=scenario.coin,
        channel=channel,
        agents=scenario.agents,
        k=scenario.k,
        kappa=scenario.kappa,
        majority=scenario.majority,
        adversary=scenario.adversary if scenario.faulty else "none",
        faulty=scenario.faulty,
        seeds=len(ends),
        decided=len(rounds) / len(ends),
        split=float(np.mean([one.split for one in ends])),
        wrong=float(np.mean([one.wrong for one in ends])),
        followed=float(np.mean([one.followed for one in ends])),
        rounds_p50=_quantile(rounds, 0.5),
        rounds_p95=_quantile(rounds, 0.95),
        delays_p50=_quantile(delays, 0.5),
        frames=_quantile([one.frames for one in ends if one.frames is not None], 0.5),
        bytes=_quantile([one.bytes for one in ends if one.bytes is not None], 0.5),
        epochs=max(one.epochs for one in ends),
    )


def _quantile(values: Sequence[float], q: float) -> float | None:
    return float(np.quantile(values, q)) if values else None


def table(measured: Sequence[Row]) -> Table:
    """One line a row; rounds are p50/p95."""
    messages = any(row.channel for row in measured)
    titles = ["κ", "start", "liars", "decided", "split", "wrong", "followed", "rounds", "epochs"]
    shown = Table(box=None, padding=(0, 1, 0, 0))
    for title in titles + ["channel", "delays"] * messages:
        shown.add_column(title, justify="left" if title in ("liars", "channel") else "right")
    for row in measured:
        shares = (row.decided, row.split, row.wrong, row.followed)
        cells = [str(row.kappa), f"{row.majority:.0%}", f"{row.faulty} {row.adversary}"]
        cells += [f"{share:.0%}" for share in shares]
        cells.append("" if row.rounds_p50 is None else f"{row.rounds_p50:.3g}/{row.rounds_p95:.3g}")
        cells.append(str(row.epochs))
        if row.channel:
            cells += [row.channel, "" if row.delays_p50 is None else f"{row.delays_p50:g}"]
        shown.add_row(*cells)
    return shown
