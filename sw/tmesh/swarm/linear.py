"""The linear baseline: five random pure states and fifteen pairwise averages.

Linear mixing only raises entropy, so it never decides anything; the mean state is conserved, so
the coherence Tr ρ̄² does not even change during the run. On average it is (1 + 1/N)/2 = 0.6.
"""

import dataclasses

import numpy as np

from tmesh import checks
from tmesh.golden.reference import FloatArray, entropy
from tmesh.states import density

AGENTS, STEPS = 5, 15


@dataclasses.dataclass(frozen=True)
class Linear:
    """Means over the seeds, before and after the run."""

    seeds: int
    coherence_before: float
    coherence_after: float
    coherence_error: float
    entropy_before: float
    entropy_after: float


def linear(seeds: int = 10_000, seed: int = 0) -> Linear:
    """Run the baseline for many seeds at once."""
    seeds, seed = checks.integer("seeds", seeds, least=1), checks.seed("seed", seed)
    rng = np.random.default_rng(seed)
    r = rng.normal(size=(seeds, AGENTS, 3))
    r /= np.linalg.norm(r, axis=-1, keepdims=True)
    before = _coherence(r)
    entropy_before = float(np.mean(entropy(density(r))))
    rows = np.arange(seeds)
    for _ in range(STEPS):
        pairs = rng.permuted(np.tile(np.arange(AGENTS), (seeds, 1)), axis=1)[:, :2]
        mean = (r[rows, pairs[:, 0]] + r[rows, pairs[:, 1]]) / 2
        r[rows, pairs[:, 0]] = r[rows, pairs[:, 1]] = mean
    after = _coherence(r)
    return Linear(
        seeds=seeds,
        coherence_before=float(before.mean()),
        coherence_after=float(after.mean()),
        coherence_error=float(after.std() / np.sqrt(seeds)),
        entropy_before=entropy_before,
        entropy_after=float(np.mean(entropy(density(r)))),
    )


def _coherence(r: FloatArray) -> FloatArray:
    return np.asarray((1 + np.sum(r.mean(axis=1) ** 2, axis=-1)) / 2)
