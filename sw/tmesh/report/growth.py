"""`make growth`: the cost of resident operations as they grow, and how near lanes are to their
roof."""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from tmesh import schedule
from tmesh.config import CoreConfig
from tmesh.devices import Device, open_device
from tmesh.devices.client import EVENTS as PACKET
from tmesh.devices.engine import EngineDevice
from tmesh.entry import guarded
from tmesh.golden.reference import SYMMETRIC, partial_swap
from tmesh.numbers import IntArray
from tmesh.packets import Counter
from tmesh.report.picture import write

#: Agents at a fixed number of events, and events at a fixed number of agents.
AGENTS, EVENTS = (100, 1_000, 10_000, 100_000), (20_000, 40_000, 80_000, 160_000)

#: Multipliers of a lane, and the contracting ones among them: a new state takes 45.
MULTIPLIERS, USEFUL = 48, 45

#: Rounds one after another.
ROUNDS = 2_000

#: Why slots are not useful: see `Use`.
CAUSES = ("empty", "held", "starved", "other")

#: Devices that are compared.
DEVICES = ("reference", "model", "verilator")


@dataclasses.dataclass(frozen=True)
class Point:
    """Random pairs, the first written: nanoseconds and core cycles of one event."""

    device: str
    lanes: int
    agents: int
    events: int
    nanoseconds: float
    cycles: float | None


def points(seed: int) -> Iterator[Point]:
    """More agents, more events, more lanes."""
    for agents in AGENTS:
        yield from (_point(device, 1, agents, EVENTS[0], seed) for device in DEVICES)
    for events in EVENTS:
        yield from (_point(device, 1, 4096, events, seed) for device in DEVICES)
    for lanes in (2, 3):
        yield _point("verilator", lanes, 4096, EVENTS[-1], seed)


def _point(name: str, lanes: int, agents: int, events: int, seed: int) -> Point:
    pairs = _pairs(agents, events, seed)
    with open_device(name, _config(lanes, agents)) as device:
        device.load(np.zeros((agents, 3)))
        seconds = []
        for _ in range(3):
            before, start = device.cycles, time.perf_counter()
            device.gossip(pairs, partial_swap(0.5))
            seconds.append(time.perf_counter() - start)
        cycles = None if device.cycles is None else (device.cycles - (before or 0)) / events
    return Point(name, lanes, agents, events, min(seconds) / events * 1e9, cycles)


def _pairs(agents: int, events: int, seed: int) -> IntArray:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, agents, events)
    return np.stack([first, (first + rng.integers(1, agents, events)) % agents], axis=1)


def _config(lanes: int, agents: int) -> CoreConfig:
    link = 64 if lanes == 1 else 128
    return CoreConfig(lanes=0, gossip_lanes=lanes, agents=agents, link=link, cordics=0)


def rounds(seed: int) -> Iterator[tuple[str, int, float]]:
    """Core cycles of a round alone, and of one after another, of random agents."""
    rng = np.random.default_rng(seed)
    agents, heard = rng.integers(0, 4096, ROUNDS), rng.integers(0, 4096, (ROUNDS, 8))
    pairs = np.arange(4096).reshape(-1, 2)[:ROUNDS]

    def update(kappa: int) -> Callable[[Device, int], object]:
        return lambda device, n: device.update(agents[:n], heard[:n], kappa)

    works: dict[str, Callable[[Device, int], object]] = {
        **{f"round, k = 8, κ = {kappa}": update(kappa) for kappa in (1, 2, 4, 8)},
        "observe": lambda device, n: device.observe(agents[:n]),
        "swap test": lambda device, n: device.swap_test(pairs[:n]),
        "weighted, first written": lambda device, n: device.gossip(pairs[:n], SYMMETRIC),
        "weighted, both written": lambda device, n: device.gossip(pairs[:n], SYMMETRIC, "both"),
    }
    with open_device("verilator", "sim-gossip") as device:
        device.load(np.zeros((4096, 3)))
        for work, call in works.items():
            cycles = []
            for count in (1, ROUNDS):
                before = device.cycles or 0
                call(device, count)
                cycles.append((device.cycles or 0) - before)
            yield work, cycles[0], cycles[1] / ROUNDS


@dataclasses.dataclass(frozen=True)
class Use:
    """Where the slots of lanes and cycles went, as shares: an event, a bundle that leaves it empty,
    a bundle that waits for a result, one that waits for the link or the drain, and the rest:
    operator, headers and replies."""

    lanes: int
    write: str
    useful: float
    empty: float
    held: float
    starved: float
    other: float


def uses(seed: int, most: int = 3, events: int = EVENTS[-1]) -> Iterator[Use]:
    """Of random pairs of 4 096 agents, by up to `most` lanes, the first written and both."""
    kinds: tuple[Literal["first", "both"], ...] = ("first", "both")
    pairs = _pairs(4096, events, seed)
    for lanes in range(1, most + 1):
        with open_device("verilator", _config(lanes, 4096)) as device:
            assert isinstance(device, EngineDevice)
            device.load(np.zeros((4096, 3)))
            for kind in kinds:
                before, start = device.counters(), device.cycles
                device.gossip(pairs, partial_swap(0.5), kind)
                spent = {k: count - before[k] for k, count in device.counters().items()}
                cycles = device.cycles - start
                useful = spent[Counter.EVENTS] / lanes / cycles
                held, starved = (spent[k] / cycles for k in (Counter.HELD, Counter.STARVED))
                # For second halves of events the core may take fewer bundles than were scheduled.
                filled = max(useful, sum(_bundles(pairs, kind == "both", lanes)) / cycles)
                rest = 1 - filled - held - starved
                yield Use(lanes, kind, useful, filled - useful, held, starved, rest)


def _bundles(pairs: IntArray, both: bool, lanes: int) -> Iterator[int]:
    """Bundles of each packet."""
    from tmesh_hw.engine import distance

    for first in range(0, len(pairs), PACKET):
        part = pairs[first : first + PACKET]
        yield int(schedule.bundles(part, both, 4096, lanes, distance(lanes)).max()) + 1


def picture(measured: list[Point], path: Path) -> None:
    """Left, the roof: useful multiplications in a cycle; right, the cost of an event."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    roof, cost = figure.subplots(1, 2)
    # Of each number of lanes the last point, that of the most events.
    widest = {p.lanes: p for p in measured if p.cycles is not None}
    multipliers = [MULTIPLIERS * lanes for lanes in widest]
    useful = [USEFUL / (p.cycles or 1) for p in widest.values()]
    roof.plot([0, 156], [0, 156], color="grey", label="every multiplier, every cycle")
    roof.plot(multipliers, useful, "o", label="random pairs, 1 to 3 lanes")
    roof.set(xlabel="multipliers (156 on an LFE5U-85F)", ylabel="useful multiplications per cycle")
    for name in DEVICES:
        row = [p for p in measured if p.device == name and p.events == EVENTS[0] and p.lanes == 1]
        row = sorted({p.agents: p for p in row}.values(), key=lambda p: p.agents)
        cost.plot([p.agents for p in row], [p.nanoseconds for p in row], "o-", label=name)
    cost.set(xscale="log", yscale="log", xlabel="agents", ylabel="ns per meeting")
    for axes in (roof, cost):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    write(figure, path)


def main() -> None:
    """Measure, print the table, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, default=Path("build/growth.svg"))
    arguments = parser.parse_args()
    measured = []
    print("| device | lanes | agents | events | ns per event | cycles per event |")
    print("|---|--:|--:|--:|--:|--:|")
    for p in points(arguments.seed):
        measured.append(p)
        cycles = "" if p.cycles is None else f"{p.cycles:.3f}"
        figures = f"{p.lanes} | {p.agents:,} | {p.events:,} | {p.nanoseconds:,.0f}"
        print(f"| {p.device} | {figures} | {cycles} |", flush=True)
    columns = ("lanes", "written", "useful slots", "useful multiplications", *CAUSES)
    print(f"\n| {' | '.join(columns)} |\n|--:|---|{'--:|' * (len(columns) - 2)}")
    for use in uses(arguments.seed):
        shares = [use.useful, use.useful * USEFUL / MULTIPLIERS]
        shares += [getattr(use, cause) for cause in CAUSES]
        row = " | ".join(f"{share:.4f}" for share in shares)
        print(f"| {use.lanes} | {use.write} | {row} |", flush=True)
    print("\n| command | cycles alone | one after another |\n|---|--:|--:|")
    for work, alone, following in rounds(arguments.seed):
        print(f"| {work} | {alone} | {following:.1f} |", flush=True)
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    picture(measured, arguments.picture)


if __name__ == "__main__":
    sys.exit(guarded(main))
