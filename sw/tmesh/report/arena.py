"""`tmesh arena`: one swarm against every kind of liar, in the round model."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from rich.table import Table

from tmesh.config import core_config
from tmesh.devices import open_device
from tmesh.swarm import Scenario, sweep


@dataclasses.dataclass(frozen=True)
class Row:
    """Of one kind and number of liars: shares of runs in which 95 % of the honest settled within
    the scenario's rounds (`decided`), two honest agents settled on different outcomes (`split`),
    one on another than the most honest agents preferred at first (`wrong`); and in which the most
    followed those (`followed`). Rounds are of the runs that decided, None where none did; the
    round model has no delays, frames and bytes."""

    protocol: str
    adversary: str
    faulty: int
    seeds: int
    decided: float
    split: float
    wrong: float
    followed: float
    rounds_p50: float | None
    rounds_p95: float | None
    delays_p50: None = None
    frames: None = None
    bytes: None = None


def rows(
    scenario: Scenario, faulty: Sequence[int], adversaries: Sequence[str], seeds: int, seed: int
) -> Iterator[Row]:
    """Every adversary with every number of liars; without liars once."""
    # One state an agent and seed, and room for what a part of them hears.
    states = seeds * scenario.agents
    room = min(1 << 18, max(2 * states, states + 1000 * scenario.k))
    config = dataclasses.replace(core_config("sim-gossip"), agents=room)
    if states + scenario.k > room:
        raise ValueError(f"seeds: {seeds} swarms of {scenario.agents} agents are more than {room}")
    with open_device("reference", config) as device:
        for count in faulty:
            for name in adversaries if count else ("none",):
                values = {**dict(scenario), "faulty": count}
                if count:
                    values["adversary"] = name
                ends = sweep(Scenario(**values), device, seeds, seed)
                rounds = ends.rounds[ends.decided]
                some = len(rounds) > 0
                yield Row(
                    protocol=f"gossip, kappa = {scenario.kappa}",
                    adversary=name,
                    faulty=count,
                    seeds=seeds,
                    decided=float(np.mean(ends.decided)),
                    split=float(np.mean(ends.split)),
                    wrong=float(np.mean(ends.wrong)),
                    followed=float(np.mean(ends.outcomes == ends.preferred)),
                    rounds_p50=float(np.quantile(rounds, 0.5)) if some else None,
                    rounds_p95=float(np.quantile(rounds, 0.95)) if some else None,
                )


def table(measured: Sequence[Row]) -> Table:
    """One line a row."""
    shown = Table()
    titles = ("adversary", "faulty", "decided", "split", "wrong", "followed", "rounds, p50 / p95")
    for title in titles:
        shown.add_column(title, justify="left" if title == "adversary" else "right")
    for row in measured:
        shares = (row.decided, row.split, row.wrong, row.followed)
        rounds = "" if row.rounds_p50 is None else f"{row.rounds_p50:g} / {row.rounds_p95:g}"
        percents = (f"{share:.0%}" for share in shares)
        shown.add_row(row.adversary, str(row.faulty), *percents, rounds)
    return shown
