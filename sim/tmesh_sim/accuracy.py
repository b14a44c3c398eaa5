"""`make accuracy`: the integer model against float64 mathematics, beside the bounds.

Spectra of 2×2, 4×4 and 8×8 matrices of every kind, too: their bound is a limit of measured errors,
since the errors of dozens of rotations have no useful worst case. The core gives the model's bits
(the conformance suite and every bench hold that), so this is the core's accuracy. All operands lie
on the format's grid.
"""

import argparse
import dataclasses
import sys
from collections.abc import Iterator

import numpy as np
from tmesh.entry import guarded
from tmesh.golden import bounds, cordic, entropy, fixed, jacobi, pauli, reference, rounds
from tmesh.golden.cordic import CordicFormat
from tmesh.golden.reference import SYMMETRIC, ComplexArray, FloatArray
from tmesh.numbers import IntArray, Q

from tmesh_sim.convergence import eigenvalue_errors, vector_errors
from tmesh_sim.vectors import operators, spectra, states

#: Cases computed at a time.
CHUNK = 50_000

#: Meetings under one operator.
EACH = 1_000

#: Each kind of spectrum gets this share of the cases.
SPECTRAL_SHARE = 10


@dataclasses.dataclass(frozen=True)
class Row:
    """Largest error in LSB over `cases`, and its bound; where the weight p divides the
    error, both are the largest of error·p and of bound·p."""

    work: str
    f: int
    cases: int
    measured: float
    bound: float


def pairs(rng: np.random.Generator, n: int, f: int) -> tuple[IntArray, IntArray]:
    """States on the grid, (n, 2, 2, 2) each: unrelated (pure, mixed, basis, maximally mixed),
    equal, opposite, and with tiny Bloch vectors."""
    a, b = states(rng, n, f), states(rng, n, f)
    opposite = np.flip(a, axis=(1, 2)) * np.array([[1, -1], [-1, 1]])[..., None]
    half: IntArray = fixed.identity(2, f) >> 1
    tiny = half + np.array([[1, -1], [-1, 1]])[..., None] * (rng.integers(0, 4, (n, 1, 1, 1)))
    tiny[..., 0, 0, 1] = tiny[..., 1, 1, 1] = 0
    tiny[..., 1, 0, 1] = -tiny[..., 0, 1, 1]
    kind = rng.integers(0, 6, n)[:, None, None, None]
    a = np.where(kind == 5, tiny, a)
    return a, np.select([kind == 3, kind == 4], [a, opposite], b)


def evolve_rows(rng: np.random.Generator, n: int, f: int) -> Iterator[Row]:
    """Unitary operators, and contractions: projectors, and unitaries shrunk to any weight."""
    a, b = pairs(rng, n, f)
    u = operators(rng, n, f)
    shrunk = rng.random(n) < 0.2
    factor = np.where(shrunk, 2 ** rng.uniform(-4, 0, n), 1.0)[:, None, None, None]
    u = np.rint(u * factor).astype(np.int64)
    exact_u = _value(u, f)
    unitary = ~shrunk & (np.linalg.norm(exact_u, axis=(1, 2)) > 1.9)
    first, second, p = reference.evolve(exact_u, _value(a, f), _value(b, f))
    got = fixed.evolve(u, a, b, f)
    weights = _lsb(np.abs(Q(2, f).value(got.weight) - p), f)
    error = np.maximum(
        _worst(_value(got.states[:, 0], f) - first, f),
        _worst(_value(got.states[:, 1], f) - second, f),
    )
    bound = np.array([bounds.evolve(x, f) for x in p])
    fits = (p >= 2.0**-8 * (1 + 1e-6)) & ~got.vanished
    assert np.all(error[fits] <= bound[fits]), "an evolve is off by more than its bound"
    for name, rows in (("evolve, unitary", unitary), ("evolve, any other: error·p", ~unitary)):
        here = rows & fits
        measured, limit = ((x * p)[here].max() for x in (error, bound))
        yield Row(name, f, int(here.sum()), float(measured), float(limit))
    yield Row("weight p", f, n, float(weights.max()), bounds.WEIGHT)


def other_rows(rng: np.random.Generator, n: int, f: int) -> Iterator[Row]:
    """Interference, purification, and the joint operations."""
    a, b = pairs(rng, n, f)
    exact_a, exact_b = _value(a, f), _value(b, f)
    symmetric = Q(2, f).quantise(np.stack([SYMMETRIC.real, SYMMETRIC.imag], axis=-1))
    state, _, _ = reference.evolve(SYMMETRIC, exact_a, exact_b)
    got = _value(fixed.evolve(symmetric, a, b, f).states[:, 0], f)
    yield Row("interfere", f, n, float(_worst(got - state, f).max()), bounds.INTERFERE)
    rho = a
    for kappa in (2, 4, 8):
        rho = fixed.square(rho, f).states[:, 0]
        error = _worst(_value(rho, f) - reference.purify(exact_a, kappa), f)
        yield Row(f"purify, κ = {kappa}", f, n, float(error.max()), bounds.purify(kappa))
    k, _ = fixed.kron(a, b, f, fine=False)
    joint = reference.kron(exact_a, exact_b)
    yield Row("kron", f, n, float(_worst(_value(k, f) - joint, f).max()), bounds.KRON)
    yield _meeting_row(rng, n, f)
    u = operators(rng, n, f)
    y, _ = fixed.round_joint(fixed.operator_mac(u, k, u, f, hermitian=True)[0], f)
    error = _worst(_value(y, f) - reference.conjugate(_value(u, f), _value(k, f)), f)
    yield Row("conjugate", f, n, float(error.max()), bounds.CONJUGATE)


def _meeting_row(rng: np.random.Generator, n: int, f: int) -> Row:
    """A component of a Bloch vector after a meeting; `EACH` meetings an operator."""
    one, worst = 1 << f, 0.0
    count = max(1, n // EACH)
    g = rng.normal(size=(count, 4, 4)) + 1j * rng.normal(size=(count, 4, 4))
    for c in pauli.transfer(np.linalg.qr(g)[0]):
        r = rng.normal(size=(2, 3, EACH))
        r /= np.linalg.norm(r, axis=1, keepdims=True) * rng.choice([1, 1, 1.2, 1e3], (2, 1, EACH))
        own, other = np.trunc(r * one)
        for form in c:
            got, _ = pauli.evolve(np.rint(form * one), own, other, f)
            exact = reference.meet(form, own / one, other / one) * one
            worst = max(worst, float(np.abs(got - exact).max()))
    return Row("meeting (Bloch vector)", f, 2 * count * EACH, worst, bounds.MEET)


def round_rows(rng: np.random.Generator, n: int, f: int) -> Iterator[Row]:
    """Components of Bloch vectors after whole rounds, and the figures of an observation."""
    one = 1 << f
    own, b = _vectors(rng, (2, n), f)
    others = _vectors(rng, (n, 8), f)
    there = rng.random((n, 8)) < 0.9
    for dephase in (False, True):
        fraction = rounds.mean(own, others, there, dephase, f)
        exact = own + np.sum(others * there[..., None], axis=1)
        exact = exact / (one * (1 + np.sum(there, axis=1))[:, None])
        exact[:, :2] *= not dephase
        for squarings, kappa in enumerate((1, 2, 4, 8)):
            got, _ = rounds.settle(fraction, squarings, f)
            error = np.abs(got - reference.squared(exact, squarings) * one).max()
            name = f"agent round, κ = {kappa}{', dephased' if dephase else ''} (Bloch vector)"
            yield Row(name, f, n, float(error), bounds.agent_round(kappa))
    fraction = rounds.interfere(own, b, f)
    got, _ = rounds.settle(fraction, 0, f)
    visibility = (3 + np.sum(own * b, axis=1) / one**2) / 4
    error = np.abs(got - (own + b) / (2 * visibility[:, None])).max()
    yield Row("swap test (Bloch vector)", f, n, float(error), bounds.SWAP_TEST)
    yield _weighted_row(rng, n, f)
    seen, length = rounds.observe(own, f), np.linalg.norm(own, axis=1) / one
    error = np.abs(seen.eigenvalues[:, 1] - (1 + length) / 2 * one).max()
    yield Row("observed eigenvalue", f, n, float(error), bounds.EIGENVALUE[2])
    gap = np.abs(seen.entropy / one - reference.binary_entropy(length)).max() * 1e3
    yield Row("observed entropy in mnat", f, n, float(gap), bounds.entropy(f) * 1e3)


def _weighted_row(rng: np.random.Generator, n: int, f: int) -> Row:
    """Error times weight; `EACH` meetings an operator."""
    one, worst = 1 << f, 0.0
    count = max(1, n // EACH)
    g = rng.normal(size=(count, 4, 4)) + 1j * rng.normal(size=(count, 4, 4))
    for u in g / np.linalg.norm(g, ord=2, axis=(1, 2))[:, None, None]:
        own, other = _vectors(rng, (2, EACH), f)
        for form in pauli.forms(pauli.rows(u)):
            fraction = rounds.weigh(np.rint(form * one).astype(np.int64), own, other, f)
            got, _ = rounds.settle(fraction, 0, f)
            *vector, p = reference.meet(form, own.T / one, other.T / one)
            error = np.abs(got.T * p - np.stack(vector) * one)[:, ~fraction.vanished]
            worst = max(worst, float(error.max(initial=0.0)))
    return Row("weighted meeting: error·p", f, 2 * count * EACH, worst, bounds.WEIGHTED)


def _vectors(rng: np.random.Generator, shape: tuple[int, ...], f: int) -> IntArray:
    """Bloch vectors on the grid: pure, mixed and tiny ones."""
    r = rng.normal(size=(*shape, 3))
    r /= np.linalg.norm(r, axis=-1, keepdims=True) * rng.choice([1, 1, 1.2, 1e3], (*shape, 1))
    return np.trunc(r * (1 << f)).astype(np.int64)


def spectral_rows(rng: np.random.Generator, n: int, f: int) -> Iterator[Row]:
    """Eigenvalues, eigenvectors and entropy over `n` matrices of every kind of spectrum."""
    for size in (2, 4, 8):
        count = n if size < 8 else max(1, n // 20)
        for kind, x in spectra(rng, count, size, f).items():
            name = f"{size}×{size} {kind}"
            exact = _value(x, f)
            lone = jacobi.eigh(x, f, vectors=False)
            values = Q(2, f).value(jacobi.to_format(lone.values, f)[0])
            residual, orthogonality = vector_errors(x, f)
            for work, errors, limits in (
                ("eigenvalues", _lsb(values - np.linalg.eigvalsh(exact), f), bounds.EIGENVALUE),
                ("unrounded eigenvalues", eigenvalue_errors(x, f), bounds.INNER_EIGENVALUE),
                ("residual", residual, bounds.RESIDUAL),
                ("orthogonality", orthogonality, bounds.ORTHOGONALITY),
            ):
                error = float(np.abs(errors).max())
                yield Row(f"{work}, {name}", f, count, error, limits[size])
            if size < 8 and kind in (
                "density matrices",
                "pure",
                "maximally mixed",
                "rank-deficient",
            ):
                s = Q(2, f).value(entropy.entropy(lone.values, f))
                nats = float(np.abs(s - reference.entropy(exact)).max())
                yield Row(f"entropy in mnat, {name}", f, n, nats * 1e3, bounds.entropy(f) * 1e3)


def cordic_rows(rng: np.random.Generator, n: int, f: int) -> Iterator[Row]:
    """Rotation and vectoring of vectors of length up to 2."""
    fmt = CordicFormat(f)
    unit = 2.0 ** (f - fmt.fraction)  # in LSB of the format
    length = rng.uniform(0, 2, n) * 2.0**fmt.fraction
    direction = rng.uniform(-np.pi, np.pi, n)
    x, y = (np.rint(length * wave(direction)).astype(np.int64) for wave in (np.cos, np.sin))
    z = rng.integers(-(1 << fmt.angle), 1 << fmt.angle, n)
    exact = (x + 1j * y) * np.exp(1j * np.pi * z * 2.0**-fmt.angle)
    turned = cordic.rotate(x, y, z, fmt)
    error = np.maximum(np.abs(turned[0] - exact.real), np.abs(turned[1] - exact.imag)).max() * unit
    yield Row("CORDIC rotation", f, n, float(error), bounds.CORDIC_ROTATION)
    found, _ = cordic.vector(x, y, fmt)
    error = np.abs(np.abs(found) - np.hypot(x, y)).max() * unit
    yield Row("CORDIC length", f, n, float(error), bounds.CORDIC_LENGTH)


def measure(cases: int, seed: int, f: int) -> list[Row]:
    """One row for each kind of work, merged over chunks."""
    merged: dict[str, Row] = {}
    for start in range(0, cases, CHUNK):
        n = min(CHUNK, cases - start)
        # Each kind of work has separate random numbers.
        streams = [np.random.default_rng((seed, start, k)) for k in range(5)]
        for row in (
            *round_rows(streams[4], n, f),
            *evolve_rows(streams[0], n, f),
            *other_rows(streams[1], n, f),
            *cordic_rows(streams[2], n, f),
            *spectral_rows(streams[3], max(1, n // SPECTRAL_SHARE), f),
        ):
            old = merged.get(row.work, dataclasses.replace(row, cases=0, measured=0.0, bound=0.0))
            merged[row.work] = dataclasses.replace(
                row,
                cases=old.cases + row.cases,
                measured=max(old.measured, row.measured),
                bound=max(old.bound, row.bound),
            )
    return list(merged.values())


def _value(n: IntArray, f: int) -> ComplexArray:
    return np.asarray((n[..., 0] + 1j * n[..., 1]) * 2.0**-f)


def _lsb(x: FloatArray, f: int) -> FloatArray:
    return np.asarray(x * 2.0**f)


def _worst(x: ComplexArray, f: int) -> FloatArray:
    """Largest |re| or |im| of each matrix, in LSB."""
    return _lsb(np.maximum(np.abs(x.real), np.abs(x.imag)).max(axis=(-2, -1)), f)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("| work, in LSB if not said | format | cases | measured | bound |")
    print("|---|---|--:|--:|--:|")
    for f in (16, 14):
        for row in measure(arguments.cases, arguments.seed, f):
            print(
                f"| {row.work} | Q(2,{f}) | {row.cases:,} | {row.measured:.2f} | {row.bound:.2f} |"
            )


if __name__ == "__main__":
    sys.exit(guarded(main))
