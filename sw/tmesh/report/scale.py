"""`make scale`: time and memory of the round model as swarms grow."""

import argparse
import dataclasses
import resource
import sys
import time
from collections.abc import Iterator, Sequence

from tmesh.config import core_config
from tmesh.devices import open_device
from tmesh.entry import guarded
from tmesh.errors import SimulationError
from tmesh.network import Topology
from tmesh.swarm import Scenario, sweep

#: Agents of a swarm. In ascending order: the peak of memory is that of the largest so far.
AGENTS = (1_000, 10_000, 100_000)


@dataclasses.dataclass(frozen=True)
class Point:
    """One swarm: processor seconds for all its rounds, and the process's peak memory in bytes."""

    agents: int
    rounds: int
    seconds: float
    memory: int


def points(agents: Sequence[int], rounds: int, seed: int) -> Iterator[Point]:
    """Swarms without evidence: no agent settles, so every agent computes in every round."""
    for count in agents:
        scenario = Scenario(
            agents=count,
            k=20,
            confidence=0.0,
            noise=0.0,
            finality=False,
            mixing=0,
            rounds=rounds,
            topology=Topology(kind="complete"),
        )
        room = min(1 << 18, count + max(4096, 2 * count))
        config = dataclasses.replace(core_config("sim-gossip"), agents=room)
        with open_device("reference", config) as device:
            start = time.process_time()
            ends = sweep(scenario, device, 1, seed)
            seconds = time.process_time() - start
        if ends.settled.any():
            raise SimulationError("agents settled, so not all of them took part in all rounds")
        yield Point(count, rounds, seconds, _peak())


def _peak() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--agents", type=int, nargs="+", default=AGENTS)
    arguments = parser.parse_args()
    next(points((100,), 1, 0))  # compiles
    print(f"before: {_peak() / 1e6:,.0f} MB\n")
    print("| agents | rounds | processor seconds | µs per agent and round | peak, MB |")
    print("|--:|--:|--:|--:|--:|")
    for p in points(arguments.agents, arguments.rounds, arguments.seed):
        each = p.seconds / p.agents / p.rounds * 1e6
        figures = f"{p.seconds:,.1f} | {each:.2f} | {p.memory / 1e6:,.0f}"
        print(f"| {p.agents:,} | {p.rounds} | {figures} |", flush=True)


if __name__ == "__main__":
    sys.exit(guarded(main))
