"""What is measured of a swarm's states; their entropy comes from the device."""

import numpy as np

from tmesh.golden.reference import ComplexArray
from tmesh.states import bloch


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
