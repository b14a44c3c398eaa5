"""What two sides of a swarm bring together when a partition between them ends."""

from collections.abc import Sequence

from tmesh.network import Partition
from tmesh.numbers import BoolArray, IntArray


def gluing(outcomes: IntArray, counted: BoolArray, partition: Partition) -> dict[str, int]:
    """Whether the sides' provisional outcomes (decisions, agents), −1 for none, fit together.

    Counts decisions: `agreed`, all sides that the partition had came to one outcome, so they merge
    as they are; `conflicting`, two came to different ones, or one side to several, so they run
    again unless one is final; `open`, some side has settled on nothing. counted: whose outcomes
    matter, (decisions, agents): liars' and those of agents who have no part do not.
    """
    counts = {"agreed": 0, "conflicting": 0, "open": 0}
    sides = _sides(partition, outcomes.shape[1])
    for chosen, asked in zip(outcomes, counted, strict=True):
        there = [chosen[side][asked[side]] for side in sides]
        found = [set(some.tolist()) - {-1} for some in there if len(some)]
        if len(set().union(*found)) > 1:
            counts["conflicting"] += 1
        else:
            counts["agreed" if found and all(found) else "open"] += 1
    return counts


def _sides(partition: Partition, agents: int) -> list[Sequence[int]]:
    named = [list(group) for group in partition.groups if group]
    rest = sorted(set(range(agents)) - {agent for group in named for agent in group})
    return [*named, rest] if rest else [*named]
