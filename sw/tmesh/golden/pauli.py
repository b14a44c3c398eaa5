"""Gossip on Bloch vectors: the core's Pauli-transfer arithmetic in integers, bit for bit.

With r = (1, own) and t = (1, other), an operator U acts on a pair of Bloch vectors. Each component
of the result is a real form (the Pauli transfer matrix of ρ → Tr_j U(ρ⊗ρ')U†)::

    own'_i = Σ_jk C_ijk r_j t_k,   C_ijk = ¼ Tr[(σ_i⊗I) U (σ_j⊗σ_k) U†]

For the second agent, own and other change places. A unitary has C_i00 = 0, so a result takes 45
multiplications: 36 contract t away, 9 remain. With the core's format Q(2, f):

===========================  ================  ===============================  ================
value                        format            rounded                          overflow
===========================  ================  ===============================  ================
C, own, other                Q(2, f)           by the host, to the grid         refused there
M_ij = Σ_k C_ijk t_k, j ≥ 1  Q(1, f+1)         once, from the full sum          clips, flagged
M_i0                         2f fraction bits  never (full width)               cannot
own'_i = M_i0 + Σ_j M_ij r_j Q(2, f)           once, from the full sum          clips, flagged
renormalised own'            Q(2, f)           the correction, to the grid      cannot
===========================  ================  ===============================  ================

A vector longer than 1 by k ≥ ½ LSB is shortened by k·2⁻ᶠ of its components, with k rounded and at
most 15. That suffices for all roundings above, and needs no multiplier.

The integers are held in float64, which is exact below 2⁵³ and which NumPy multiplies much faster.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tmesh import schedule
from tmesh.golden import reference
from tmesh.golden.reference import ComplexArray, FloatArray
from tmesh.numbers import BoolArray, IntArray

#: Units of 2^-(f+1) by which M may exceed 1.0, clipped and not flagged. Identity and swap have
#: entries of exactly 1, and operators are admitted to within 4 LSB.
SLACK = 64

#: The most LSB by which a vector is shortened.
LONGEST = 15

_Number = TypeVar("_Number", np.int64, np.float64)

_SIGMA: ComplexArray = np.array(
    [[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]],
    dtype=np.complex128,
)
_PAIRS = np.einsum("jab,kcd->jkacbd", _SIGMA, _SIGMA).reshape(4, 4, 4, 4)


def transfer(u: ComplexArray) -> FloatArray:
    """The forms C of operators (..., 4, 4), of shape (..., 2, 3, 4, 4). The axes are: first and
    second agent; components x, y, z of the result; (1, own); (1, other)."""
    moved = reference.conjugate(u[..., None, None, :, :], _PAIRS)
    first = np.einsum("iab,...jkba->...ijk", _PAIRS[1:, 0], moved).real / 4
    second = np.einsum("iab,...jkba->...ikj", _PAIRS[0, 1:], moved).real / 4
    return np.stack([first, second], axis=-4)


def weights(u: ComplexArray) -> FloatArray:
    """The weight p = Tr U(a⊗b)U† of operators (..., 4, 4) as a form (..., 2, 4, 4). It is a form in
    (1, own) and (1, other) of the first agent, and of the second."""
    gram = reference.dagger(u) @ u
    first = np.einsum("jkab,...ba->...jk", _PAIRS, gram).real / 4
    return np.stack([first, np.swapaxes(first, -1, -2)], axis=-3)


def rows(u: ComplexArray) -> FloatArray:
    """An operator (4, 4) as the engine keeps it, (8, 16): x, y, z of the first agent, of the
    second, and the weight of both."""
    return np.concatenate([transfer(u).reshape(6, 16), weights(u).reshape(2, 16)])


def forms(rows: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """The forms (2, 4, 4, 4) of first agent and second, x, y, z and weight, of `rows` (8, 16)."""
    split = rows.reshape(8, 4, 4)
    return np.stack([split[[0, 1, 2, 6]], split[[3, 4, 5, 7]]])


def evolve(
    c: FloatArray, own: FloatArray, other: FloatArray, f: int
) -> tuple[FloatArray, BoolArray]:
    """New states (3, m) of agents `own` (3, m), combined with `other` (3, m) under one form `c` (3,
    4, 4), and whether each saturated (m,). All are integers, held in float64."""
    moved = c[..., 1:].reshape(12, 3) @ other
    moved = moved.reshape(3, 4, -1) + c[..., :1] * 2.0**f
    fine, outside = _fitted(moved[:, 1:] * 2.0 ** -(f - 1), f, SLACK)
    total = 2 * moved[:, 0] + np.sum(fine * own, axis=1)
    result, beyond = _fitted(total * 2.0 ** -(f + 1), f, 0)
    return renormalise(result, f), np.any(outside, axis=(0, 1)) | np.any(beyond, axis=0)


def _fitted(x: FloatArray, f: int, slack: int) -> tuple[FloatArray, BoolArray]:
    """Rounded to f+2 bits, and whether a value exceeds them by more than `slack`."""
    rounded, limit = np.rint(x), 2.0 ** (f + 1)
    outside = np.abs(rounded + 0.5) > limit + slack
    return np.clip(rounded, -limit, limit - 1), outside


def renormalise(r: FloatArray, f: int, longest: int = LONGEST) -> FloatArray:
    """Vectors (3, m) longer than 1 by half an LSB or more, shortened radially by at most `longest`
    LSB."""
    excess = np.sum(r * r, axis=0) - 2.0 ** (2 * f)
    k = np.clip(np.floor((excess + 2.0**f) * 2.0 ** -(f + 1)), 0, longest)
    return np.asarray(r - np.rint(k * r * 2.0**-f))


def gossip(
    r: IntArray, rows: IntArray, pairs: IntArray, both: bool, f: int
) -> tuple[IntArray, int]:
    """Events on resident states `r` (n, 3), one after another; new states, and how many saturated.

    rows: (8, 16), see `rows`. pairs: (m, 2), the agent that is written and its partner; with `both`
    both are written, from their old states.
    """
    states, c = r.T.astype(np.float64), rows[:6].reshape(2, 3, 4, 4).astype(np.float64)
    saturations = 0
    for _, meetings in schedule.in_levels(pairs, both, len(r)):
        a, b = meetings.T
        own, other = states[:, a], states[:, b]
        states[:, a], flags = evolve(c[0], own, other, f)
        saturations += int(np.count_nonzero(flags))
        if both:
            states[:, b], flags = evolve(c[1], other, own, f)
            saturations += int(np.count_nonzero(flags))
    return states.T.astype(np.int64), saturations
