"""What is measured of a swarm's states."""

import numpy as np

from tmesh.golden.reference import ComplexArray, FloatArray
from tmesh.states import bloch


def entropy(rho: ComplexArray) -> FloatArray:
    """Von Neumann entropy −Σ λ ln λ in nats, (...,), of (..., 2, 2)."""
    radius = np.minimum(np.linalg.norm(bloch(rho), axis=-1), 1)
    return _binary_entropy((1 - radius) / 2)


def diagonal_entropy(rho: ComplexArray) -> FloatArray:
    """Entropy of the outcome probabilities, S(diag ρ), in nats."""
    return _binary_entropy(np.clip(rho[..., 0, 0].real, 0, 1))


def agreement(rho: ComplexArray) -> float:
    """1 − mean|r_i − r̄|/2."""
    r = bloch(rho)
    return float(1 - np.mean(np.linalg.norm(r - r.mean(axis=0), axis=-1)) / 2)


def purity(rho: ComplexArray) -> float:
    """Mean Tr ρ_i²."""
    return float(np.mean((1 + np.sum(bloch(rho) ** 2, axis=-1)) / 2))


def coherence(rho: ComplexArray) -> float:
    """Mean Tr(ρ_i ρ̄), which equals Tr ρ̄²."""
    return float((1 + np.sum(bloch(rho).mean(axis=0) ** 2)) / 2)


def _binary_entropy(p: FloatArray) -> FloatArray:
    both = np.stack([p, 1 - p])
    logs = np.log(np.where(both > 0, both, 1.0))
    return np.asarray(-np.sum(both * logs, axis=0))
