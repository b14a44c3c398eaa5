"""`tmesh arena`: one swarm against every kind of liar, in the round model and in messages."""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter
from rich.table import Table

from tmesh.config import core_config
from tmesh.devices import Device, open_device
from tmesh.errors import FileError, InvalidInput
from tmesh.files import digest_sources
from tmesh.golden.reference import FloatArray
from tmesh.states import bloch
from tmesh.swarm import Scenario, Sweep, run, sweep
from tmesh.swarm.rounds import most_honest


@dataclasses.dataclass(frozen=True)
class Row:
    """All runs with one kind and number of Byzantine agents.

    An agent is done when it holds a final certificate, in protocol `gossip` when its opinion has
    collapsed. Shares of runs: `decided`, 95 % of the honest agents were done within the scenario's
    rounds; `split`, two honest agents had different outcomes; `wrong`, some honest agent had an
    outcome that most honest agents did not prefer at first; `followed`, most honest agents had the
    one that they preferred.

    rounds, delays: until 95 % of the honest agents were done, over the runs that decided; None if
    no run did. channel: the channel of the messages, None for the round model. That model has no
    delays, frames or bytes; elsewhere they are medians of all runs. epochs: the last one of any
    run. cell: a digest of scenario, seeds and code.
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
    cell: str = ""


def read(path: Path) -> list[Row]:
    """Rows of an earlier measurement, none where there is no file yet.

    Raises `InvalidInput` for a file of something else.
    """
    try:
        return TypeAdapter(list[Row]).validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise FileError.of(error, path) from None
    except ValueError:  # pydantic's, too
        raise InvalidInput(f"{path}: no rows of tmesh arena") from None


def scenarios(
    fields: Mapping[str, Any],
    kappas: Sequence[int],
    majorities: Sequence[float],
    faulty: Sequence[int],
    adversaries: Sequence[str],
) -> list[Scenario]:
    """All combinations, those without liars once. Raises ``ValueError`` for bad ones."""
    varied = ("kappa", "majority", "faulty", "adversary")
    return [
        Scenario(**{**fields, **dict(zip(varied, (*one, adversary), strict=True))})
        for one in itertools.product(kappas, majorities, faulty)
        for adversary in (adversaries if one[2] else adversaries[:1])
    ]


def rows(
    scenarios: Sequence[Scenario],
    channels: Sequence[str],
    seeds: int,
    seed: int,
    kept: Sequence[Row] = (),
) -> Iterator[Row]:
    """Every scenario in the round model, and then with its messages over every channel.

    A row that `kept` has from an earlier measurement of the same cell is not measured again.
    """
    known = {row.cell: row for row in kept}
    # One state an agent and seed, and room for what a part of them hears.
    states, k = seeds * scenarios[0].agents, scenarios[0].k
    room = min(1 << 18, max(2 * states, states + 1000 * k))
    config = dataclasses.replace(core_config("sim-gossip"), agents=room)
    if states + k > room:
        raise InvalidInput(
            f"seeds: {seeds} swarms of {scenarios[0].agents} agents are more than {room}"
        )
    with open_device("reference", config) as device:
        for scenario, channel in itertools.product(scenarios, (None, *channels)):
            cell = _cell(scenario, channel, seeds, seed)
            if cell in known:
                yield known[cell]
            elif channel is None:
                row = _row(scenario, None, sweep(scenario, device, seeds, seed))
                yield dataclasses.replace(row, cell=cell)
            else:
                over = Scenario(**{**dict(scenario), "channel": channel})
                row = _messages(over, channel, device, range(seed, seed + seeds))
                yield dataclasses.replace(row, cell=cell)


def _cell(scenario: Scenario, channel: str | None, seeds: int, seed: int) -> str:
    if not scenario.faulty:  # then no adversary has a part in it
        scenario = scenario.model_copy(update={"adversary": "none"})
    what = [scenario.model_dump_json(), channel, seeds, seed]
    digest = hashlib.sha256(json.dumps(what).encode())
    digest_sources(digest, Path(str(files("tmesh"))))
    return digest.hexdigest()[:16]


def _messages(scenario: Scenario, channel: str, device: Device, seeds: Sequence[int]) -> Row:
    """Message by message, one run after another."""
    ends = [run(scenario, device, seed) for seed in seeds]
    lying = np.stack([end.lying for end in ends])
    done = np.stack([end.outcomes[0] >= 0 for end in ends])

    def until_done(counts: Sequence[Any]) -> FloatArray:
        # Who is done begins no more rounds: its counts are those of when it was.
        return np.where(done, np.stack(counts), np.nan)

    runs = Sweep.of(
        until_done([end.round_counts for end in ends]),
        np.stack([end.outcomes[0] for end in ends]),
        np.array([end.preferred[0] for end in ends]),
        np.stack([bloch(end.states[0]) for end in ends]),
        lying,
        np.array([end.epochs for end in ends]),
    )
    delays = most_honest(until_done([end.delays for end in ends]), lying)
    return dataclasses.replace(
        _row(scenario, channel, runs),
        delays_p50=_quantile(delays[runs.decided], 0.5),
        frames=float(np.median([end.frames for end in ends])),
        bytes=float(np.median([sum(end.bytes.values()) for end in ends])),
    )


def _row(scenario: Scenario, channel: str | None, runs: Sweep) -> Row:
    rounds = runs.rounds[runs.decided]
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
        seeds=len(runs.rounds),
        decided=float(np.mean(runs.decided)),
        split=float(np.mean(runs.split)),
        wrong=float(np.mean(runs.wrong)),
        followed=float(np.mean(runs.outcomes == runs.preferred)),
        rounds_p50=_quantile(rounds, 0.5),
        rounds_p95=_quantile(rounds, 0.95),
        epochs=int(runs.epochs.max()),
    )


def _quantile(values: FloatArray, q: float) -> float | None:
    return float(np.quantile(values, q)) if len(values) else None


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
