"""`make scale`: time and memory of the round model as swarms grow."""

import argparse
import dataclasses
import resource
import sys
import time
from collections.abc import Iterator, Sequence

from tmesh.entry import guarded
from tmesh.errors import SimulationError
from tmesh.network import Topology
from tmesh.swarm import Scenario
from tmesh.swarm.course import decide

#: Agents of a swarm. In ascending order: the peak of memory is that of the largest so far.
AGENTS = (250, 1_000, 4_000)


@dataclasses.dataclass(frozen=True)
class Point:
    """One swarm: processor seconds for all its rounds, and the process's peak memory in bytes."""

    agents: int
    rounds: int
    seconds: float
    memory: int


def points(agents: Sequence[int], rounds: int, seed: int) -> Iterator[Point]:
    """Swarms without evidence: no agent amplifies, so every agent computes in every round."""
    for count in agents:
        scenario = Scenario(
            agents=count,
            rules={"k": 20},
            confidence=0.0,
            noise=0.0,
            topology=Topology(kind="complete"),
        )
        start = time.process_time()
        end = decide(scenario, seed, rounds)
        seconds = time.process_time() - start
        if end.settled or end.rounds != rounds:
            raise SimulationError("agents settled, so not all of them took part in all rounds")
        yield Point(count, rounds, seconds, _peak())


def _peak() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--agents", type=int, nargs="+", default=AGENTS)
    arguments = parser.parse_args()
    print("| agents | rounds | processor seconds | µs per agent and round | peak, MB |")
    print("|--:|--:|--:|--:|--:|")
    for p in points(arguments.agents, arguments.rounds, arguments.seed):
        each = p.seconds / p.agents / p.rounds * 1e6
        figures = f"{p.seconds:,.1f} | {each:.0f} | {p.memory / 1e6:,.0f}"
        print(f"| {p.agents:,} | {p.rounds} | {figures} |", flush=True)


if __name__ == "__main__":
    sys.exit(guarded(main))
