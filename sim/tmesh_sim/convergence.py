"""`make convergence`: a search for 4×4 matrices that Jacobi is slow on.

Hill climbing: from the matrices with the largest error after `steps` steps, perturbed copies, again
and again. It shows how many steps suffice not only for random matrices.
"""

import argparse
from collections.abc import Callable

import numpy as np
from tmesh.golden import jacobi
from tmesh.golden.cordic import CordicFormat
from tmesh.golden.reference import ComplexArray, FloatArray, dagger
from tmesh.numbers import IntArray

from tmesh_sim.vectors import spectra

#: Matrices that survive a generation, and perturbed copies of each.
SURVIVORS, COPIES = 300, 60

#: Norm up to which perturbed matrices are scaled.
TOP = 1.9995


def errors(x: IntArray, f: int, steps: int) -> FloatArray:
    """Largest eigenvalue error of each matrix, in LSB, after `steps` steps."""
    values = jacobi.eigh(x, f, vectors=False, steps=steps).values
    exact = np.linalg.eigvalsh((x[..., 0] + 1j * x[..., 1]) * 2.0**-f)
    worst = np.abs(values * 2.0 ** -CordicFormat(f).fraction - exact).max(axis=1)
    return np.asarray(worst * 2.0**f)


def residuals(x: IntArray, f: int, steps: int) -> FloatArray:
    """Largest ‖Xv − λv‖₂ of each matrix, in LSB, after `steps` steps."""
    found = jacobi.eigh(x, f, vectors=True, steps=steps)
    assert found.vectors is not None
    scale = 2.0 ** -CordicFormat(f).fraction
    v = (found.vectors[..., 0] + 1j * found.vectors[..., 1]) * scale
    rest = (x[..., 0] + 1j * x[..., 1]) * 2.0**-f @ v - v * (found.values * scale)[:, None, :]
    return np.asarray(np.linalg.norm(rest, axis=1).max(axis=1) * 2.0**f)


def perturbed(rng: np.random.Generator, x: IntArray, f: int) -> IntArray:
    """Copies with random Hermitian perturbations of all sizes, on the grid, in range."""
    y: ComplexArray = np.repeat((x[..., 0] + 1j * x[..., 1]) * 2.0**-f, COPIES, axis=0)
    g = rng.normal(size=y.shape) + 1j * rng.normal(size=y.shape)
    g *= rng.random(y.shape) < rng.choice([0.1, 0.5, 1], (len(y), 1, 1))
    y = y + 2.0 ** -rng.integers(1, 14, (len(y), 1, 1)) * (g + dagger(g))
    norm = np.linalg.norm(y, ord=2, axis=(1, 2))
    y *= (np.minimum(norm, TOP) / norm)[:, None, None]
    return np.rint(np.stack([y.real, y.imag], axis=-1) * 2**f).astype(np.int64)


def climb(
    f: int,
    steps: int,
    generations: int,
    population: int,
    seed: int,
    score: Callable[[IntArray, int, int], FloatArray] = errors,
) -> IntArray:
    """The worst matrices for `steps` steps that the search finds, from `population` of each kind
    of spectrum; `score` says what is bad."""
    rng = np.random.default_rng(seed)
    pool = np.concatenate(list(spectra(rng, population, 4, f).values()))
    for generation in range(generations):
        # Fewer steps first: their errors show the way where those of `steps` are all rounding.
        fewer = 2 - 3 * generation // generations
        best = pool[np.argsort(-score(pool, f, steps - fewer))[:SURVIVORS]]
        pool = np.concatenate([best, perturbed(rng, best, f)])
    return pool


def main() -> None:
    """Print the largest errors after each number of steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generations", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("| in LSB, searched for | " + " | ".join(f"{n} steps" for n in range(8, 13)) + " |")
    print("|---|" + "--:|" * 5)
    for name, score, searched in (
        ("eigenvalue error", errors, (9, 10)),
        ("residual", residuals, (11, 12)),
    ):
        for steps in searched:
            found = climb(16, steps, arguments.generations, 10_000, arguments.seed, score)
            row = " | ".join(f"{score(found, 16, n).max():.1f}" for n in range(8, 13))
            print(f"| {name}, {steps} steps | {row} |", flush=True)


if __name__ == "__main__":
    main()
