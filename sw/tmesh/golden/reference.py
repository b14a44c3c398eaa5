"""The mathematics in float64 NumPy, on arrays (..., 2, 2) and (..., 4, 4) of complex128.

Every function broadcasts over leading axes. These are the exact oracles of the fixed-point model.
There is no limit to norms. Operands that are not finite, and results beyond float64, are refused:
``ValueError`` names the argument.
"""

import numpy as np
import numpy.typing as npt

from tmesh import checks
from tmesh.compiled import compiled
from tmesh.errors import InvalidInput
from tmesh.numbers import IntArray

ComplexArray = npt.NDArray[np.complex128]
FloatArray = npt.NDArray[np.float64]

#: SWAP |ij⟩ = |ji⟩.
SWAP: ComplexArray = np.eye(4, dtype=np.complex128)[[0, 2, 1, 3]]

#: Projector on the symmetric subspace, ½(I + SWAP): the accepting branch of the swap test
#: (Buhrman, Cleve, Watrous, de Wolf 2001).
SYMMETRIC: ComplexArray = (np.eye(4) + SWAP) / 2

#: The largest difference of a matrix from its adjoint: above rounding in float64, below an LSB.
HERMITIAN = 1e-6


def dagger(x: ComplexArray) -> ComplexArray:
    """Conjugate transpose of the last two axes."""
    return np.conj(np.swapaxes(x, -1, -2))


def trace(x: ComplexArray) -> ComplexArray:
    """Trace over the last two axes."""
    return np.asarray(np.trace(x, axis1=-2, axis2=-1))


def kron(a: ComplexArray, b: ComplexArray) -> ComplexArray:
    """Kronecker product of (..., 2, 2) matrices, (..., 4, 4)."""
    a, b = checks.matrices("a", a, 2), checks.matrices("b", b, 2)
    with np.errstate(over="ignore", invalid="ignore"):
        product = a[..., :, None, :, None] * b[..., None, :, None, :]
    return checks.finite("a or b", product.reshape(*product.shape[:-4], 4, 4))


def conjugate(u: ComplexArray, x: ComplexArray) -> ComplexArray:
    """U X U†."""
    u, x = checks.matrices("u", u, 2, 4, 8), checks.matrices("x", x, 2, 4, 8)
    with np.errstate(over="ignore", invalid="ignore"):
        return checks.finite("u or x", u @ x @ dagger(u))


def partial_trace(x: ComplexArray, keep: int) -> ComplexArray:
    """Reduced matrix (..., 2, 2) of factor `keep` (0 or 1) of a (..., 4, 4) matrix."""
    x, keep = checks.matrices("x", x, 4), checks.choice("keep", keep, (0, 1))
    tensor = x.reshape(*x.shape[:-2], 2, 2, 2, 2)
    with np.errstate(over="ignore", invalid="ignore"):
        reduced = np.einsum("...ikjk->...ij" if keep == 0 else "...kikj->...ij", tensor)
    return checks.finite("x", reduced)


def evolve(
    u: ComplexArray, a: ComplexArray, b: ComplexArray
) -> tuple[ComplexArray, ComplexArray, FloatArray]:
    """Both reduced states of U(a⊗b)U† divided by its trace, and that trace (the weight p)."""
    joint = conjugate(u, kron(a, b))
    p = trace(joint).real
    joint = _over_trace("u", joint)
    return partial_trace(joint, 0), partial_trace(joint, 1), p


def meet(c: FloatArray, own: FloatArray, other: FloatArray) -> FloatArray:
    """Σ_jk c_ijk (1, own)_j (1, other)_k for Bloch vectors (3, m) and n forms (n, 4, 4): one side
    of an evolve, see `tmesh.golden.pauli`."""
    c, own, other = (checks.reals(*one) for one in (("c", c), ("own", own), ("other", other)))
    if c.shape[1:] != (4, 4) or own.shape != other.shape or own.shape[:1] != (3,):
        raise InvalidInput(
            f"c, own and other must be (n, 4, 4), (3, m) and (3, m), "
            f"not {c.shape}, {own.shape} and {other.shape}"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        return checks.finite("own or other", unchecked_meet(c, own, other))


def unchecked_meet(c: FloatArray, own: FloatArray, other: FloatArray) -> FloatArray:
    """`meet` for callers whose arrays are checked already."""
    moved = c[..., 1:].reshape(-1, 3) @ other + c[..., 0].reshape(-1, 1)
    moved = moved.reshape(len(c), 4, -1)
    return np.asarray(moved[:, 0] + np.sum(moved[:, 1:] * own, axis=1))


def meet_in_order(
    r: FloatArray, pairs: IntArray, c: FloatArray, both: bool, longest: float
) -> None:
    """Resident Bloch vectors `r` (n, 3), in place: `meet` for each of `pairs` (m, 2), one after
    another. c: the forms (2, 3, 4, 4) of the first and of the second agent, which is written
    with `both`. A vector that gets longer than `longest` is shortened to 1."""
    # Compiled code would write beyond `r` for an agent out of range.
    met = checks.numbered("pairs", checks.rows("pairs", pairs, 2), len(r), "agents")
    _meet_in_order(r, met, c, both, longest)


@compiled
def _meet_in_order(
    r: FloatArray, pairs: IntArray, c: FloatArray, both: bool, longest: float
) -> None:
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
            # Scalars: an array expression would allocate memory for every event.
            x, y, z = new[side]
            length = np.sqrt(x * x + y * y + z * z)
            scale = length if length > longest else 1.0
            for i in range(3):
                r[sides[side], i] = new[side, i] / scale


def _over_trace(name: str, x: ComplexArray) -> ComplexArray:
    """x/Tr x of matrices with a positive trace."""
    traces = trace(x).real
    if not np.all(traces > 0):
        raise InvalidInput(f"{name}: the trace must be positive, not {np.min(traces):.6g}")
    with np.errstate(over="ignore", invalid="ignore"):
        return checks.finite(name, x / traces[..., None, None])


def squared(r: FloatArray, squarings: int) -> FloatArray:
    """Bloch vectors (m, 3) of ρ^κ/Tr ρ^κ, κ = 2^squarings: r → 2r/(1 + |r|²) as often."""
    r = checks.vectors("r", r, 3)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(checks.integer("squarings", squarings, least=0)):
            r = 2 * r / (1 + np.sum(r * r, axis=1, keepdims=True))
    return checks.finite("r", r)


def binary_entropy(length: FloatArray) -> FloatArray:
    """−Σ λ ln λ in nats of the two eigenvalues ½(1 ± length), |length| clipped to 1."""
    clipped = np.clip(np.abs(checks.reals("length", length)), 0, 1)
    return _entropy((1 + clipped[..., None] * np.array([1, -1])) / 2)


def _entropy(values: FloatArray) -> FloatArray:
    """−Σ λ ln λ of eigenvalues (..., n) from 0 to 1; all terms of the sum have one sign."""
    logarithms = np.log(np.where(values > 0, values, 1.0))
    return np.asarray(np.abs(np.sum(values * logarithms, axis=-1)))


def purify(a: ComplexArray, kappa: int) -> ComplexArray:
    """ρ^κ / Tr ρ^κ for κ a power of two, by repeated squaring."""
    a, kappa = checks.matrices("a", a, 2, 4), checks.power_of_two("kappa", kappa)
    while kappa > 1:
        with np.errstate(over="ignore", invalid="ignore"):
            a = checks.finite("a", a @ a)
        a = _over_trace("a", a)
        kappa //= 2
    return a


def partial_swap(eta: float | FloatArray) -> ComplexArray:
    """U(η) = cos η·I − i sin η·SWAP (Scarani et al. 2002); shape (..., 4, 4)."""
    angle = checks.reals("eta", eta)[..., None, None]
    return np.cos(angle) * np.eye(4) - 1j * np.sin(angle) * SWAP


def weight(u: ComplexArray, a: ComplexArray, b: ComplexArray) -> FloatArray:
    """p = Tr U(a⊗b)U†, real."""
    return trace(conjugate(u, kron(a, b))).real


def entropy(x: ComplexArray) -> FloatArray:
    """Von Neumann entropy −Σ λ ln λ in nats, (...,), of density matrices (..., n, n); eigenvalues
    are clipped to [0, 1]."""
    # NumPy reads one triangle and takes the other for its adjoint.
    x = checks.hermitian("x", checks.matrices("x", x, 2, 4, 8), HERMITIAN)
    return _entropy(np.clip(np.linalg.eigvalsh(x), 0, 1))
