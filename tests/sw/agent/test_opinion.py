"""Opinions: the tree of outcomes, and the integer map of a round."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tmesh.agent.opinion import Opinions, Tree, Work, evaluate, updated, updates
from tmesh.errors import InvalidInput
from tmesh.genesis import SwarmRules

RULES = SwarmRules()
CERTAIN = RULES.one


@pytest.mark.parametrize("outcomes", range(2, 18))
def test_settled_opinions_lead_to_the_outcome_that_they_are_certain_of(outcomes: int) -> None:
    tree = Tree(outcomes)
    assert len(tree.branchings) == outcomes - 1
    for outcome in range(outcomes):
        z = tree.certain(outcome, RULES)
        settled = Opinions(z, (RULES.beta,) * len(z), 0)
        assert tree.outcome(settled, RULES) == outcome


def test_an_open_opinion_on_the_path_leaves_the_outcome_open() -> None:
    tree, beta = Tree(4), RULES.beta
    z = tree.certain(2, RULES)
    assert tree.outcome(Opinions(z, (beta, 0, beta), 0), RULES) == 2  # off the path
    assert tree.outcome(Opinions(z, (beta, beta, beta - 1), 0), RULES) is None


@given(
    st.integers(2, 9),
    st.lists(st.lists(st.floats(0.01, 1), min_size=9, max_size=9), min_size=1, max_size=6),
)
def test_the_mean_opening_has_the_sign_of_the_mean_evidence(
    outcomes: int, weights: list[list[float]]
) -> None:
    rules, tree = SwarmRules(cap=0.999), Tree(outcomes)
    chances = [np.array(some[:outcomes]) / sum(some[:outcomes]) for some in weights]
    openings = [tree.opening(some.tolist(), rules) for some in chances]
    for place, (low, middle, high) in enumerate(tree.branchings):
        mean = np.mean([some[low:middle].sum() - some[middle:high].sum() for some in chances])
        total = sum(some[place] for some in openings)
        if abs(mean) > 1e-3:
            assert np.sign(total) == np.sign(mean)


def test_an_opening_is_capped_and_checked() -> None:
    assert Tree(2).opening([1.0, 0.0], RULES) == (RULES.most,)
    assert Tree(2).opening([0.5, 0.5], RULES) == (0,)
    for bad in ([0.5], [0.7, 0.7], [1.5, -0.5], [float("nan"), 1.0]):
        with pytest.raises(InvalidInput, match="evidence"):
            Tree(2).opening(bad, RULES)


@pytest.mark.parametrize("order", [0, 1, 2, 4, 8])
@pytest.mark.parametrize("f", [8, 14, 16])
def test_no_opinion_of_one_lsb_or_more_falls_below_one(order: int, f: int) -> None:
    """The map of a round over the whole format, each sign: all heard have the least opinion."""
    for sign, heard in itertools.product((1, -1), (0, 1, 16)):
        step = 7 if (f, heard) == (16, 16) else 1  # sixteen take long
        values = [*range(1, 64), *range(64, 1 << f, step), 1 << f]
        works = [Work(sign * one, (sign,) * heard, order) for one in values]
        results = evaluate(works, f)
        assert min(sign * one for one in results) >= 1
        assert max(sign * one for one in results) <= 1 << f


@given(
    st.lists(st.integers(1, 1 << 16), min_size=1, max_size=17),
    st.sampled_from([0, 1, 2, 4, 8]),
    st.sampled_from([1, -1]),
)
def test_a_round_keeps_a_common_sign(z: list[int], order: int, sign: int) -> None:
    own, *heard = (sign * one for one in z)
    (result,) = evaluate([Work(own, tuple(heard), order)], 16)
    assert sign * result >= 1


@given(st.lists(st.integers(-(1 << 16), 1 << 16), min_size=1, max_size=20))
def test_the_mean_is_that_of_integers_rounded_half_to_even(z: list[int]) -> None:
    own, *heard = z
    (result,) = evaluate([Work(own, tuple(heard), 1)], 16)
    double = 2 * sum(z)
    assert abs(2 * len(z) * result - double) <= len(z)
    if abs(2 * len(z) * result - double) == len(z):
        assert result % 2 == 0


def test_the_mean_does_not_depend_on_the_order() -> None:
    rng = np.random.default_rng(0)
    z = rng.integers(-(1 << 16), 1 << 16, 9).tolist()
    results = {
        tuple(evaluate([Work(z[0], tuple(rng.permutation(z[1:]).tolist()), 4)], 16))
        for _ in range(20)
    }
    assert len(results) == 1


def test_an_opinion_settles_after_beta_certain_amplified_updates_and_then_stays() -> None:
    own = Opinions((CERTAIN,), (0,), 0)
    assert updated(own, [CERTAIN], 0, RULES).streak == (0,)  # averaging settles nothing
    for count in range(RULES.beta):
        assert updates(own, [own], 1, RULES)
        own = updated(own, [CERTAIN], 1, RULES)
        assert own.streak == (count + 1,)
    assert updates(own, [own], 1, RULES) == []
    assert updated(own, [], 1, RULES) == own


def test_an_uncertain_update_begins_the_streak_again() -> None:
    own = Opinions((CERTAIN,), (RULES.beta - 1,), 1)
    assert updated(own, [RULES.certain - 1], 1, RULES).streak == (0,)
    assert updated(own, [RULES.certain], 1, RULES).streak == (RULES.beta,)
