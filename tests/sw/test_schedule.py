"""Any order that the scheduler makes has the result of one event after another."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tmesh import schedule
from tmesh.numbers import IntArray

AGENTS = 6


def sequential(pairs: IntArray, both: bool) -> list[object]:
    """States as the history of all that went into them: equal only if all reads were the same."""
    states: list[object] = list(range(AGENTS))
    for a, b in pairs.tolist():
        old_a, old_b = states[a], states[b]
        states[a] = ("first", old_a, old_b)
        if both:
            states[b] = ("second", old_b, old_a)
    return states


def together(groups: list[IntArray], both: bool) -> list[object]:
    """The same, group by group: all reads of a group before its writes."""
    states: list[object] = list(range(AGENTS))
    for group in groups:
        old = list(states)
        for a, b in group.tolist():
            states[a] = ("first", old[a], old[b])
            if both:
                states[b] = ("second", old[b], old[a])
    return states


meetings = st.lists(
    st.tuples(st.integers(0, AGENTS - 1), st.integers(1, AGENTS - 1)).map(
        lambda p: (p[0], (p[0] + p[1]) % AGENTS)
    ),
    min_size=1,
    max_size=14,
).map(lambda pairs: np.array(pairs, dtype=np.int64))


@settings(deadline=None, derandomize=True)
@given(meetings, st.booleans())
def test_levels_give_the_sequential_result(pairs: IntArray, both: bool) -> None:
    groups = [group for _, group in schedule.in_levels(pairs, both, AGENTS)]
    assert together(groups, both) == sequential(pairs, both)


@settings(deadline=None, derandomize=True)
@given(meetings, st.booleans(), st.sampled_from([1, 2, 3]), st.integers(1, 7))
def test_bundles_give_the_sequential_result(
    pairs: IntArray, both: bool, lanes: int, distance: int
) -> None:
    """Executed in order, and no two events of a bundle in one slot. (That the core executes bundles
    in order, doubles included, is tested on the core.)"""
    bundle = schedule.bundles(pairs, both, AGENTS, lanes, distance)
    groups = [pairs[bundle == n] for n in range(bundle.max() + 1)]
    assert together(groups, both) == sequential(pairs, both)
    slots = list(zip(bundle.tolist(), (pairs[:, 0] % lanes).tolist(), strict=True))
    if both:
        apart = pairs[:, 0] % lanes != pairs[:, 1] % lanes
        seconds = zip(bundle[apart].tolist(), (pairs[apart, 1] % lanes).tolist(), strict=True)
        slots += list(seconds)
    assert len(set(slots)) == len(slots)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_random_pairs_fill_the_lanes(lanes: int, both: bool) -> None:
    """4 096 agents: at least 97 of 100 slots are used, so that the core can reach its rate."""
    rng = np.random.default_rng(2)
    pairs = np.stack([rng.integers(0, 4096, 50_000), rng.integers(0, 4095, 50_000)], axis=1)
    pairs[:, 1] += pairs[:, 1] >= pairs[:, 0]
    count = schedule.bundles(pairs, both, 4096, lanes, 26).max() + 1
    assert len(pairs) * (1 + both) / (count * lanes) > 0.97
