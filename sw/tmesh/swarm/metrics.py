"""Figures of a swarm's opinions."""

import numpy as np

from tmesh.golden import rounds
from tmesh.golden.reference import FloatArray
from tmesh.numbers import IntArray
from tmesh.sheaf import CellularSheaf


def agreement(z: FloatArray) -> float:
    """1 − mean|z_i − z̄|/2 of opinions (agents,) from −1 to 1."""
    return float(1 - np.mean(np.abs(z - z.mean())) / 2)


def purity(z: FloatArray) -> float:
    """Mean Tr ρ_i²."""
    return float(np.mean((1 + z**2) / 2))


def coherence(z: FloatArray) -> float:
    """Mean Tr(ρ_i ρ̄), which equals Tr ρ̄²."""
    return float((1 + z.mean() ** 2) / 2)


def entropies(z: IntArray, f: int) -> FloatArray:
    """S(diag ρ) in nats of opinions (agents,) in units of 2⁻ᶠ: the core's integers."""
    r = np.stack([0 * z, 0 * z, z], axis=1)
    return np.asarray(rounds.outcome_entropy(r, f) / 2.0**f)


def consistency_radius(z: FloatArray, links: list[tuple[int, int]]) -> float:
    """The largest difference of two opinions (agents,) that a drawn link joins: how far the swarm
    is from a global section. It accuses nobody."""
    if not links:
        return 0.0
    sheaf = CellularSheaf.on_graph(len(z), links, dim=1)
    return float(sheaf.consistency_radius(z))


def obstruction(z: FloatArray, heard: FloatArray, links: list[tuple[int, int]]) -> float:
    """‖b − δδ⁺b‖ of one claim a link, b = z_i − (z_j as agent i heard it last).

    z: (agents,); heard: (links,), the opinion of the second end as the first heard it last. It is 0
    if some assignment of opinions explains all links.
    """
    if not links:
        return 0.0
    first = np.array([a for a, _ in links])
    sheaf = CellularSheaf.on_graph(len(z), links, dim=1)
    return float(sheaf.obstruction(heard - z[first])[0])
