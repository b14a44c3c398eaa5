"""The common coin: the same for all, fair, and known to liars no sooner than its kind says."""

import math

import numpy as np
import pytest
from tmesh.finality import Coin
from tmesh.finality.coin import KINDS, Kind


def test_it_opens_when_enough_have_committed() -> None:
    coin = Coin("ideal", seed=0, needed=3)
    for agent in (4, 4, 7):
        coin.commit(agent, 1)
        assert not coin.opened(1)
    coin.commit(2, 1)
    assert coin.opened(1)
    assert not coin.opened(2)


def test_numbers_are_uniform_and_the_same_for_all() -> None:
    coin, other = Coin("ideal", 5, 1), Coin("known", 5, 9)
    numbers = [coin.number(round_) for round_ in range(4000)]
    assert numbers == [other.number(round_) for round_ in range(4000)]
    assert abs(np.mean(numbers)) < 3 / np.sqrt(3 * 4000)
    assert np.quantile(numbers, [0.25, 0.75]) == pytest.approx([-0.5, 0.5], abs=0.05)
    assert numbers != [Coin("ideal", 6, 1).number(round_) for round_ in range(4000)]


@pytest.mark.parametrize("kind", KINDS)
def test_what_liars_know(kind: Kind) -> None:
    coin = Coin(kind, 0, 1)
    before = coin.betrayed(1)
    coin.commit(0, 1)
    after = coin.betrayed(1)
    assert math.isnan(before) is (kind != "known")
    assert math.isnan(after) is (kind in ("none", "ideal"))
    assert (coin.number(1) == 0) is (kind == "none")
