"""Density matrices as a device gives them out: with probabilities on the diagonal."""

import numpy as np

from tmesh.devices.operands import TOLERANCE, length
from tmesh.golden.reference import ComplexArray, FloatArray
from tmesh.numbers import Q


def states(rho: ComplexArray, q: Q) -> ComplexArray:
    """Computed states (..., 2, 2) with trace 1 and a diagonal from 0 to 1.

    Rounding may push a pure state out of the Bloch ball, and a small weight magnifies that. A state
    that no device would take back is shortened radially, towards zero on the grid.
    """
    half = (rho[..., 0, 0].real - rho[..., 1, 1].real) / 2
    across, long = rho[..., 0, 1], length(rho)
    outside = long > 1 + 2 * TOLERANCE * q.lsb
    if np.any(outside):
        scale = np.where(outside, 1 / np.maximum(long, 1), 1.0)

        def shortened(part: FloatArray) -> FloatArray:
            return np.where(outside, np.trunc(part * scale * 2.0**q.f) * q.lsb, part)

        half = shortened(half)
        across = shortened(across.real) + 1j * shortened(across.imag)
    result = np.empty(rho.shape, dtype=np.complex128)
    result[..., 0, 0] = first = np.clip(0.5 + half, 0, 1)
    result[..., 0, 1], result[..., 1, 0] = across, np.conj(across)
    result[..., 1, 1] = 1 - first
    return result
