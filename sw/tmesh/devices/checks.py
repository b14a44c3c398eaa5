"""Validation of operands: every error names the argument and shows the value."""

import numpy as np
import numpy.typing as npt

from tmesh import packets
from tmesh.errors import InvalidInput
from tmesh.golden.reference import ComplexArray, FloatArray, dagger, trace
from tmesh.numbers import IntArray

#: LSBs by which a trace or an operator norm may exceed 1.
TOLERANCE = 4

#: Neighbours of one round.
MOST_NEIGHBOURS = (1 << packets.ROUND["others"]) - 1


def matrices(name: str, value: npt.ArrayLike, n: int) -> ComplexArray:
    """`value` as finite complex128 of shape (..., n, n)."""
    array = np.asarray(value, dtype=np.complex128)
    if array.ndim < 2 or array.shape[-2:] != (n, n):
        raise InvalidInput(f"{name} must have shape (..., {n}, {n}), not {array.shape}")
    if not np.all(np.isfinite(array)):
        raise InvalidInput(f"{name} holds {array[~np.isfinite(array)][0]}")
    return array


def bounded(name: str, array: ComplexArray) -> ComplexArray:
    """A matrix with spectral norm below 2, the range of the format."""
    # The Frobenius norm settles most.
    norm = largest_norm(array[np.linalg.norm(array, axis=(-2, -1)) >= 2])
    if norm >= 2:
        raise InvalidInput(f"{name} must have a spectral norm below 2, not {norm:.6g}")
    return array


def hermitian(name: str, array: ComplexArray, lsb: float) -> ComplexArray:
    """A Hermitian matrix; deviations up to half an LSB are symmetrised."""
    deviation = float(np.max(np.abs(array - dagger(array)), initial=0.0))
    if deviation > lsb / 2:
        raise InvalidInput(
            f"{name} is not Hermitian: it differs from its adjoint by {deviation:.6g}"
        )
    return np.asarray((array + dagger(array)) / 2)


def square(name: str, value: npt.ArrayLike) -> ComplexArray:
    """`value` as finite complex128 of shape (..., 2, 2) or (..., 4, 4)."""
    array = np.asarray(value, dtype=np.complex128)
    if array.ndim < 2 or array.shape[-1] not in (2, 4):
        raise InvalidInput(f"{name} must have shape (..., n, n) with n 2 or 4, not {array.shape}")
    return matrices(name, array, array.shape[-1])


def density_matrix(name: str, array: ComplexArray, lsb: float) -> ComplexArray:
    """A Hermitian matrix with trace 1 and no negative eigenvalue, to within 4 LSB."""
    array = hermitian(name, array, lsb)
    traces = trace(array).real
    off = np.abs(traces - 1)
    if np.any(off > TOLERANCE * lsb):
        raise InvalidInput(f"{name} must have trace 1, not {traces.flat[np.argmax(off)]:.6g}")
    if array.shape[-1] == 2:
        z = array[..., 0, 0].real - array[..., 1, 1].real
        lowest = float(np.min(traces - np.hypot(z, 2 * np.abs(array[..., 0, 1])), initial=0.0)) / 2
    else:
        lowest = float(np.min(np.linalg.eigvalsh(array), initial=0.0))
    if lowest < -TOLERANCE * lsb:
        raise InvalidInput(f"{name} must not have negative eigenvalues, found {lowest:.6g}")
    return array


def contraction(name: str, array: ComplexArray, lsb: float) -> ComplexArray:
    """An operator with spectral norm at most 1 + 4 LSB."""
    limit = 1 + TOLERANCE * lsb
    # ‖U‖² ≤ 1 + ‖U†U − I‖ settles unitary operators without a decomposition.
    excess = dagger(array) @ array - np.eye(array.shape[-1])
    norm = largest_norm(array[np.linalg.norm(excess, axis=(-2, -1)) > limit**2 - 1])
    if norm > limit:
        raise InvalidInput(f"{name} must have a spectral norm of at most 1, not {norm:.6g}")
    return array


def is_unitary(array: ComplexArray, lsb: float) -> bool:
    """Whether ‖U†U − I‖₂ is at most 8 LSB: unitary, its parts rounded or not."""
    excess = largest_norm(dagger(array) @ array - np.eye(array.shape[-1]))
    return excess <= 2 * TOLERANCE * lsb


def bloch_vectors(name: str, value: npt.ArrayLike, lsb: float) -> FloatArray:
    """`value` as finite float64 of shape (n, 3), none longer than 1 by more than 4 LSB."""
    array = np.asarray(value, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 3:
        raise InvalidInput(f"{name} must have shape (n, 3), not {array.shape}")
    if not np.all(np.isfinite(array)):
        raise InvalidInput(f"{name} holds {array[~np.isfinite(array)][0]}")
    # np.linalg.norm takes six times as long over so short an axis.
    longest = float(np.sqrt(np.max(np.einsum("ni,ni->n", array, array), initial=0.0)))
    if longest > 1 + TOLERANCE * lsb:
        raise InvalidInput(f"{name} must not have vectors longer than 1, found {longest:.6g}")
    return array


def pairs(name: str, value: npt.ArrayLike, agents: int) -> IntArray:
    """`value` as pairs (m, 2) of different agents below `agents`."""
    array = np.asarray(value)
    if array.size == 0:
        array = array.reshape(-1, 2).astype(np.int64)
    if array.ndim != 2 or array.shape[1] != 2 or not np.issubdtype(array.dtype, np.integer):
        raise InvalidInput(f"{name} must be integers (m, 2), not {array.dtype} {array.shape}")
    outside = (array < 0) | (array >= agents)
    if np.any(outside):
        raise InvalidInput(f"{name} names agent {array[outside][0]}, but {agents} are loaded")
    alone = array[:, 0] == array[:, 1]
    if np.any(alone):
        raise InvalidInput(f"{name}: agent {array[alone][0, 0]} cannot meet itself")
    return array.astype(np.int64)


def agents(name: str, value: npt.ArrayLike, loaded: int) -> IntArray:
    """`value` as agents (m,) below `loaded`."""
    array = np.asarray(value)
    if array.size == 0:
        array = array.reshape(-1).astype(np.int64)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise InvalidInput(f"{name} must be integers (m,), not {array.dtype} {array.shape}")
    outside = (array < 0) | (array >= loaded)
    if np.any(outside):
        raise InvalidInput(f"{name} names agent {array[outside][0]}, but {loaded} are loaded")
    return array.astype(np.int64)


def neighbours(name: str, value: npt.ArrayLike, count: int, loaded: int) -> IntArray:
    """`value` as agents (count, k) below `loaded`, or −1 for none; k up to `MOST_NEIGHBOURS`."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise InvalidInput(
            f"{name} must be integers ({count}, k), −1 for none: rows differ"
        ) from None
    if array.size == 0 and len(array) == count:
        array = np.zeros((count, 0), dtype=np.int64)
    if array.ndim != 2 or len(array) != count or not np.issubdtype(array.dtype, np.integer):
        raise InvalidInput(f"{name} must be integers ({count}, k), not {array.dtype} {array.shape}")
    if array.shape[1] > MOST_NEIGHBOURS:
        raise InvalidInput(f"{name}: at most {MOST_NEIGHBOURS} for an agent, not {array.shape[1]}")
    outside = (array < -1) | (array >= loaded)
    if np.any(outside):
        raise InvalidInput(f"{name} names agent {array[outside][0]}, but {loaded} are loaded")
    return array.astype(np.int64)


def largest_norm(array: ComplexArray) -> float:
    """The largest spectral norm ‖·‖₂ of a batch (..., n, n); 0 for an empty one."""
    return float(np.max(np.linalg.norm(array, ord=2, axis=(-2, -1)), initial=0.0))
