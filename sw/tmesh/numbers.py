"""Fixed-point formats, rounding half to even, and saturation.

This is the one place where a value is rounded or clipped: the integer golden model calls these
functions, and `tmesh_hw.numbers` builds the same two operations as gates. Values are NumPy
int64 arrays that count steps of 2⁻ᶠ.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tmesh import checks
from tmesh.errors import InvalidInput

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

#: The widest operand of a hardware multiplier (ECP5 `MULT18X18D`).
MULTIPLIER_WIDTH = 18


@dataclasses.dataclass(frozen=True)
class Q:
    """The two's-complement format Q(i, f): `i` integer bits with the sign, `f` fraction bits.

    Raises ``ValueError`` unless ``i >= 1``, ``f >= 0`` and ``i + f <= 62`` (the models are int64).
    """

    i: int
    f: int

    def __post_init__(self) -> None:
        # Python integers: bits of a NumPy integer would wrap where Python's do not.
        object.__setattr__(self, "i", checks.integer("i", self.i, least=1))
        object.__setattr__(self, "f", checks.integer("f", self.f, least=0))
        if self.width > 62:
            raise InvalidInput(f"Q({self.i}, {self.f}) is wider than 62 bits")

    @property
    def width(self) -> int:
        """Number of bits, the sign included."""
        return self.i + self.f

    @property
    def lsb(self) -> float:
        """The value of one step, 2⁻ᶠ."""
        return float(2.0**-self.f)

    @property
    def min(self) -> int:
        """The smallest representable integer, −2^(i+f−1)."""
        return -(1 << (self.width - 1))

    @property
    def max(self) -> int:
        """The largest representable integer, 2^(i+f−1) − 1."""
        return (1 << (self.width - 1)) - 1

    def quantise(self, x: npt.ArrayLike) -> IntArray:
        """Nearest integers to ``x / lsb``, ties to even.

        Raises ``ValueError`` when a value is not real and finite, or lies outside the format.
        """
        values = checks.reals("x", x, f", which does not fit {self}")
        with np.errstate(over="ignore"):
            scaled = np.rint(values * 2.0**self.f)
        outside = ~((scaled >= self.min) & (scaled <= self.max))
        if np.any(outside):
            raise InvalidInput(f"x holds {values[outside].flat[0]}, which does not fit {self}")
        return scaled.astype(np.int64)

    def fitting(self, name: str, value: npt.ArrayLike, form: str = "") -> IntArray:
        """`value` as integers of this format; `form` describes their shape in the error."""
        array = checks.integers(name, value, form)
        outside = (array < self.min) | (array > self.max)
        if np.any(outside):
            raise InvalidInput(f"{name} holds {array[outside].flat[0]}, which does not fit {self}")
        return array

    def value(self, n: IntArray) -> npt.NDArray[np.float64]:
        """The real numbers that the integers `n` stand for."""
        return np.asarray(checks.integers("n", n) * self.lsb, dtype=np.float64)

    def __str__(self) -> str:
        return f"Q({self.i},{self.f})"


def round_shift(x: IntArray, shift: int) -> IntArray:
    """Round ``x / 2**shift`` to the nearest integer, ties to even (IEEE 754 roundTiesToEven)."""
    x, shift = checks.integers("x", x), checks.integer("shift", shift, 0, 62)
    if shift == 0:
        return x
    floor = x >> shift
    rest = x & ((1 << shift) - 1)
    half = 1 << (shift - 1)
    up = (rest > half) | ((rest == half) & ((floor & 1) == 1))
    return np.asarray(floor + up, dtype=np.int64)


def saturate(x: IntArray, width: int, slack: int = 0) -> tuple[IntArray, BoolArray]:
    """Clip `x` to a signed `width`-bit integer; also say which values overflowed.

    A value at most `slack` beyond the range is clipped without raising the flag: a block uses that
    where valid inputs can reach the edge (an entry of exactly 1.0 in Q(1,17)) and its error bound
    accounts for the clip.
    """
    x, width = checks.integers("x", x), checks.integer("width", width, 1, 62)
    slack = checks.integer("slack", slack, least=0)
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    return np.clip(x, low, high), (x < low - slack) | (x > high + slack)


def any_flag(flag: BoolArray, axes: Sequence[int]) -> BoolArray:
    """The sticky flag of a whole result: the `or` over `axes`."""
    return np.asarray(np.any(flag, axis=tuple(axes)))
