"""Whole rounds on Bloch vectors in integers: mean, interference, weighted operators, purification.

All of them are a quotient of a vector and a number, rounded once to Q(2, f), exactly:

==================  =============================  =================================
round               numerator / denominator        source
==================  =============================  =================================
mean of own and k   Σ r / (k + 1)                  hyper-gossip
interference        2 (a + b) / (3 + a·b)          swap test
any operator, ‖U‖≤1 C_i(a, b) / C_0(a, b)          `tmesh.golden.pauli.transfer`, weight
ρ²/Tr ρ²            2 r / (1 + |r|²)               repeated log₂ κ times: ρ^κ/Tr ρ^κ
==================  =============================  =================================

The last step shortens a vector longer than 1 by k ≥ ½ LSB, by k·2⁻ᶠ of its components.
"""

import dataclasses

import numpy as np

from tmesh.golden import entropy as entropies
from tmesh.golden import pauli
from tmesh.golden.cordic import CordicFormat
from tmesh.numbers import BoolArray, IntArray, round_shift, saturate

#: A weight below 2^-WEIGHT_BITS is refused.
WEIGHT_BITS = 8


@dataclasses.dataclass(frozen=True)
class Fraction:
    """Numerators (m, 3) and denominators (m,): the vector is numerator·2ᶠ/denominator LSB. Where it
    vanished, the denominator was too small, and is the least."""

    numerator: IntArray
    denominator: IntArray
    saturated: BoolArray
    vanished: BoolArray


@dataclasses.dataclass(frozen=True)
class Observation:
    """Of states (m, 3): eigenvalues (m, 2), ascending, entropy in nats, purity and the probability
    ρ₀₀ of outcome 0, all in LSB of Q(2, f)."""

    eigenvalues: IntArray
    entropy: IntArray
    purity: IntArray
    diagonal: IntArray


def mean(own: IntArray, others: IntArray, there: BoolArray, dephase: bool, f: int) -> Fraction:
    """Of `own` (m, 3) and those of `others` (m, k, 3) that are `there` (m, k), all of one weight;
    with `dephase` of their z alone, which decides outcomes."""
    total = own + np.sum(others * there[..., None], axis=1)
    if dephase:
        total = total * np.array([0, 0, 1])
    return _fraction(total, (np.sum(there, axis=1) + 1) << f)


def interfere(a: IntArray, b: IntArray, f: int) -> Fraction:
    """Swap-test interference of `a` and `b` (m, 3); its visibility is a quarter of the
    denominator, at least ½."""
    denominator = np.maximum((3 << (2 * f)) + np.sum(a * b, axis=1), 2 << (2 * f))
    return _fraction((a + b) << (f + 1), denominator)


def weigh(c: IntArray, own: IntArray, other: IntArray, f: int) -> Fraction:
    """`own` combined with `other` (m, 3), under the forms `c` (4, 4, 4) of x, y, z and weight. The
    same roundings as in `pauli`, 2f + 1 fraction bits."""
    moved = np.einsum("ijk,mk->mij", c[..., 1:], other) + (c[..., 0] << f)
    fine, outside = saturate(round_shift(moved[..., 1:], f - 1), f + 2, pauli.SLACK)
    total = 2 * moved[..., 0] + np.einsum("mij,mj->mi", fine, own)
    denominator, least = total[:, 3], least_weight(f)
    return Fraction(
        numerator=total[:, :3],
        denominator=np.maximum(denominator, least),
        saturated=np.any(outside, axis=(1, 2)),
        vanished=denominator < least,
    )


def least_weight(f: int) -> int:
    """The least denominator of a `weigh`."""
    return 1 << (2 * f + 1 - WEIGHT_BITS)


def weight(fraction: Fraction, f: int) -> IntArray:
    """The weight of a `weigh` in Q(2, f)."""
    return saturate(round_shift(fraction.denominator, f + 1), f + 2)[0]


def visibility(fraction: Fraction, f: int) -> IntArray:
    """The visibility of an `interfere` in Q(2, f)."""
    return round_shift(fraction.denominator, f + 2)


def settle(fraction: Fraction, squarings: int, f: int) -> tuple[IntArray, BoolArray]:
    """The vectors (m, 3) of fractions, squared `squarings` times, of length ≤ 1 + 2 LSB; and which
    saturated."""
    r, saturated = quotient(fraction.numerator, fraction.denominator, f)
    for _ in range(squarings):
        length = np.sum(r * r, axis=1)
        r, more = quotient(r << (f + 1), (1 << (2 * f)) + length, f)
        saturated |= more
    fitted = pauli.renormalise(r.T.astype(np.float64), f, longest(f))
    return fitted.T.astype(np.int64), saturated | fraction.saturated


def _fraction(numerator: IntArray, denominator: IntArray) -> Fraction:
    never = np.zeros(len(numerator), dtype=np.bool_)
    return Fraction(numerator, denominator, never, never)


def longest(f: int) -> int:
    """The most LSB by which a vector is shortened, a quarter: a weight of 2⁻⁸ makes much of the
    roundings before it."""
    return 1 << (f - 2)


def quotient(n: IntArray, d: IntArray, f: int) -> tuple[IntArray, BoolArray]:
    """n·2ᶠ/d for n (m, 3) and d (m,), rounded half to even, clipped to ±(2^(f+1) − 1)."""
    q, rest = np.divmod(np.abs(n) << f, d[:, None])
    up = (2 * rest > d[:, None]) | ((2 * rest == d[:, None]) & (q & 1 == 1))
    limit = (1 << (f + 1)) - 1
    return np.sign(n) * np.minimum(q + up, limit), np.any(q + up > limit, axis=1)


def outcome_entropy(r: IntArray, f: int) -> IntArray:
    """S(diag ρ) in nats, Q(2, f), of states (m, 3): the test of collapse."""
    return _entropy(np.abs(r[:, 2]) << (CordicFormat(f).fraction - f - 1), f)


def observe(r: IntArray, f: int) -> Observation:
    """Spectrum, entropy, purity and diagonal of states (m, 3)."""
    extra = CordicFormat(f).fraction - f - 1
    square = np.sum(r * r, axis=1)
    length = square_root(square << (2 * extra))
    values = _eigenvalues(length, f)
    return Observation(
        eigenvalues=round_shift(values, extra + 1),
        entropy=_entropy(length, f),
        purity=round_shift((1 << (2 * f)) + square, f + 1),
        diagonal=round_shift((1 << f) + r[:, 2], 1),
    )


def square_root(n: IntArray) -> IntArray:
    """⌊√n⌋ of non-negative n below 2⁵²."""
    root = np.sqrt(n.astype(np.float64)).astype(np.int64)
    root -= root * root > n
    return np.asarray(root + ((root + 1) * (root + 1) <= n))


def _eigenvalues(length: IntArray, f: int) -> IntArray:
    """½(1 ∓ |r|) (m, 2) with the fraction bits of the eigensolver, of |r| with one less."""
    half = 1 << (CordicFormat(f).fraction - 1)
    return np.stack([half - length, half + length], axis=1)


def _entropy(length: IntArray, f: int) -> IntArray:
    return entropies.entropy(_eigenvalues(length, f), f)
