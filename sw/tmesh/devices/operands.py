"""Operands of a device, judged as the core sees them: on the grid of its format.

A device rounds its operands, so the limits are those of the rounded value. `reference` computes
with the value itself, but refuses the same operands as the other devices.
"""

import numpy as np

from tmesh import checks, packets
from tmesh.errors import InvalidInput
from tmesh.golden import pauli
from tmesh.golden.reference import ComplexArray, FloatArray, dagger, partial_trace, trace
from tmesh.numbers import IntArray, Q

#: LSBs by which a trace, an operator norm or a Bloch vector may exceed 1.
TOLERANCE = 4

#: LSBs by which a resident Bloch vector may be longer than 1.
EXCESS = 2

#: The noun in errors about agents that are not loaded.
RESIDENT = "resident agents"

#: Neighbours of one round.
MOST_NEIGHBOURS = (1 << packets.ROUND["others"]) - 1


def matrices(name: str, value: object, *sizes: int) -> ComplexArray:
    """`value` as finite complex128 of shape (..., n, n), n one of `sizes`.

    No part may be beyond ±2, the range of the format: squares and sums of larger ones overflow.
    """
    array = checks.matrices(name, value, *sizes)
    parts = np.stack([array.real, array.imag])
    outside = ~(np.abs(parts) <= 2)
    if np.any(outside):
        raise InvalidInput(f"{name} must have parts from −2 to 2, not {parts[outside][0]:.6g}")
    return array


def bounded(name: str, array: ComplexArray, q: Q) -> ComplexArray:
    """A matrix with spectral norm below 2, the range of the format."""
    check_norm(name, on_grid(array, q))
    return array


def check_norm(name: str, rounded: ComplexArray) -> None:
    """Refuse a spectral norm of 2 or more: below, every part fits the format."""
    # The Frobenius norm settles most.
    norm = largest_norm(rounded[~(np.linalg.norm(rounded, axis=(-2, -1)) < 2)])
    if not norm < 2:
        raise InvalidInput(f"{name} must have a spectral norm below 2, not {norm:.6g}")


def hermitian(name: str, array: ComplexArray, q: Q) -> ComplexArray:
    """A Hermitian matrix; deviations up to half an LSB are symmetrised."""
    array = checks.hermitian(name, array, q.lsb / 2)
    return np.asarray((array + dagger(array)) / 2)


def density_matrix(name: str, value: object, q: Q, *sizes: int) -> ComplexArray:
    """`value` as Hermitian with trace 1 and no negative eigenvalue, to within 4 LSB."""
    array = hermitian(name, matrices(name, value, *sizes), q)
    rounded = on_grid(array, q)
    traces = trace(rounded).real
    off = np.abs(traces - 1)
    if not np.all(off <= TOLERANCE * q.lsb):
        raise InvalidInput(f"{name} must have trace 1, not {traces.flat[np.argmax(off)]:.6g}")
    if array.shape[-1] == 2:
        lowest = float(np.min(traces - length(rounded), initial=0.0)) / 2
    else:
        lowest = float(np.min(np.linalg.eigvalsh(rounded), initial=0.0))
    if not lowest >= -TOLERANCE * q.lsb:
        raise InvalidInput(f"{name} must not have negative eigenvalues, found {lowest:.6g}")
    return array


def contraction(name: str, value: object, q: Q) -> ComplexArray:
    """`value` as operators (..., 4, 4) with a spectral norm of at most 1 + 4 LSB."""
    array, limit = matrices(name, value, 4), 1 + TOLERANCE * q.lsb
    rounded = on_grid(array, q)
    # ‖U‖² ≤ 1 + ‖U†U − I‖ settles unitary operators without a decomposition.
    excess = dagger(rounded) @ rounded - np.eye(4)
    norm = largest_norm(rounded[~(np.linalg.norm(excess, axis=(-2, -1)) <= limit**2 - 1)])
    if not norm <= limit:
        raise InvalidInput(f"{name} must have a spectral norm of at most 1, not {norm:.6g}")
    return array


def check_reduced(name: str, array: ComplexArray, keep: int, q: Q) -> None:
    """Refuse joint matrices whose partial trace has no room in the format."""
    reduced = partial_trace(on_grid(array, q), keep)
    check_norm(f"the partial trace of {name}", reduced)


def is_unitary(array: ComplexArray, lsb: float) -> bool:
    """Whether ‖U†U − I‖₂ is at most 8 LSB: unitary, its parts rounded or not."""
    excess = largest_norm(dagger(array) @ array - np.eye(array.shape[-1]))
    return excess <= 2 * TOLERANCE * lsb


def bloch_vectors(name: str, value: object, q: Q) -> FloatArray:
    """`value` as Bloch vectors (n, 3), none longer than 1 by more than 4 LSB.

    A vector longer than 1 by more than 2 LSB is shortened radially, as a device shortens its own.
    """
    array = checks.reals(name, value)
    if array.ndim != 2 or array.shape[1] != 3:
        raise InvalidInput(f"{name} must have shape (n, 3), not {array.shape}")
    outside = ~(np.abs(array) <= 2)
    if np.any(outside):
        longest = float(np.max(np.abs(array)))
        raise InvalidInput(f"{name} must not have vectors longer than 1, found {longest:.6g}")
    rounded = np.rint(array * 2.0**q.f)
    # np.linalg.norm takes six times as long over so short an axis.
    squares = np.einsum("ni,ni->n", rounded, rounded)
    longest = float(np.sqrt(np.max(squares, initial=0.0))) * q.lsb
    if not longest <= 1 + TOLERANCE * q.lsb:
        raise InvalidInput(f"{name} must not have vectors longer than 1, found {longest:.6g}")
    long = squares > (2**q.f + EXCESS) ** 2
    if np.any(long):
        array = array.copy()
        array[long] = pauli.renormalise(rounded[long].T, q.f).T * q.lsb
    return array


def pairs(name: str, value: object, loaded: int) -> IntArray:
    """`value` as pairs (m, 2) of different resident agents."""
    array = checks.numbered(name, checks.rows(name, value, 2), loaded, RESIDENT)
    return checks.different(name, array)


def opinions(
    name: str, own: object, other: str, heard: object, q: Q
) -> tuple[FloatArray, FloatArray]:
    """z components (m,), and the components that each cites (m, k), NaN for none, all from −1 to
    1."""
    first, others = checks.reals(name, own), checks.reals_or_nan(other, heard)
    if first.ndim != 1:
        raise InvalidInput(f"{name} must have shape (m,), not {first.shape}")
    if others.ndim != 2 or len(others) != len(first):
        raise InvalidInput(f"{other} must have shape ({len(first)}, k), not {others.shape}")
    if others.shape[1] > MOST_NEIGHBOURS:
        raise InvalidInput(f"{other}: at most {MOST_NEIGHBOURS} opinions, not {others.shape[1]}")
    for label, z in ((name, first), (other, others)):
        if np.any(np.abs(z) > 1 + EXCESS * q.lsb):
            raise InvalidInput(f"{label} must not exceed 1, found {np.nanmax(np.abs(z)):.6g}")
    return first, others


def agents(name: str, value: object, loaded: int) -> IntArray:
    """`value` as resident agents (m,)."""
    return checks.numbered(name, checks.column(name, value), loaded, RESIDENT)


def neighbours(name: str, value: object, count: int, loaded: int) -> IntArray:
    """`value` as resident agents (count, k), −1 for none; k up to `MOST_NEIGHBOURS`."""
    form = f" ({count}, k), −1 for none"
    array = checks.integers(name, value, form)
    if array.shape == (0,) and count == 0 and isinstance(value, list | tuple):
        array = array.reshape(0, 0)
    if array.ndim != 2 or len(array) != count:
        raise InvalidInput(f"{name} must be integers ({count}, k), not {array.dtype} {array.shape}")
    if array.shape[1] > MOST_NEIGHBOURS:
        raise InvalidInput(f"{name}: at most {MOST_NEIGHBOURS} for an agent, not {array.shape[1]}")
    return checks.numbered(name, array, loaded, RESIDENT, least=-1)


def on_grid(array: ComplexArray, q: Q) -> ComplexArray:
    """`array` with its parts rounded to the grid, but not to the range of the format."""
    scale = 2.0**q.f
    parts = np.rint(array.real * scale) + 1j * np.rint(array.imag * scale)
    return np.asarray(parts * q.lsb, dtype=np.complex128)


def integers(array: ComplexArray, q: Q) -> IntArray:
    """Matrices (..., n, n) as the core takes them, (..., n, n, 2)."""
    return q.quantise(np.stack([array.real, array.imag], axis=-1))


def form(c: FloatArray, q: Q) -> IntArray:
    """An operator's rows on the grid; entries of 1 that are a few LSB more are 1."""
    return q.quantise(np.clip(c, -1, 1))


def length(array: ComplexArray) -> FloatArray:
    """|r| of Hermitian (..., 2, 2): the distance of their eigenvalues."""
    z = array[..., 0, 0].real - array[..., 1, 1].real
    return np.asarray(np.hypot(z, 2 * np.abs(array[..., 0, 1])))


def largest_norm(array: ComplexArray) -> float:
    """The largest spectral norm ‖·‖₂ of a batch (..., n, n); 0 for an empty one."""
    return float(np.max(np.linalg.norm(array, ord=2, axis=(-2, -1)), initial=0.0))
