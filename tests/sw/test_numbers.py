"""Number formats: rounding and saturation against exact fractions, exhaustively at small widths."""

from fractions import Fraction

import numpy as np
import pytest
from tmesh.numbers import Q, round_shift, saturate


@pytest.mark.parametrize("shift", range(7))
def test_rounds_half_to_even(shift: int) -> None:
    x = np.arange(-300, 300)
    assert round_shift(x, shift).tolist() == [round(Fraction(int(v), 1 << shift)) for v in x]


@pytest.mark.parametrize("width", [2, 3, 5])
@pytest.mark.parametrize("slack", [0, 2])
def test_saturates_to_the_range(width: int, slack: int) -> None:
    low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    for v in range(-50, 50):
        value, flag = saturate(np.array(v), width, slack)
        assert value == min(max(v, low), high)
        assert flag == (v < low - slack or v > high + slack)


def test_format_limits() -> None:
    q = Q(2, 16)
    assert (q.width, q.min, q.max, q.lsb, str(q)) == (18, -131072, 131071, 2**-16, "Q(2,16)")


def test_quantise_rounds_to_the_nearest_even_step() -> None:
    q = Q(2, 2)
    assert q.quantise([0.125, 0.375, -0.125, 1.75, -2]).tolist() == [0, 2, 0, 7, -8]
    assert q.value(np.array([-8, 7])).tolist() == [-2, 1.75]


@pytest.mark.parametrize("bad", [2.0, -2.2, float("nan"), float("inf")])
def test_quantise_refuses_what_does_not_fit(bad: float) -> None:
    with pytest.raises(ValueError, match=r"does not fit Q\(2,2\)"):
        Q(2, 2).quantise([0.0, bad])


@pytest.mark.parametrize(
    ("i", "f", "reason"), [(0, 4, "i must"), (2, -1, "f must"), (40, 30, "62")]
)
def test_bad_formats_are_refused(i: int, f: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Q(i, f)


def test_negative_shift_is_refused() -> None:
    with pytest.raises(ValueError, match="shift must be from 0 to 62, not -1"):
        round_shift(np.array([1]), -1)
