"""Test vectors: for every block, how to build it, random and extreme inputs, exact outputs.

The Amaranth simulator and the cocotb benches run the same vectors. Expected outputs come from the
integer model, which is itself held to the float64 reference by its own tests.
"""

import dataclasses
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from amaranth.lib import data
from tmesh.config import CoreConfig
from tmesh.golden import fixed, jacobi, pauli, reference
from tmesh.golden.reference import ComplexArray, FloatArray
from tmesh.numbers import IntArray, Q
from tmesh.opcodes import SPECTRAL, Opcode
from tmesh_hw.blocks import (
    ComplexMultiply,
    Cordic,
    Entropy,
    EntrywiseMac,
    Kronecker,
    Normalise,
    OperatorMac,
    PartialTrace,
    Queue,
    Quotient,
    Reciprocal,
    RoundedProduct,
    SquareRoot,
    StreamRegister,
)
from tmesh_hw.eigen import HermitianJacobi
from tmesh_hw.engine import Core, Engine, GossipDatapath, MicrocodedEngine
from tmesh_hw.numbers import matrix

from tmesh_sim.engine_packets import DIGEST, engine_config, sections
from tmesh_sim.owners import PatientLane, WholeTraces
from tmesh_sim.packing import rows

Vectors = tuple[IntArray, IntArray]


def build(name: str, f: int, lanes: int) -> Any:
    """The block `name` with Q(2, f) and `lanes` complex multipliers or CORDIC units."""
    # A normalisation must keep up with the MAC that feeds it.
    interval = EntrywiseMac.cycles(lanes, hermitian=True)
    cordics, iterative = min(lanes, 8), lanes == 1

    def solver(n: int, vectors: bool) -> HermitianJacobi:
        return HermitianJacobi(
            f=f, n=n, cordics=cordics, iterative=iterative, vectors=vectors, carry=5
        )

    blocks: dict[str, Callable[[], Any]] = {
        "complex_multiply": lambda: ComplexMultiply(width=f + 2),
        "rounded_product": lambda: RoundedProduct(f=f),
        "kronecker": lambda: Kronecker(f=f, lanes=lanes),
        "operator_mac": lambda: OperatorMac(f=f, lanes=lanes, carry=5),
        "partial_trace_0": lambda: PartialTrace(width=f + 2, keep=0),
        "partial_trace_1": lambda: PartialTrace(width=f + 2, keep=1),
        "partial_traces": lambda: WholeTraces(width=f + 2, units=max(1, lanes // 4)),
        "reciprocal": lambda: Reciprocal(f=f, interval=interval, carry=5),
        "normalise": lambda: Normalise(f=f, width=2 * f + 8, states=2, interval=interval),
        "cordic": lambda: Cordic(f=f, iterative=lanes == 1),
        "entropy": lambda: Entropy(f=f, n=4, carry=5),
        "jacobi_2": lambda: solver(n=2, vectors=True),
        "jacobi_4": lambda: solver(n=4, vectors=iterative),
        "jacobi_8": lambda: solver(n=8, vectors=False),
        "quotient": lambda: Quotient(f=f, carry=5),
        "square_root": lambda: SquareRoot(width=f + 7),
        "stream_register": lambda: StreamRegister(
            data.StructLayout({"x": matrix(2, f + 2)}), every=3 if lanes == 1 else 2
        ),
        "queue": lambda: Queue(data.StructLayout({"x": matrix(2, f + 2)}), depth=8),
        "pauli_lane": lambda: PatientLane(f=f),
        "engine": lambda: Engine(config=engine_config(f, lanes), digest=DIGEST),
        "microcoded_engine": lambda: MicrocodedEngine(
            config=dataclasses.replace(engine_config(f, lanes), microcoded=True), digest=DIGEST
        ),
        "gossip": lambda: GossipDatapath(config=CoreConfig(f=f, lanes=lanes)),
        "core": lambda: Core(
            config=CoreConfig(
                f=f, lanes=lanes, cordics=cordics, iterative=iterative, eigenvectors=iterative
            )
        ),
    }
    return blocks[name]()


#: Blocks by name, and whether `lanes` changes their structure.
BLOCKS = {
    "complex_multiply": False,
    "rounded_product": False,
    "kronecker": True,
    "operator_mac": True,
    "partial_trace_0": False,
    "partial_trace_1": False,
    "partial_traces": True,
    "reciprocal": False,
    "normalise": True,
    "cordic": True,
    "entropy": False,
    "jacobi_2": True,
    "jacobi_4": True,
    "gossip": True,
    "core": True,
    "quotient": False,
    "square_root": False,
    "stream_register": True,
    "queue": False,
    "pauli_lane": False,
    "engine": True,
    "microcoded_engine": False,
}


#: Blocks that take long to build and to simulate; and blocks that exist for Q(2,14) alone.
LARGE, NARROW = ("jacobi_2", "jacobi_4", "core"), ("microcoded_engine",)


def cases(few: Collection[str] = LARGE) -> list[tuple[str, int, int]]:
    """(block, fraction bits, lanes) of every test: Q(2,16) and Q(2,14), 1 lane and 16, in all four
    combinations; those of `few` in two, wide at 16 bits and narrow at 14."""
    both = [(16, 16), (14, 1)]
    return [
        (name, f, lanes)
        for name, laned in BLOCKS.items()
        for f in ((14,) if name in NARROW else (16, 14))
        for lanes in ((1, 16) if laned else (1,))
        if name not in few or (f, lanes) in both
    ]


def share(name: str, dut: Any) -> int:
    """How many times fewer transactions a block gets that takes thousands of cycles for one."""
    if name == "jacobi_8":
        return 20
    if name == "jacobi_4" and dut.iterative:
        return 20
    return 8 if name == "core" and dut.config.iterative else 1


def integers(rng: np.random.Generator, shape: tuple[int, ...], width: int) -> IntArray:
    """Signed `width`-bit integers: uniform, small, and the extremes of the format."""
    half = 1 << (width - 1)
    values = rng.integers(-half, half, shape)
    small = rng.integers(-4, 5, shape)
    extreme = rng.choice([-half, half - 1, 0, 1 << (width - 2)], shape)
    kind = rng.random((shape[0],) + (1,) * (len(shape) - 1))
    rare: IntArray = np.where(kind < 0.85, small, extreme)
    mixture: IntArray = np.where(kind < 0.7, values, rare)
    return mixture


def states(rng: np.random.Generator, n: int, f: int) -> IntArray:
    """Density matrices on the grid, (n, 2, 2, 2): mixed, pure, basis states, maximally mixed."""
    r = rng.normal(size=(n, 3))
    r /= np.linalg.norm(r, axis=1, keepdims=True)
    kind = rng.integers(0, 5, n)[:, None]
    radius = rng.random((n, 1)) ** (1 / 3)
    basis = np.eye(3)[rng.integers(0, 3, n)] * rng.choice([-1, 1], (n, 1))
    r = np.select([kind < 2, kind == 2, kind == 3], [r * radius, r, basis], 0.0)
    half = np.rint(r * (1 << (f - 1))).astype(np.int64)
    x, y, z = half.T
    one, zero = 1 << f, np.zeros(n, dtype=np.int64)
    top = (one >> 1) + z
    entries = [top, zero, x, -y, x, y, one - top, zero]
    return np.stack(entries, axis=-1).reshape(n, 2, 2, 2)


def operators(rng: np.random.Generator, n: int, f: int) -> IntArray:
    """Operators on the grid, (n, 4, 4, 2): unitaries, permutations with phases, projectors."""
    g = rng.normal(size=(n, 4, 4)) + 1j * rng.normal(size=(n, 4, 4))
    unitary = np.linalg.qr(g)[0]
    permutation = np.eye(4)[rng.permuted(np.tile(np.arange(4), (n, 1)), axis=1)]
    phases = 1j ** rng.integers(0, 4, (n, 4, 1))
    v = unitary[:, :, :2]
    projector = v @ np.conj(v.swapaxes(1, 2))
    kind = rng.integers(0, 4, n)[:, None, None]
    u = np.select([kind < 2, kind == 2], [unitary, permutation * phases], projector)
    return Q(2, f).quantise(np.stack([np.real(u), np.imag(u)], axis=-1))


def eigenvalues(rng: np.random.Generator, count: int, n: int, f: int) -> dict[str, FloatArray]:
    """Spectra (count, n) by kind, within ±`highest`: spectra of density matrices, and
    spectra on which Jacobi converges slowly."""
    top = highest(n, f)
    edge, row = min(top, 2 - 2.0**-13), np.arange(n)
    weights = rng.dirichlet(np.ones(n), count)
    some = weights * (row < rng.integers(1, n, (count, 1)))
    level = rng.uniform(-1.9, 1.9, (count, 1))
    cluster = rng.choice([-1, 0.3, 1.5], (count, n))
    spread = rng.normal(size=(count, n)) * 2.0 ** -rng.integers(4, 20, (count, 1))
    one = np.eye(n)[rng.integers(0, n, count)]
    signs = rng.choice([-1, 1], (4, count, n))
    nested = signs[0] + sum(
        signs[k] * 2.0 ** -rng.integers(4 * k, 8 * k, (count, 1)) for k in (1, 2)
    )
    return {
        "density matrices": weights,
        "any": rng.uniform(-top, top, (count, n)),
        "pure": one,
        "maximally mixed": np.full((count, n), 1 / n),
        "rank-deficient": some / some.sum(axis=1, keepdims=True),
        "rank one": one * level,
        "zero": np.zeros((count, n)),
        "degenerate": np.where(rng.random((count, n)) < 0.5, level, cluster),
        "near-degenerate": np.where(rng.random((count, 1)) < 0.5, level, cluster) + spread,
        "pinching pairs": np.repeat(rng.uniform(-top, top, (count, n // 2)), 2, axis=1) + spread,
        "nested clusters": nested,
        "graded": top * signs[3] * 2.0 ** -(row * rng.uniform(0.5, 4, (count, 1))),
        "edge of the range": rng.choice([-top, top], (count, n)),
        "half at each edge": np.tile(np.where(row < n // 2, -edge, edge), (count, 1)),
        "clusters at the edges": edge * (signs[3] - np.abs(spread) * signs[3]),
    }


def highest(n: int, f: int) -> float:
    """Largest eigenvalue of `spectra`: rounding to the grid may add n/2 LSB."""
    return 2 - 2.0**-f * (n / 2 + 1)


def hermitian(x: ComplexArray, f: int) -> IntArray:
    """Hermitian matrices (..., n, n) rounded to the grid, both triangles alike, half to even."""
    n = x.shape[-1]
    grid = np.rint(np.stack([x.real, x.imag], axis=-1) * 2**f).astype(np.int64)
    grid[..., np.arange(n), np.arange(n), 1] = 0
    return np.where(np.triu(np.ones((n, n), dtype=np.bool_))[..., None], grid, fixed.dagger(grid))


def spectra(rng: np.random.Generator, count: int, n: int, f: int) -> dict[str, IntArray]:
    """Hermitian matrices on the grid, ‖X‖₂ < 2, (count, n, n, 2) of each kind of `eigenvalues` with
    random eigenvectors, and sparse ones with entries of few values."""
    g = rng.normal(size=(count, n, n)) + 1j * rng.normal(size=(count, n, n))
    q = np.linalg.qr(g)[0]
    top = highest(n, f)
    result = {
        kind: (q * np.clip(w, -top, top)[:, None, :]) @ np.conj(q.swapaxes(1, 2))
        for kind, w in eigenvalues(rng, count, n, f).items()
    }
    entries = rng.integers(-1, 2, (2, count, n, n)) * (
        rng.random((count, n, n)) < rng.choice([0.3, 0.6, 1], (count, 1, 1))
    )
    sparse = entries[0] + 1j * entries[1]
    sparse = sparse + np.conj(sparse.swapaxes(1, 2))
    norm = np.maximum(np.linalg.norm(sparse, ord=2, axis=(1, 2)), 1)
    result["sparse"] = sparse * (top * 2.0 ** -rng.integers(0, f, count) / norm)[:, None, None]
    return {kind: hermitian(x, f) for kind, x in result.items()}


def vectors(name: str, dut: Any, n: int, seed: int) -> Vectors:
    """About `n` input rows for `dut`, fewer where they take long, and the rows it must answer."""
    rng = np.random.default_rng(seed)
    kind = name.rstrip("0123456789").rstrip("_")
    return _VECTORS[kind](dut, rng, max(2, n // share(name, dut)))


def _complex_multiply(dut: ComplexMultiply, rng: np.random.Generator, n: int) -> Vectors:
    a, b = integers(rng, (n, 2), dut.width), integers(rng, (n, 2), dut.width)
    conjugate = rng.integers(0, 2, n)
    product = np.where(conjugate[:, None] == 1, dut.model(a, b, True), dut.model(a, b, False))
    return rows(a, b, conjugate), rows(product)


def _rounded_product(dut: RoundedProduct, rng: np.random.Generator, n: int) -> Vectors:
    a, b = (integers(rng, (n, 2), dut.f + 2) for _ in range(2))
    physical = rng.random(n) < 0.5
    a[physical] = states(rng, int(physical.sum()), dut.f)[:, 0, 1]
    b[physical] = states(rng, int(physical.sum()), dut.f)[:, 0, 0]
    fine = rng.integers(0, 2, n)
    (p1, s1), (p0, s0) = dut.model(a, b, True), dut.model(a, b, False)
    p = np.where(fine[:, None] == 1, p1, p0)
    return rows(a, b, fine), rows(p, np.where(fine == 1, s1, s0))


def _kronecker(dut: Kronecker, rng: np.random.Generator, n: int) -> Vectors:
    a, b = (integers(rng, (n, 2, 2, 2), dut.f + 2) for _ in range(2))
    physical = rng.random(n) < 0.5
    a[physical] = states(rng, int(physical.sum()), dut.f)
    b[physical] = states(rng, int(physical.sum()), dut.f)
    fine = rng.integers(0, 2, n)
    (k1, s1), (k0, s0) = dut.model(a, b, True), dut.model(a, b, False)
    k = np.where(fine[:, None, None, None] == 1, k1, k0)
    return rows(a, b, fine), rows(k, np.where(fine == 1, s1, s0))


def _operator_mac(dut: OperatorMac, rng: np.random.Generator, n: int) -> Vectors:
    left, right, x = (integers(rng, (n, 4, 4, 2), dut.f + 2) for _ in range(3))
    physical = rng.random(n) < 0.5
    left[physical] = right[physical] = operators(rng, int(physical.sum()), dut.f)
    hermitian, carry = rng.integers(0, 2, n), rng.integers(0, 32, n)
    (y1, s1), (y0, s0) = dut.model(left, x, right, True), dut.model(left, x, right, False)
    y = np.where(hermitian[:, None, None, None] == 1, y1, y0)
    s = np.where(hermitian == 1, s1, s0)
    return rows(left, x, right, hermitian, carry), rows(y, s, carry)


def _partial_trace(dut: PartialTrace, rng: np.random.Generator, n: int) -> Vectors:
    x = integers(rng, (n, 4, 4, 2), dut.width)
    return rows(x), rows(dut.model(x))


def _partial_traces(dut: WholeTraces, rng: np.random.Generator, n: int) -> Vectors:
    x = integers(rng, (n, 4, 4, 2), dut.width - 1)
    x = x + fixed.dagger(x)
    return rows(x), rows(dut.model(x))


def _unchanged(dut: StreamRegister | Queue, rng: np.random.Generator, n: int) -> Vectors:
    width = len(dut.o.payload.x[0][0].re)
    x = integers(rng, (n, 2, 2, 2), width)
    return rows(x), rows(x)


def _reciprocal(dut: Reciprocal, rng: np.random.Generator, n: int) -> Vectors:
    low = 1 << (dut.f + 4)
    p = rng.integers(low, 2 * low, n)
    p[:3] = low, low + 1, 2 * low - 1
    carry = rng.integers(0, 32, n)
    return rows(p, carry), rows(dut.model(p), carry)


def _normalise(dut: Normalise, rng: np.random.Generator, n: int) -> Vectors:
    one = 1 << (2 * dut.f + 1)
    scale = 2.0 ** rng.uniform(-10, 1.2, n)
    p = (one * scale).astype(np.int64)
    p[:6] = one, one >> 8, (one >> 8) - 1, 0, -5, 2 * one
    y = np.zeros((n, 2, 2, 2, 2), dtype=np.int64)
    for s in range(2):
        top = (p * rng.random(n)).astype(np.int64)
        y[:, s, 0, 0, 0], y[:, s, 1, 1, 0] = top, p - top
        y[:, s, 0, 1] = np.abs(p)[:, None] * rng.uniform(-0.6, 0.6, (n, 2))
        y[:, s, 1, 0] = y[:, s, 0, 1] * np.array([1, -1])
    saturated = rng.integers(0, 2, n)
    r = dut.model(y)
    return rows(y, saturated), rows(r.states, r.weight, r.saturated | (saturated == 1), r.vanished)


def _cordic(dut: Cordic, rng: np.random.Generator, n: int) -> Vectors:
    limit = int(2.3 * 2**dut.format.fraction)
    x, y = rng.integers(-limit, limit, (2, n))
    z = rng.integers(-(1 << dut.format.angle), 1 << dut.format.angle, n)
    x[: n // 8], y[: n // 16] = 0, 0
    x[n // 8 : n // 4] = rng.integers(-3, 4, n // 4 - n // 8)
    vectoring = rng.integers(0, 2, n)
    words = zip(dut.model(x, y, z, True), dut.model(x, y, z, False), strict=True)
    return rows(x, y, z, vectoring), rows(*(np.where(vectoring == 1, a, b) for a, b in words))


def _entropy(dut: Entropy, rng: np.random.Generator, n: int) -> Vectors:
    one = 1 << dut.format.fraction
    values = np.rint(rng.dirichlet(np.full(dut.n, 0.3), n) * one).astype(np.int64)
    rare = integers(rng, (n, dut.n), dut.format.width)
    values = np.where(rng.random((n, 1)) < 0.2, rare, values)
    carry = rng.integers(0, 32, n)
    return rows(values, carry), rows(dut.model(values), carry)


def _mixture(rng: np.random.Generator, count: int, n: int, f: int) -> IntArray:
    """Matrices of every spectrum, and some whose spectrum is out of range."""
    kinds = spectra(rng, count, n, f)
    wild = integers(rng, (count, n, n, 2), f + 2)
    wild[:, np.arange(n), np.arange(n), 1] = 0
    choices = [*kinds.values(), wild]
    return np.asarray(np.choose(rng.integers(0, len(choices), count)[:, None, None, None], choices))


def _jacobi(dut: HermitianJacobi, rng: np.random.Generator, count: int) -> Vectors:
    n, f = dut.n, dut.format.f
    x, carry = _mixture(rng, count, n, f), rng.integers(0, 32, count)
    whole = dut.model(x)
    values = whole.values
    # Without eigenvectors, where a small matrix has no undefined part, some are small, in runs.
    small = np.zeros(count, dtype=np.int64)
    saturated = whole.saturated
    if not dut.vectors and n > 2:
        small = np.repeat(rng.integers(0, 2, count), 3)[:count]
        leading = jacobi.eigh(x[:, :2, :2], f, vectors=False)
        largest = (1 << (dut.format.width - 1)) - 1
        rest = np.full((count, n - 2), largest) * ~leading.saturated[:, None]
        short = np.sort(np.concatenate([leading.values, rest], axis=1), axis=1)
        values = np.where(small[:, None] == 1, short, values)
        saturated = np.where(small == 1, leading.saturated, saturated)
    parts = [values, saturated, carry]
    if whole.vectors is not None:
        parts.insert(1, jacobi.to_format(whole.vectors, f)[0])
    return rows(x, small, np.ones(count), carry), rows(*parts)


def _commands(
    dut: Core | GossipDatapath, rng: np.random.Generator, n: int, opcode: IntArray
) -> tuple[IntArray, IntArray, fixed.Reply]:
    """Operators, operands and replies for random data of the kind that each opcode takes."""
    f = dut.config.f
    u = operators(rng, n, f)
    x = fixed.block_diagonal(states(rng, n, f), states(rng, n, f))
    joint = np.isin(opcode, (Opcode.CONJUGATE, Opcode.PARTIAL_TRACE))
    upper = integers(rng, (n, 4, 4, 2), f + 1)
    hermitian = (upper + fixed.dagger(upper)) >> 1
    x[joint] = ((hermitian + fixed.dagger(hermitian)) >> 1)[joint]
    spectral = np.isin(opcode, list(SPECTRAL))
    x[spectral] = _mixture(rng, n, 4, f)[spectral]
    replies = [dut.model(Opcode(code), u[k], x[k]) for k, code in enumerate(opcode.tolist())]
    names = [field.name for field in dataclasses.fields(fixed.Reply)]
    merged = {name: np.stack([getattr(reply, name) for reply in replies]) for name in names}
    return u, x, fixed.Reply(**merged)


def _gossip(dut: GossipDatapath, rng: np.random.Generator, n: int) -> Vectors:
    opcode = rng.choice([*(set(Opcode) - SPECTRAL), Opcode.EVOLVE, Opcode.EVOLVE], n)
    u, x, r = _commands(dut, rng, n, opcode)
    return rows(opcode, u, x), rows(r.y, r.weight, r.saturated, r.vanished)


def _core(dut: Core, rng: np.random.Generator, n: int) -> Vectors:
    known = [code for code in Opcode if dut.config.eigenvectors or "VECTORS" not in code.name]
    opcode = rng.choice(known, n)
    u, x, r = _commands(dut, rng, n, opcode)
    replies = (r.y, r.weight, r.values, r.entropy, r.saturated, r.vanished)
    return rows(opcode, u, x), rows(*replies)


def _quotient(dut: Quotient, rng: np.random.Generator, n: int) -> Vectors:
    f, width = dut.f, 2 * dut.f + 7
    d = rng.integers(1 << (2 * f - 7), 1 << width, n) >> rng.integers(0, 8, n)
    vector = rng.normal(size=(n, 3))
    vector /= np.linalg.norm(vector, axis=1, keepdims=True)
    numerators = np.rint(vector * d[:, None] * rng.choice([1, 1.0001, 0.3, 1e-4], (n, 1)))
    numerators = numerators.astype(np.int64)
    ties = slice(0, n // 8)  # halves of an LSB
    d[ties] = 2 << f
    numerators[ties] = rng.integers(-(1 << (f + 1)), 1 << (f + 1), numerators[ties].shape)
    wild = rng.random(n) < 0.1
    numerators[wild] = rng.integers(-(1 << width) + 1, 1 << width, (n, 3))[wild]
    squarings, carry = rng.integers(0, 4, n), rng.integers(0, 32, n)
    flags = rng.integers(0, 2, n)
    results = [dut.model(numerators, d, s) for s in range(4)]
    chosen = squarings, np.arange(n)
    r, saturated = (np.stack(parts)[chosen] for parts in zip(*results, strict=True))
    return (
        rows(numerators, d, squarings, flags, carry),
        rows(r, saturated | (flags == 1), carry),
    )


def _square_root(dut: SquareRoot, rng: np.random.Generator, n: int) -> Vectors:
    root = rng.integers(0, 1 << dut.width, n)
    near = root * root + rng.integers(-1, 2, n)  # squares, and their neighbours
    anything = rng.integers(0, 1 << (2 * dut.width), n) >> rng.integers(0, 2 * dut.width, n)
    value = np.where(rng.random(n) < 0.5, np.maximum(near, 0), anything)
    value[:2] = 0, (1 << (2 * dut.width)) - 1
    return rows(value), rows(dut.model(value))


def _pauli_lane(dut: PatientLane, rng: np.random.Generator, n: int) -> Vectors:
    one = 1 << dut.f
    r = rng.normal(size=(2, n, 3))
    r /= np.linalg.norm(r, axis=-1, keepdims=True) * rng.choice([1, 1, 1.5, 1e3], (2, n, 1))
    own, other = np.rint(r * one).astype(np.int64)
    u = reference.partial_swap(rng.uniform(0, 2, n)) * (1j ** rng.integers(0, 4, (n, 1, 4)))
    sent, expected = [], []
    for part in range(4):  # an operator each, the last any numbers at all: every register saturates
        forms = np.rint(pauli.transfer(u[part]) * one).astype(np.int64)
        if part == 3:
            forms = integers(rng, forms.shape, dut.f + 2)
        coefficients, none = forms.reshape(-1, 1), np.zeros((forms.size, 7))
        sent.append(rows(none, coefficients, np.ones(forms.size)))
        which = slice(part * (n // 4), (part + 1) * (n // 4))
        second = rng.integers(0, 2, n // 4)
        results = [dut.model(c, own[which], other[which]) for c in forms]
        r, flags = (np.stack(both) for both in zip(*results, strict=True))
        chosen = second, np.arange(n // 4)
        sent.append(rows(own[which], other[which], second, np.zeros((n // 4, 2))))
        expected.append(rows(r[chosen], flags[chosen]))
    return np.concatenate(sent), np.concatenate(expected)


def _engine(dut: Engine | MicrocodedEngine, rng: np.random.Generator, n: int) -> Vectors:
    return sections(dut.config, rng, n)


_VECTORS: dict[str, Callable[[Any, np.random.Generator, int], Vectors]] = {
    "complex_multiply": _complex_multiply,
    "rounded_product": _rounded_product,
    "kronecker": _kronecker,
    "operator_mac": _operator_mac,
    "partial_trace": _partial_trace,
    "partial_traces": _partial_traces,
    "reciprocal": _reciprocal,
    "normalise": _normalise,
    "cordic": _cordic,
    "entropy": _entropy,
    "jacobi": _jacobi,
    "gossip": _gossip,
    "core": _core,
    "quotient": _quotient,
    "square_root": _square_root,
    "stream_register": _unchanged,
    "queue": _unchanged,
    "pauli_lane": _pauli_lane,
    "engine": _engine,
    "microcoded_engine": _engine,
}
