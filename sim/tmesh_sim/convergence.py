"""`make convergence`: matrices that the Jacobi solver is slow on, of every spectrum and by search.

First the largest errors over many random matrices of every kind of `tmesh_sim.vectors.spectra`.
Then hill climbing from them: matrices with large errors, perturbed copies, again and again. It
shows how many steps suffice not only for random matrices.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tmesh.entry import guarded
from tmesh.files import write_text
from tmesh.golden import bounds, jacobi
from tmesh.golden.cordic import CordicFormat
from tmesh.golden.reference import ComplexArray, FloatArray, dagger
from tmesh.numbers import IntArray

from tmesh_sim.vectors import hermitian, spectra

#: Matrices that survive a generation, and perturbed copies of each.
SURVIVORS, COPIES = 100, 40

#: Norm up to which perturbed matrices are scaled.
TOP = 1.9995

#: Matrices solved at a time; the words of a step fit into the processor's cache.
CHUNK = 2_000

#: Largest error of each of some matrices after a number of steps, or as many as the solver takes.
Score = Callable[[IntArray, int, int | None], FloatArray]


def eigenvalue_errors(x: IntArray, f: int, steps: int | None = None) -> FloatArray:
    """Largest error of the unrounded eigenvalues of each matrix, in LSB."""
    spectrum = jacobi.eigh(x, f, vectors=False, steps=steps)
    assert not spectrum.saturated.any(), "flagged, but in range"
    exact = np.linalg.eigvalsh(_exact(x, f))
    worst = np.abs(spectrum.values * 2.0 ** -CordicFormat(f).fraction - exact).max(axis=1)
    return np.asarray(worst * 2.0**f)


def vector_errors(x: IntArray, f: int, steps: int | None = None) -> tuple[FloatArray, FloatArray]:
    """Largest ‖Xv − λv‖₂, and largest entry of |V†V − I|, of each matrix in LSB; the parts of the
    eigenvectors are rounded to the format."""
    spectrum = jacobi.eigh(x, f, vectors=True, steps=steps)
    assert not spectrum.saturated.any(), "flagged, but in range"
    assert spectrum.vectors is not None
    v = _exact(jacobi.to_format(spectrum.vectors, f)[0], f)
    values = spectrum.values * 2.0 ** -CordicFormat(f).fraction
    residual = np.linalg.norm(_exact(x, f) @ v - v * values[:, None, :], axis=1).max(axis=1)
    gram = np.abs(dagger(v) @ v - np.eye(x.shape[-2])).max(axis=(1, 2))
    return np.asarray(residual * 2.0**f), np.asarray(gram * 2.0**f)


def residuals(x: IntArray, f: int, steps: int | None = None) -> FloatArray:
    """The first of `vector_errors`."""
    return vector_errors(x, f, steps)[0]


def orthogonality(x: IntArray, f: int, steps: int | None = None) -> FloatArray:
    """The second of `vector_errors`."""
    return vector_errors(x, f, steps)[1]


def perturbed(rng: np.random.Generator, x: IntArray, f: int) -> IntArray:
    """Copies with random Hermitian perturbations of all sizes, or turned by random unitaries near
    one, which keep the spectrum; on the grid, in range."""
    y = np.repeat(_exact(x, f), COPIES, axis=0)
    g = rng.normal(size=y.shape) + 1j * rng.normal(size=y.shape)
    g *= rng.random(y.shape) < rng.choice([0.1, 0.5, 1], (len(y), 1, 1))
    g += dagger(g)
    size = 2.0 ** -rng.integers(1, 16, (len(y), 1))
    w, v = np.linalg.eigh(g)
    turn = (v * np.exp(1j * size * w)[:, None, :]) @ dagger(v)
    turns = rng.random((len(y), 1, 1)) < 0.6
    y = np.where(turns, turn @ y @ dagger(turn), y + size[..., None] * g)
    norm = np.maximum(np.linalg.norm(y, ord=2, axis=(1, 2)), 2.0**-f)
    y *= (np.minimum(norm, TOP) / norm)[:, None, None]
    return hermitian(y, f)


def climb(
    pool: IntArray,
    f: int,
    steps: int,
    generations: int,
    seed: int,
    score: Score,
    survivors: int = SURVIVORS,
) -> tuple[IntArray, dict[int, float]]:
    """The worst matrices for `steps` steps that a search from `pool` finds, worst first; and the
    largest error by the number of steps, up to that."""
    rng = np.random.default_rng(seed)
    n = pool.shape[-2]
    largest: dict[int, float] = {}

    def worst(x: IntArray, steps: int) -> IntArray:
        scores = [score(x[k : k + CHUNK], f, steps) for k in range(0, len(x), CHUNK)]
        order = np.argsort(-np.concatenate(scores), kind="stable")[:survivors]
        top = float(max(part.max() for part in scores))
        largest[steps] = max(top, largest.get(steps, 0.0))
        return np.asarray(x[order])

    found = worst(pool, steps)
    for generation in range(generations):
        # Fewer steps first: their errors show the way where those of `steps` are all rounding.
        fewer = round(n * (n - 2) / 4 * (1 - generation / max(1, generations - 1)))
        best = worst(pool, steps - fewer)
        found = worst(np.concatenate([found, best]), steps)
        pool = np.concatenate([best, perturbed(rng, best, f)])
    return worst(np.concatenate([found, pool]), steps), dict(sorted(largest.items()))


def sampled(n: int, f: int, cases: int, seed: int) -> tuple[dict[str, list[float]], IntArray]:
    """The largest eigenvalue error, residual and entry of V†V − I over `cases` matrices of each
    kind of spectrum; and some matrices of every kind to begin a search with, the worst and some."""
    largest: dict[str, list[float]] = {}
    pools: dict[str, IntArray] = {}
    for start in range(0, cases, CHUNK):
        rng = np.random.default_rng((seed, start))
        for kind, x in spectra(rng, min(CHUNK, cases - start), n, f).items():
            errors = (eigenvalue_errors(x, f), *vector_errors(x, f))
            now = [float(error.max()) for error in errors]
            largest[kind] = list(map(max, largest.get(kind, now), now))
            pool = np.concatenate(
                [pools.get(kind, x[:SURVIVORS]), *(x[[e.argmax()]] for e in errors)]
            )
            pools[kind] = pool
    return largest, np.concatenate(list(pools.values()))


def _exact(x: IntArray, f: int) -> ComplexArray:
    return np.asarray((x[..., 0] + 1j * x[..., 1]) * 2.0**-f)


def differ(x: IntArray, f: int) -> int:
    """Matrices for which the Verilated solver gives other bits than the model, with eigenvectors
    or without."""
    # Only this function needs the gateware.
    from tmesh_hw.eigen import HermitianJacobi
    from tmesh_hw.export import simulation_verilog

    from tmesh_sim.harness import VerilatedCore
    from tmesh_sim.packing import rows

    n = x.shape[-2]
    dut = HermitianJacobi(f=f, n=n, cordics=4, vectors=True)
    wanted = np.arange(len(x)) % 8 < 6
    layouts = dut.i.payload.shape(), dut.o.payload.shape()
    with VerilatedCore(layouts, simulation_verilog(dut)) as core:
        replies, _ = core.run(rows(x, np.zeros(len(x)), wanted))
    short, whole = dut.model(x, vectors=False), dut.model(x)
    assert whole.vectors is not None
    columns = jacobi.to_format(whole.vectors, f)[0].reshape(len(x), -1)
    values = np.where(wanted[:, None], whole.values, short.values)
    wrong = np.any(replies[:, :n] != values, axis=1)
    wrong |= wanted & np.any(replies[:, n : n + columns.shape[1]] != columns, axis=1)
    return int(np.count_nonzero(wrong))


def searches(n: int) -> list[tuple[str, Score, int]]:
    """Errors to search for by name, with the steps after which they must be small."""
    of_values, of_vectors = jacobi.STEPS[n]
    return [
        ("eigenvalue", eigenvalue_errors, of_values),
        ("residual", residuals, of_vectors),
        ("orthogonality", orthogonality, of_vectors),
    ]


def main() -> None:
    """Print the largest errors of every spectrum and of the search, and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=4, choices=list(jacobi.STEPS))
    parser.add_argument("--f", type=int, default=16)
    parser.add_argument("--cases", type=int, default=100_000, help="matrices of each spectrum")
    parser.add_argument("--generations", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gateware", action="store_true", help="try the worst on it, too")
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    n, f = arguments.n, arguments.f
    limits = [b[n] for b in (bounds.INNER_EIGENVALUE, bounds.RESIDUAL, bounds.ORTHOGONALITY)]
    largest, pool = sampled(n, f, arguments.cases, arguments.seed)
    print(f"{n}×{n}, Q(2,{f}), {arguments.cases:,} matrices of each spectrum; errors in LSB\n")
    print("| spectrum | eigenvalue | residual | orthogonality |")
    print("|---|--:|--:|--:|")
    for kind, errors in largest.items():
        print(_row(kind, errors), flush=True)
    climbs = {
        name: climb(pool, f, steps, arguments.generations, arguments.seed, score)
        for name, score, steps in searches(n)
    }
    by_steps = {name: errors for name, (_, errors) in climbs.items()}
    found = [by_steps[name][steps] for name, _, steps in searches(n)]
    print(_row("found by search", found))
    print(_row("limit", limits))
    for name, errors_after in by_steps.items():
        steps = ", ".join(f"{error:.1f} after {k}" for k, error in errors_after.items())
        print(f"\n{name}, by steps: {steps}")
    worst = np.concatenate([found for found, _ in climbs.values()])
    differing = differ(worst, f) if arguments.gateware else None
    if differing is not None:
        print(f"\ngateware: {differing} of {len(worst):,} matrices differ from the model")
    report = {
        **{name: getattr(arguments, name) for name in ("n", "f", "cases", "generations", "seed")},
        "limits": dict(zip(by_steps, limits, strict=True)),
        "spectra": {kind: dict(zip(by_steps, row, strict=True)) for kind, row in largest.items()},
        "search": by_steps,
        "gateware": {"matrices": len(worst), "differing": differing},
    }
    write_text(arguments.json, json.dumps(report, indent=1, ensure_ascii=False) + "\n")


def _row(name: str, errors: list[float]) -> str:
    return f"| {name} | " + " | ".join(f"{error:.2f}" for error in errors) + " |"


if __name__ == "__main__":
    sys.exit(guarded(main))
