"""The common coin: the same for all, fair, and known to liars no sooner than its kind says."""

import math

import numpy as np
import pytest
from tmesh.finality import Coin
from tmesh.finality.coin import KINDS, Kind, Round


def test_it_opens_when_enough_have_committed() -> None:
    coin = Coin("ideal", name="a", needed=3)
    for agent in (4, 5):
        assert coin.commit(agent, 2) == Round(2, 1)
        assert not coin.opened(Round(2, 1))
    assert coin.next(4, 2) == Round(2, 2)
    coin.commit(2, 2)
    assert coin.opened(Round(2, 1))
    assert not coin.opened(Round(3, 1))


def test_who_is_late_goes_on_to_where_the_others_are() -> None:
    coin = Coin("ideal", name="a", needed=2)
    for _ in range(5):
        for agent in (0, 1):
            coin.commit(agent, 2)
    assert coin.commit(2, 2) == Round(2, 5)
    assert coin.commit(2, 2) == Round(2, 6)
    assert coin.commit(2, 3) == Round(3, 1)


def test_numbers_are_uniform_and_the_same_for_all() -> None:
    coin, other = Coin("ideal", "a", 1), Coin("known", "a", 9)
    rounds = [Round(2, number) for number in range(4000)]
    numbers = [coin.number(round_) for round_ in rounds]
    assert numbers == [other.number(round_) for round_ in rounds]
    assert abs(np.mean(numbers)) < 3 / np.sqrt(3 * 4000)
    assert np.quantile(numbers, [0.25, 0.75]) == pytest.approx([-0.5, 0.5], abs=0.05)
    assert numbers != [Coin("ideal", "b", 1).number(round_) for round_ in rounds]


@pytest.mark.parametrize("kind", KINDS)
def test_what_liars_know(kind: Kind) -> None:
    coin = Coin(kind, "a", 1)
    round_ = coin.next(0, 2)
    before = coin.betrayed(round_)
    coin.commit(0, 2)
    after = coin.betrayed(round_)
    assert math.isnan(before) is (kind != "known")
    assert math.isnan(after) is (kind in ("none", "ideal"))
    assert (coin.number(round_) == 0) is (kind == "none")
