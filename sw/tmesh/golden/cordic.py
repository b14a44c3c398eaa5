"""CORDIC in integers, equal to the gateware bit for bit (Volder 1959; Walther 1971).

Angles count half turns: 1.0 stands for π and wraps at ±1, so sums of angles need no care.
Vectoring gives the principal value, atan(y/x) in [−½, ½], and the length with the sign of x: then
(x, y) = length · (cos, sin) for every input, and no angle leaves the range of the iterations. For
(0, 0), where every angle is right, it is 0.555.
"""

import dataclasses
import functools
import math
from fractions import Fraction

import numpy as np

from tmesh import checks
from tmesh.compiled import compiled
from tmesh.errors import InvalidInput
from tmesh.numbers import IntArray


@dataclasses.dataclass(frozen=True)
class CordicFormat:
    """Word lengths derived from the format Q(2, f) of operands and results.

    Coordinates are Q(4, fraction) with six guard bits, because every iteration truncates twice
    and a solver chains dozens of rotations; angles are Q(1, angle).
    """

    f: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "f", checks.integer("f", self.f, least=4, most=16))

    @property
    def fraction(self) -> int:
        """Fraction bits of coordinates."""
        return self.f + 6

    @property
    def width(self) -> int:
        """Bits of a coordinate: four integer bits hold 2·√2 times the gain."""
        return self.fraction + 4

    @property
    def angle(self) -> int:
        """Fraction bits of an angle in half turns."""
        return self.f + 8

    @property
    def iterations(self) -> int:
        """Micro-rotations by atan 2⁻ⁱ, i = 0, 1, …; the last resolves 2^-(f+2) rad."""
        return self.f + 3

    @functools.cached_property
    def angles(self) -> tuple[int, ...]:
        """atan(2⁻ⁱ)/π, rounded."""
        return tuple(
            round(math.atan(2.0**-i) / math.pi * 2**self.angle) for i in range(self.iterations)
        )

    @functools.cached_property
    def compensation(self) -> tuple[tuple[int, int], ...]:
        """1/gain as eight signed powers of two, ``(sign, shift)``: canonical signed digits."""
        gain = math.prod(math.sqrt(1 + 4.0**-i) for i in range(self.iterations))
        rest = Fraction(1 / gain)
        digits: list[tuple[int, int]] = []
        while len(digits) < TERMS:
            shift = -round(math.log2(abs(rest) * 4 / 3) - 0.5)
            sign = 1 if rest > 0 else -1
            digits.append((sign, shift))
            rest -= sign * Fraction(1, 2**shift)
        return tuple(digits)


#: Terms of the gain compensation: a tree of three levels of adders.
TERMS = 8

#: Bits below a coordinate that the compensation keeps.
GUARD = 3

#: Just short of half an LSB: in gates it fills the empty low bits of the largest term.
HALF = (1 << (GUARD - 1)) - 1


@compiled
def _transform(
    words: IntArray, vectoring: bool, half: int, angles: IntArray, digits: IntArray
) -> None:
    """`transform` of x, y, z in the rows of `words` (3, n), in place.

    Compiled, since a solver does some thousand operations a matrix and a search needs millions of
    matrices.
    """
    for n in range(words.shape[1]):
        x, y, z = words[0, n], words[1, n], words[2, n]
        sign = 0
        if vectoring:
            sign, z = x >> 63, 0
        else:
            z = ((z + half) & (2 * half - 1)) - half
            if z >= half >> 1 or z < -(half >> 1):
                sign = -1
                z = ((z + 2 * half) & (2 * half - 1)) - half
        x, y = x ^ sign, y ^ sign
        for i in range(len(angles)):
            # 0 to turn up, −1 to turn down: the processor would mispredict every other branch.
            d = ~(y >> 63) if vectoring else z >> 63
            x, y, z = x - ((y >> i ^ d) - d), y + ((x >> i ^ d) - d), z - ((angles[i] ^ d) - d)
        long, high = HALF, HALF
        for digit in range(TERMS):
            long += digits[digit, 0] * ((x << GUARD) >> digits[digit, 1])
            high += digits[digit, 0] * ((y << GUARD) >> digits[digit, 1])
        words[0, n] = (long >> GUARD) ^ sign if vectoring else long >> GUARD
        words[1, n], words[2, n] = high >> GUARD, z


def transform(
    x: IntArray, y: IntArray, z: IntArray, vectoring: bool, cordic: CordicFormat
) -> tuple[IntArray, IntArray, IntArray]:
    """One operation with all that the block answers: in vectoring length, rest of y, angle; in
    rotation the turned coordinates and the rest of the angle. The gain is undone by eight truncated
    terms, rounded to nearest, halves down."""
    given = [checks.integers(*one) for one in (("x", x), ("y", y), ("z", z))]
    try:
        words = np.stack(np.broadcast_arrays(*given))
    except ValueError:
        shapes = ", ".join(str(one.shape) for one in given)
        raise InvalidInput(f"x, y and z must broadcast, not {shapes}") from None
    angles, digits = np.array(cordic.angles), np.array(cordic.compensation)
    _transform(words.reshape(3, -1), vectoring, 1 << cordic.angle, angles, digits)
    return words[0], words[1], words[2]


def vector(x: IntArray, y: IntArray, cordic: CordicFormat) -> tuple[IntArray, IntArray]:
    """Signed length and angle of (x, y): length·(cos πz, sin πz) = (x, y)."""
    length, _, angle = transform(x, y, np.zeros_like(x), True, cordic)
    return length, angle


def rotate(
    x: IntArray, y: IntArray, z: IntArray, cordic: CordicFormat
) -> tuple[IntArray, IntArray]:
    """(x, y) rotated by πz."""
    x, y, _ = transform(x, y, z, False, cordic)
    return x, y
