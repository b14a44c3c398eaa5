"""Monogamy: qubits cannot share entanglement freely, and an agent cannot share its vote.

Classical copies of a density matrix do not obey the first; the second forbids a double spend, and
the protocol enforces it with signatures. The first is here for illustration.
"""

import numpy as np
import numpy.typing as npt

from tmesh import checks
from tmesh.devices import Device, operands
from tmesh.errors import InvalidInput
from tmesh.golden.reference import ComplexArray, FloatArray
from tmesh.numbers import IntArray

_YY = np.fliplr(np.diag([-1, 1, 1, -1])).astype(np.complex128)


def concurrence(device: Device, rho: npt.ArrayLike) -> FloatArray:
    """Concurrence (...,) of two-qubit density matrices (..., 4, 4), with spectra from the device.

    max(0, λ₁ − λ₂ − λ₃ − λ₄), where λᵢ², descending, are the eigenvalues of √ρ ρ̃ √ρ and ρ̃ =
    (σ_y⊗σ_y) ρ* (σ_y⊗σ_y) (Wootters, Phys. Rev. Lett. 80, 2245, 1998). An eigenvalue that is off by
    ε puts λ off by up to √ε, so at Q(2, 16) a separable state may show some 0.02.
    """
    state = operands.density_matrix("rho", rho, device.config.q, 4)
    values, vectors = device.eigh(state)
    root = vectors * np.sqrt(np.clip(values, 0, 1))[..., None, :] @ vectors.conj().swapaxes(-2, -1)
    # Rounding of the vectors must not make an operator of more than norm 1.
    largest = np.linalg.norm(root, ord=2, axis=(-2, -1))
    root /= np.maximum(largest, 1.0)[..., None, None]
    flipped = _YY @ state.conj() @ _YY
    squares = device.eigvalsh(device.conjugate(root, flipped))
    lengths = np.sqrt(np.clip(squares, 0, None))[..., ::-1]
    return np.clip(lengths[..., 0] - np.sum(lengths[..., 1:], axis=-1), 0, 1)


def residual_tangle(psi: npt.ArrayLike) -> FloatArray:
    """4 det ρ_A − C²(A:B) − C²(A:C) of pure three-qubit states (..., 8), never negative (Coffman,
    Kundu, Wootters, Phys. Rev. A 61, 052306, 2000); on the host, in float64, illustrative.

    A is the first qubit. For pure three-qubit states ρ_AB has rank two, so C² = Tr R − 2√(e₂(R))
    with R = ρ ρ̃ and e₂ the second symmetric function of its eigenvalues.
    """
    amplitudes = checks.complexes("psi", psi)
    if amplitudes.ndim < 1 or amplitudes.shape[-1] != 8:
        raise InvalidInput(f"psi must have shape (..., 8), not {amplitudes.shape}")
    # Over the largest part first: squares of large or small amplitudes do not fit float64.
    parts = np.stack([amplitudes.real, amplitudes.imag], axis=-1)
    largest = np.max(np.abs(parts), axis=(-2, -1), initial=0.0)
    if not np.all(largest > 0):
        raise InvalidInput("psi must not be zero, as a state has a direction")
    parts = parts / largest[..., None, None]
    amplitudes = parts[..., 0] + 1j * parts[..., 1]
    amplitudes = amplitudes / np.linalg.norm(amplitudes, axis=-1, keepdims=True)
    t = amplitudes.reshape(*amplitudes.shape[:-1], 2, 2, 2)
    first = np.einsum("...abc,...dbc->...ad", t, t.conj())
    with_second = np.einsum("...abc,...dec->...abde", t, t.conj())
    with_third = np.einsum("...abc,...dbf->...acdf", t, t.conj())
    pairs = [_squared(pair.reshape(*t.shape[:-3], 4, 4)) for pair in (with_second, with_third)]
    return np.asarray(4 * np.linalg.det(first).real - pairs[0] - pairs[1])


def _squared(rho: ComplexArray) -> FloatArray:
    """Squared concurrence of states of rank two."""
    r = rho @ (_YY @ rho.conj() @ _YY)
    trace = np.trace(r, axis1=-2, axis2=-1).real
    second = (trace**2 - np.trace(r @ r, axis1=-2, axis2=-1).real) / 2
    return np.asarray(trace - 2 * np.sqrt(np.clip(second, 0, None)))


def support(
    authors: npt.ArrayLike, outcomes: npt.ArrayLike, agents: int, conflicting: int
) -> tuple[FloatArray, IntArray]:
    """Shares (conflicting,) of `agents` that stand for each outcome of one conflict set, and the
    agents that voted for two, which count for none. Votes (m,) have an author and an outcome.

    The shares sum to at most 1 whatever the votes are: a vote is monogamous.
    """
    agents = checks.integer("agents", agents, least=1)
    conflicting = checks.integer("conflicting", conflicting, least=1)
    who, what = checks.column("authors", authors), checks.column("outcomes", outcomes)
    if who.shape != what.shape:
        raise InvalidInput(f"outcomes: {len(what)} of {len(who)} votes")
    checks.numbered("authors", who, agents, "agents")
    checks.numbered("outcomes", what, conflicting, "conflicting outcomes")
    voted = np.zeros((agents, conflicting), dtype=np.bool_)
    voted[who, what] = True
    double = np.count_nonzero(voted, axis=1) > 1
    return np.sum(voted[~double], axis=0) / agents, np.nonzero(double)[0]
