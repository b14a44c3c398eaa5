"""The mathematics in float64 NumPy, on arrays (..., 2, 2) and (..., 4, 4) of complex128.

Every function broadcasts over leading axes. These are the exact oracles of the fixed-point model.
"""

import numpy as np
import numpy.typing as npt

from tmesh.compiled import compiled
from tmesh.numbers import IntArray

ComplexArray = npt.NDArray[np.complex128]
FloatArray = npt.NDArray[np.float64]

#: SWAP |ij⟩ = |ji⟩.
SWAP: ComplexArray = np.eye(4, dtype=np.complex128)[[0, 2, 1, 3]]

#: Projector on the symmetric subspace, ½(I + SWAP): the accepting branch of the swap test
#: (Buhrman, Cleve, Watrous, de Wolf 2001).
SYMMETRIC: ComplexArray = (np.eye(4) + SWAP) / 2


def dagger(x: ComplexArray) -> ComplexArray:
    """Conjugate transpose of the last two axes."""
    return np.conj(np.swapaxes(x, -1, -2))


def trace(x: ComplexArray) -> ComplexArray:
    """Trace over the last two axes."""
    return np.asarray(np.trace(x, axis1=-2, axis2=-1))


def kron(a: ComplexArray, b: ComplexArray) -> ComplexArray:
    """Kronecker product of (..., 2, 2) matrices, (..., 4, 4)."""
    product = a[..., :, None, :, None] * b[..., None, :, None, :]
    return product.reshape(*product.shape[:-4], 4, 4)


def conjugate(u: ComplexArray, x: ComplexArray) -> ComplexArray:
    """U X U†."""
    return u @ x @ dagger(u)


def partial_trace(x: ComplexArray, keep: int) -> ComplexArray:
    """Reduced matrix (..., 2, 2) of factor `keep` (0 or 1) of a (..., 4, 4) matrix."""
    tensor = x.reshape(*x.shape[:-2], 2, 2, 2, 2)
    return np.einsum("...ikjk->...ij" if keep == 0 else "...kikj->...ij", tensor)


def evolve(
    u: ComplexArray, a: ComplexArray, b: ComplexArray
) -> tuple[ComplexArray, ComplexArray, FloatArray]:
    """Both reduced states of U(a⊗b)U† divided by its trace, and that trace (the weight p)."""
    joint = conjugate(u, kron(a, b))
    p = trace(joint).real
    joint = joint / p[..., None, None]
    return partial_trace(joint, 0), partial_trace(joint, 1), p


def meet(c: FloatArray, own: FloatArray, other: FloatArray) -> FloatArray:
    """Σ_jk c_ijk (1, own)_j (1, other)_k for Bloch vectors (3, m) and n forms (n, 4, 4): one side
    of an evolve, see `tmesh.golden.pauli`."""
    moved = c[..., 1:].reshape(-1, 3) @ other + c[..., 0].reshape(-1, 1)
    moved = moved.reshape(len(c), 4, -1)
    return np.asarray(moved[:, 0] + np.sum(moved[:, 1:] * own, axis=1))


@compiled
def meet_in_order(r: FloatArray, pairs: IntArray, c: FloatArray, both: bool) -> None:
    """Resident Bloch vectors `r` (n, 3), in place: `meet` for each of `pairs` (m, 2), one after
    another. c: the forms (2, 3, 4, 4) of the first and of the second agent, which is written
    with `both`."""
    new = np.empty((2, 3))
    for event in range(len(pairs)):
        sides = pairs[event, 0], pairs[event, 1]
        for side in range(1 + both):
            own, other = sides[side], sides[1 - side]
            x, y, z = r[other, 0], r[other, 1], r[other, 2]
            for i in range(3):
                total = 0.0
                for j in range(4):
                    form = c[side, i, j]
                    moved = form[0] + form[1] * x + form[2] * y + form[3] * z
                    total += moved * (r[own, j - 1] if j else 1.0)
                new[side, i] = total
        for side in range(1 + both):
            r[sides[side]] = new[side]


def squared(r: FloatArray, squarings: int) -> FloatArray:
    """Bloch vectors (m, 3) of ρ^κ/Tr ρ^κ, κ = 2^squarings: r → 2r/(1 + |r|²) as often."""
    for _ in range(squarings):
        r = 2 * r / (1 + np.sum(r * r, axis=1, keepdims=True))
    return r


def binary_entropy(length: FloatArray) -> FloatArray:
    """−Σ λ ln λ in nats of the two eigenvalues ½(1 ± length), |length| clipped to 1."""
    values = (1 + np.clip(np.abs(length), 0, 1)[..., None] * np.array([1, -1])) / 2
    return np.asarray(-np.sum(values * np.log(np.where(values > 0, values, 1.0)), axis=-1))


def purify(a: ComplexArray, kappa: int) -> ComplexArray:
    """ρ^κ / Tr ρ^κ for κ a power of two, by repeated squaring."""
    while kappa > 1:
        a = a @ a
        a = a / trace(a)[..., None, None]
        kappa //= 2
    return a


def partial_swap(eta: float | FloatArray) -> ComplexArray:
    """U(η) = cos η·I − i sin η·SWAP (Scarani et al. 2002); shape (..., 4, 4)."""
    angle = np.asarray(eta, dtype=np.float64)[..., None, None]
    return np.cos(angle) * np.eye(4) - 1j * np.sin(angle) * SWAP


def weight(u: ComplexArray, a: ComplexArray, b: ComplexArray) -> FloatArray:
    """p = Tr U(a⊗b)U†, real."""
    return trace(conjugate(u, kron(a, b))).real


def entropy(x: ComplexArray) -> FloatArray:
    """Von Neumann entropy −Σ λ ln λ in nats, (...,), of density matrices (..., n, n); eigenvalues
    are clipped to [0, 1]."""
    values = np.clip(np.linalg.eigvalsh(x), 0, 1)
    logarithms = np.log(np.where(values > 0, values, 1.0))
    return np.asarray(-np.sum(values * logarithms, axis=-1))
