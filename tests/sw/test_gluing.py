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
            [0, 0, 0, 0, 0],  # nobody counts
        ]
    )
    counted = np.ones(outcomes.shape, dtype=bool)
    counted[-1] = False
    assert gluing(outcomes, counted, HALVES) == {"agreed": 2, "conflicting": 2, "open": 2}


def test_liars_and_those_who_have_no_part_are_not_asked() -> None:
    counted = np.array([[True, False, True, True, True]])
    assert gluing(np.array([[0, 1, 0, 0, 0]]), counted, HALVES)["agreed"] == 1
    alone = Partition(start=0.0, end=1.0, groups=((1,),))
    assert gluing(np.array([[0, 1, 0, 0, 0]]), counted, alone)["agreed"] == 1
    local = np.array([[False, False, True, True, True]])  # all on one side
    assert gluing(np.array([[-1, -1, 1, 1, 1]]), local, HALVES)["agreed"] == 1
