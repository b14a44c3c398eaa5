"""`make growth`: what resident meetings cost as they grow, and how near lanes are to their roof."""

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tmesh.config import CoreConfig
from tmesh.devices import Device, open_device
from tmesh.golden.reference import SYMMETRIC, partial_swap
from tmesh.numbers import IntArray
from tmesh.report.picture import write

#: Agents at a fixed number of events, and events at a fixed number of agents.
AGENTS, EVENTS = (100, 1_000, 10_000, 100_000), (20_000, 40_000, 80_000, 160_000)

#: Multipliers of a lane, and those that contract: a new state takes 45.
MULTIPLIERS, USEFUL = 48, 45

#: Rounds one after another.
ROUNDS = 2_000

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
    rng = np.random.default_rng(seed)
    first = rng.integers(0, agents, events)
    pairs: IntArray = np.stack([first, (first + rng.integers(1, agents, events)) % agents], axis=1)
    link = 64 if lanes == 1 else 128
    config = CoreConfig(lanes=0, gossip_lanes=lanes, agents=agents, link=link, cordics=0)
    with open_device(name, config) as device:
        device.load(np.zeros((agents, 3)))
        seconds = []
        for _ in range(3):
            before, start = device.cycles, time.perf_counter()
            device.gossip(pairs, partial_swap(0.5))
            seconds.append(time.perf_counter() - start)
        cycles = None if device.cycles is None else (device.cycles - (before or 0)) / events
    return Point(name, lanes, agents, events, min(seconds) / events * 1e9, cycles)


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
    print("\n| command | cycles alone | one after another |\n|---|--:|--:|")
    for work, alone, following in rounds(arguments.seed):
        print(f"| {work} | {alone} | {following:.1f} |", flush=True)
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    picture(measured, arguments.picture)


if __name__ == "__main__":
    main()
