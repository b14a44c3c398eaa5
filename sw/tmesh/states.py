"""Density matrices and Bloch vectors: ρ = ½(I + r·σ)."""

import numpy as np
import numpy.typing as npt

from tmesh import checks
from tmesh.golden.reference import HERMITIAN, ComplexArray, FloatArray


def bloch(rho: npt.ArrayLike) -> FloatArray:
    """Bloch vectors (..., 3), r_k = Tr(ρ σ_k), of Hermitian 2×2 matrices (..., 2, 2).

    Raises ``ValueError`` for another shape, NaN, or a matrix that is not Hermitian.
    """
    m = checks.hermitian("rho", checks.matrices("rho", rho, 2), HERMITIAN)
    with np.errstate(over="ignore"):
        z = (m[..., 0, 0] - m[..., 1, 1]).real
        r = np.stack([2 * m[..., 1, 0].real, 2 * m[..., 1, 0].imag, z], axis=-1)
    return checks.finite("rho", r)


def density(r: npt.ArrayLike) -> ComplexArray:
    """Density matrices (..., 2, 2) of Bloch vectors (..., 3).

    The map is linear: a vector longer than 1 has a matrix, too, with a negative eigenvalue. Raises
    ``ValueError`` for another shape, complex numbers or NaN.
    """
    v = checks.vectors("r", r, 3)
    rho = np.empty((*v.shape[:-1], 2, 2), dtype=np.complex128)
    rho[..., 0, 0], rho[..., 1, 1] = (1 + v[..., 2]) / 2, (1 - v[..., 2]) / 2
    rho[..., 0, 1] = (v[..., 0] - 1j * v[..., 1]) / 2
    rho[..., 1, 0] = np.conj(rho[..., 0, 1])
    return rho
