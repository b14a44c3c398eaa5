"""The von Neumann entropy −Σ λ ln λ in integers, equal to the gateware bit for bit.

With λ = m·2⁻ˢ and m in [1, 2), −λ ln λ = 2⁻ˢ·m·(s ln 2 − ln m): ln m by linear interpolation in a
table, then one multiplication. An eigenvalue is clipped to [0, 1] first.
"""

import itertools
import math

import numpy as np

from tmesh.golden.cordic import CordicFormat
from tmesh.numbers import IntArray, round_shift

#: log2 of the segments of the table of ln m.
SEGMENT_BITS = 6

#: Bits of the place within a segment, and fraction bits of the logarithm in the table.
PLACE_BITS, LOG_FRACTION = 12, 20

#: Fraction bits of the two factors, m and its logarithm, of at most 18 bits each.
MANTISSA, FACTOR = 17, 14

#: Fraction bits in which the terms are added.
SUM_FRACTION = 24


def logarithms() -> tuple[list[int], list[int]]:
    """ln m at the start of each segment, and its rise over the segment."""
    scale, segments = 1 << LOG_FRACTION, 1 << SEGMENT_BITS
    points = [round(math.log(1 + k / segments) * scale) for k in range(segments + 1)]
    return points[:-1], [b - a for a, b in itertools.pairwise(points)]


def doublings(f: int) -> list[int]:
    """s·ln 2 for s from 0 to the fraction bits of an eigenvalue."""
    steps = CordicFormat(f).fraction + 1
    return [round(s * math.log(2) * (1 << LOG_FRACTION)) for s in range(steps)]


def terms(values: IntArray, f: int) -> IntArray:
    """−λ ln λ with `SUM_FRACTION` fraction bits, of eigenvalues with the CORDIC's fraction bits."""
    fraction = CordicFormat(f).fraction
    u = np.clip(values, 0, 1 << fraction)
    shift = np.zeros_like(u)
    for bit in range(fraction):
        shift += u < 1 << (fraction - bit)
    # m with 30 fraction bits, its leading one left out.
    m = ((u << shift) << (30 - fraction)) & ((1 << 30) - 1)
    start, rise = (np.array(table) for table in logarithms())
    segment = m >> (30 - SEGMENT_BITS)
    place = (m >> (30 - SEGMENT_BITS - PLACE_BITS)) & ((1 << PLACE_BITS) - 1)
    log_m = start[segment] + ((rise[segment] * place) >> PLACE_BITS)
    log = (np.array(doublings(f))[shift] - log_m) >> (LOG_FRACTION - FACTOR)
    mantissa = (1 << MANTISSA) + (m >> (30 - MANTISSA))
    product = (mantissa * log) >> (MANTISSA + FACTOR - SUM_FRACTION)
    return np.where(u == 0, np.int64(0), product >> shift)


def entropy(values: IntArray, f: int) -> IntArray:
    """Entropy in nats as Q(2, f), (...,), of eigenvalues (..., n), n up to 4."""
    total = np.sum(terms(values, f), axis=-1)
    return np.asarray(round_shift(total, SUM_FRACTION - f), dtype=np.int64)
