"""The gluing check over what two sides have in common."""

import numpy as np
from tmesh.network import Partition
from tmesh.swarm.gluing import gluing

HALVES = Partition(start=0.0, end=1.0, groups=((0, 1),))


def test_each_decision_merges_conflicts_or_is_open() -> None:
    outcomes = np.array(
        [
            [0, 0, 0, 0, 0],  # all alike
            [0, -1, 0, -1, -1],  # so are those who have one
            [0, 0, 1, 1, 1],  # the sides differ
            [0, 1, 0, 0, 0],  # one side differs from itself
            [-1, -1, 1, 1, 1],  # one has none
        ]
    )
    honest = np.zeros(5, dtype=bool)
    assert gluing(outcomes, honest, HALVES) == {"agreed": 2, "conflicting": 2, "open": 1}


def test_liars_are_not_asked() -> None:
    lying = np.array([False, True, False, False, False])
    assert gluing(np.array([[0, 1, 0, 0, 0]]), lying, HALVES)["agreed"] == 1
    alone = Partition(start=0.0, end=1.0, groups=((1,),))
    assert gluing(np.array([[0, 1, 0, 0, 0]]), lying, alone)["agreed"] == 1
