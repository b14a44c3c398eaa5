"""Density matrices and Bloch vectors: ρ = ½(I + r·σ)."""

import numpy as np
import numpy.typing as npt

from tmesh.errors import InvalidInput
from tmesh.golden.reference import ComplexArray, FloatArray


def bloch(rho: npt.ArrayLike) -> FloatArray:
    """Bloch vectors (..., 3), r_k = Tr(ρ σ_k), of 2×2 matrices (..., 2, 2)."""
    m = np.asarray(rho, dtype=np.complex128)
    if m.shape[-2:] != (2, 2):
        raise InvalidInput(f"rho must have shape (..., 2, 2), not {m.shape}")
    parts = [2 * m[..., 1, 0].real, 2 * m[..., 1, 0].imag, (m[..., 0, 0] - m[..., 1, 1]).real]
    return np.stack(parts, axis=-1)


def density(r: npt.ArrayLike) -> ComplexArray:
    """Density matrices (..., 2, 2) of Bloch vectors (..., 3)."""
    v = np.asarray(r, dtype=np.float64)
    if v.ndim < 1 or v.shape[-1] != 3:
        raise InvalidInput(f"r must have shape (..., 3), not {v.shape}")
    rho = np.empty((*v.shape[:-1], 2, 2), dtype=np.complex128)
    rho[..., 0, 0], rho[..., 1, 1] = (1 + v[..., 2]) / 2, (1 - v[..., 2]) / 2
    rho[..., 0, 1] = (v[..., 0] - 1j * v[..., 1]) / 2
    rho[..., 1, 0] = np.conj(rho[..., 0, 1])
    return rho
