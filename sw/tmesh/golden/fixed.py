"""The core's arithmetic in integer NumPy, equal to the gateware bit for bit.

A complex integer matrix is one int64 array with a last axis of 2 (real, imaginary part). A 2×2
matrix is (..., 2, 2, 2), a 4×4 one (..., 4, 4, 2). With the core's format Q(2, f) of width w = f +
2, the steps of the gossip datapath and each place where a value is rounded are:

===========  =====================  =======================================  ==================
value        format                 rounded                                  overflow
===========  =====================  =======================================  ==================
U, a, b      Q(2, f)                by the host, to the grid                 refused by the host
K = a ⊗ b    Q(1, f+1)              once, from the full product              clips, flagged
T = U K      Q(1, f+1)              once, from the full 4-term sum           clips, flagged
Y = T U†     2f+1 fraction bits     never (full width)                       cannot
Tr Y, Tr_i   2f+1 fraction bits     never (full width)                       cannot
numerators   Q(1, f+1), scaled      once, after scaling by 2^s (½ ≤ 2^s p)   clips, flagged
1/(2^s p)    f+2 fraction bits      truncated, from p truncated to f+5 bits  clips at 2 − 2^-(f+2)
results      Q(2, f)                once, from the full product              cannot
===========  =====================  =======================================  ==================

Numerators are the Bloch components times the weight (Y₀₀ − Y₁₁ and 2Y₀₁ of the reduced matrix),
so an error in them counts half in the density matrix.
"""

import dataclasses

import numpy as np

from tmesh.errors import InvalidInput
from tmesh.golden import entropy, jacobi
from tmesh.numbers import BoolArray, IntArray, Q, any_flag, round_shift, saturate
from tmesh.opcodes import Opcode

#: Fine-format LSBs by which a valid state or operator may exceed 1.0, as traces and norms are
#: admitted to within 4 LSB each. They are clipped, harmless after normalisation, and not flagged.
SLACK = 64

#: Weights below 2^-8 are refused.
WEIGHT_BITS = 8


@dataclasses.dataclass(frozen=True)
class Normalised:
    """Result of `normalise`: matrices (..., states, 2, 2, 2) in Q(2, f) and their common weight."""

    states: IntArray
    weight: IntArray
    saturated: BoolArray
    vanished: BoolArray


def identity(n: int, f: int) -> IntArray:
    """The n×n identity in Q(2, f)."""
    eye = np.zeros((n, n, 2), dtype=np.int64)
    eye[..., 0] = np.eye(n, dtype=np.int64) << f
    return eye


def complex_multiply(a: IntArray, b: IntArray, conjugate: bool = False) -> IntArray:
    """Full-width a·b, or a·b* with `conjugate`, elementwise over (..., 2)."""
    sign = -1 if conjugate else 1
    re = a[..., 0] * b[..., 0] - sign * a[..., 1] * b[..., 1]
    im = a[..., 1] * b[..., 0] + sign * a[..., 0] * b[..., 1]
    return np.stack([re, im], axis=-1)


def dagger(x: IntArray) -> IntArray:
    """Conjugate transpose."""
    return np.asarray(np.swapaxes(x, -2, -3) * np.array([1, -1]))


def _matmul(a: IntArray, b: IntArray) -> IntArray:
    re = a[..., 0] @ b[..., 0] - a[..., 1] @ b[..., 1]
    im = a[..., 0] @ b[..., 1] + a[..., 1] @ b[..., 0]
    return np.stack([re, im], axis=-1)


def kron(a: IntArray, b: IntArray, f: int, fine: bool) -> tuple[IntArray, BoolArray]:
    """a ⊗ b rounded to Q(2, f), or to Q(1, f+1) when `fine`; and the overflow flag."""
    full = complex_multiply(a[..., :, None, :, None, :], b[..., None, :, None, :, :])
    full = full.reshape(*full.shape[:-5], 4, 4, 2)
    rounded = round_shift(full, f - 1 if fine else f)
    k, flag = saturate(rounded, f + 2, SLACK if fine else 0)
    return k, any_flag(flag, (-1, -2, -3))


def operator_mac(
    left: IntArray, x: IntArray, right: IntArray, f: int, hermitian: bool
) -> tuple[IntArray, BoolArray]:
    """Y = L X R† at full width; L and R in Q(2, f), X in any format of f+2 bits.

    The intermediate T = L X is rounded to the format of X. With `hermitian` the upper triangle is
    mirrored and the diagonal made real, which is exact for L = R and Hermitian X.
    """
    t, flag = saturate(round_shift(_matmul(left, x), f), f + 2, SLACK)
    y = _matmul(t, dagger(right))
    if hermitian:
        upper = np.triu(np.ones((4, 4), dtype=np.int64), 1)[..., None]
        diagonal = np.eye(4, dtype=np.int64)[..., None] * np.array([1, 0])
        y = y * diagonal + y * upper + dagger(y * upper)
    return y, any_flag(flag, (-1, -2, -3))


def partial_trace(x: IntArray, keep: int) -> IntArray:
    """Full-width reduced matrix of factor `keep`."""
    tensor = x.reshape(*x.shape[:-3], 2, 2, 2, 2, 2)
    if keep == 0:
        return tensor[..., :, 0, :, 0, :] + tensor[..., :, 1, :, 1, :]
    return tensor[..., 0, :, 0, :, :] + tensor[..., 1, :, 1, :, :]


def reciprocal(p: IntArray, f: int) -> IntArray:
    """⌊2^(2f+7) / p⌋ for p of f+5 bits with its top bit set, clipped to f+3 bits.

    With p read as a number in [½, 1) this is 1/p in (1, 2] with f+2 fraction bits.
    """
    return np.minimum((1 << (2 * f + 7)) // p, (1 << (f + 3)) - 1)


def normalise(y: IntArray, f: int) -> Normalised:
    """Divide Hermitian 2×2 matrices of one trace by it: (..., states, 2, 2, 2) in and out.

    Inputs have 2f+1 fraction bits. A weight below 2^-8 sets `vanished` and gives maximally mixed
    states; one of 2 or more saturates.
    """
    full = 2 * f + 2
    p = y[..., 0, 0, 0, 0] + y[..., 0, 1, 1, 0]
    vanished = p < 1 << (2 * f + 1 - WEIGHT_BITS)
    overflow = p >= 1 << full
    weight, _ = saturate(round_shift(p, f + 1), f + 2)
    bounded = np.where(vanished, 1 << (full - 1), np.minimum(p, (1 << full) - 1))
    shift = np.zeros(bounded.shape, dtype=np.int64)
    for bit in range(1, WEIGHT_BITS + 2):
        shift += bounded < 1 << (full - bit)
    g = reciprocal((bounded << shift) >> (f - 3), f)
    numerators = np.stack(
        [y[..., 0, 0, 0] - y[..., 1, 1, 0], 2 * y[..., 0, 1, 0], 2 * y[..., 0, 1, 1]], axis=-1
    )
    numerators = np.where(vanished[..., None, None], np.int64(0), numerators)
    scaled, flag = saturate(round_shift(numerators << shift[..., None, None], f + 1), f + 2, SLACK)
    products = scaled * g[..., None, None]
    z = round_shift((1 << (2 * f + 3)) + products[..., 0], f + 4)
    re, im = (round_shift(products[..., k], f + 4) for k in (1, 2))
    zero = np.zeros_like(z)
    rows = [z, zero, re, im, re, -im, (1 << f) - z, zero]
    states = np.stack(rows, axis=-1).reshape(*z.shape, 2, 2, 2)
    return Normalised(states, weight, any_flag(flag, (-1, -2)) | overflow, vanished)


def evolve(u: IntArray, a: IntArray, b: IntArray, f: int) -> Normalised:
    """Both reduced states of U(a⊗b)U†/p, stacked on axis -4, and the weight p."""
    k, k_flag = kron(a, b, f, fine=True)
    y, t_flag = operator_mac(u, k, u, f, hermitian=True)
    result = normalise(np.stack([partial_trace(y, 0), partial_trace(y, 1)], axis=-4), f)
    return dataclasses.replace(result, saturated=result.saturated | k_flag | t_flag)


def square(a: IntArray, f: int) -> Normalised:
    """ρ²/Tr ρ² on the same datapath: X = ρ ⊗ |0⟩⟨0|, L = I, R = ρ ⊗ I.

    Then T = X exactly and Y = ρ² ⊗ |0⟩⟨0| at full width, so nothing is rounded before the
    normalisation. State 0 of the result is ρ²/Tr ρ², state 1 is |0⟩⟨0|.
    """
    eye = identity(2, f)
    zero_state = eye * np.array([[1, 0], [0, 0]])[..., None]
    k, k_flag = kron(a, zero_state, f, fine=True)
    right, r_flag = kron(a, eye, f, fine=False)
    y, t_flag = operator_mac(identity(4, f), k, right, f, hermitian=True)
    result = normalise(np.stack([partial_trace(y, 0), partial_trace(y, 1)], axis=-4), f)
    return dataclasses.replace(result, saturated=result.saturated | k_flag | r_flag | t_flag)


def round_joint(y: IntArray, f: int) -> tuple[IntArray, BoolArray]:
    """A full-width matrix with 2f fraction bits rounded to Q(2, f), and the overflow flag."""
    rounded, flag = saturate(round_shift(y, f), f + 2)
    return rounded, any_flag(flag, (-1, -2, -3))


@dataclasses.dataclass(frozen=True)
class Reply:
    """The core's answer. y (..., 4, 4, 2) is the 4×4 result, or has two states on its diagonal
    blocks. Weight, eigenvalues (..., 4), their entropy and flags follow. A field that a command
    does not compute is zero."""

    y: IntArray
    weight: IntArray
    values: IntArray
    entropy: IntArray
    saturated: BoolArray
    vanished: BoolArray


def block_diagonal(a: IntArray, b: IntArray) -> IntArray:
    """(..., 4, 4, 2) with `a` and `b` (..., 2, 2, 2) on the diagonal."""
    a, b = np.broadcast_arrays(a, b)
    x = np.zeros((*a.shape[:-3], 4, 4, 2), dtype=np.int64)
    x[..., :2, :2, :] = a
    x[..., 2:, 2:, :] = b
    return x


def execute(opcode: Opcode, u: IntArray, x: IntArray, f: int) -> Reply:
    """One command of the core on a batch; a and b are the diagonal blocks of `x`.

    Raises ``ValueError`` for operands that are not integers of Q(2, f).
    """
    u, x = _operand("u", u, f), _operand("x", x, f)
    a, b = x[..., :2, :2, :], x[..., 2:, 2:, :]
    zeros = np.zeros(x.shape[:-3], dtype=np.int64)
    blank = Reply(
        y=np.zeros_like(x),
        weight=zeros,
        values=np.zeros((*zeros.shape, 4), dtype=np.int64),
        entropy=zeros,
        saturated=zeros == 1,
        vanished=zeros == 1,
    )
    match opcode:
        case Opcode.EVOLVE | Opcode.SQUARE:
            n = evolve(u, a, b, f) if opcode == Opcode.EVOLVE else square(a, f)
            y = block_diagonal(n.states[..., 0, :, :, :], n.states[..., 1, :, :, :])
            return dataclasses.replace(
                blank, y=y, weight=n.weight, saturated=n.saturated, vanished=n.vanished
            )
        case Opcode.KRON:
            y, saturated = kron(a, b, f, fine=False)
        case Opcode.CONJUGATE | Opcode.JOINT:
            if opcode == Opcode.JOINT:
                x, k_flag = kron(a, b, f, fine=False)
            full, t_flag = operator_mac(u, x, u, f, hermitian=True)
            y, y_flag = round_joint(full, f)
            saturated = t_flag | y_flag | (k_flag if opcode == Opcode.JOINT else False)
        case Opcode.PARTIAL_TRACE:
            eye = identity(4, f)
            full, t_flag = operator_mac(eye, x, eye, f, hermitian=True)  # exact: Y = X, Hermitian
            traces = block_diagonal(partial_trace(full, 0), partial_trace(full, 1))
            y, flags = saturate(round_shift(traces, f), f + 2)
            saturated = any_flag(flags, (-1, -2, -3))
        case _:
            return _eigensystem(opcode, x, f, blank)
    return dataclasses.replace(blank, y=y, saturated=saturated)


def _operand(name: str, value: IntArray, f: int) -> IntArray:
    array = Q(2, f).fitting(name, value, " (..., 4, 4, 2)")
    if array.ndim < 3 or array.shape[-3:] != (4, 4, 2):
        raise InvalidInput(f"{name} must be integers (..., 4, 4, 2), not of shape {array.shape}")
    return array


def _eigensystem(opcode: Opcode, x: IntArray, f: int, blank: Reply) -> Reply:
    n = 2 if opcode in (Opcode.EIGENVALUES_2, Opcode.EIGENVECTORS_2) else 4
    vectors = opcode in (Opcode.EIGENVECTORS_2, Opcode.EIGENVECTORS_4)
    spectrum = jacobi.eigh(x[..., :n, :n, :], f, vectors=vectors)
    y = blank.y.copy()
    if spectrum.vectors is not None:
        y[..., :n, :n, :] = jacobi.to_format(spectrum.vectors, f)[0]
    rounded, flags = jacobi.to_format(spectrum.values, f)
    values = blank.values.copy()
    values[..., :n] = rounded
    return dataclasses.replace(
        blank,
        y=y,
        values=values,
        entropy=entropy.entropy(spectrum.values, f),
        saturated=spectrum.saturated | any_flag(flags, (-1,)),
    )
