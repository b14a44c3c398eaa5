"""Test vectors: for every block, how to build it, random and extreme inputs, exact outputs.

The Amaranth simulator and the cocotb benches run the same vectors. Expected outputs come from the
integer model, which is itself held to the float64 reference by its own tests.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from tmesh.config import CoreConfig
from tmesh.golden import fixed
from tmesh.numbers import IntArray, Q
from tmesh.opcodes import Opcode
from tmesh_hw.blocks import (
    ComplexMultiply,
    Kronecker,
    Normalise,
    OperatorMac,
    PartialTrace,
    Reciprocal,
)
from tmesh_hw.engine import GossipDatapath

from tmesh_sim.packing import rows

Vectors = tuple[IntArray, IntArray]


def build(name: str, f: int, lanes: int) -> Any:
    """The block `name` with Q(2, f) and `lanes` complex multipliers."""
    # A normalisation must keep up with the MAC that feeds it.
    interval = OperatorMac.cycles(lanes, hermitian=True)
    blocks: dict[str, Callable[[], Any]] = {
        "complex_multiply": lambda: ComplexMultiply(width=f + 2),
        "kronecker": lambda: Kronecker(f=f, lanes=lanes),
        "operator_mac": lambda: OperatorMac(f=f, lanes=lanes, carry=5),
        "partial_trace_0": lambda: PartialTrace(width=f + 2, keep=0),
        "partial_trace_1": lambda: PartialTrace(width=f + 2, keep=1),
        "reciprocal": lambda: Reciprocal(f=f, interval=interval, carry=5),
        "normalise": lambda: Normalise(f=f, width=2 * f + 8, states=2, interval=interval),
        "gossip": lambda: GossipDatapath(config=CoreConfig(f=f, lanes=lanes)),
    }
    return blocks[name]()


NAMES = (
    "complex_multiply",
    "kronecker",
    "operator_mac",
    "partial_trace_0",
    "partial_trace_1",
    "reciprocal",
    "normalise",
    "gossip",
)


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


def vectors(name: str, dut: Any, n: int, seed: int) -> Vectors:
    """`n` input rows for `dut` and the rows it must answer."""
    rng = np.random.default_rng(seed)
    return _VECTORS[name.removesuffix("_0").removesuffix("_1")](dut, rng, n)


def _complex_multiply(dut: ComplexMultiply, rng: np.random.Generator, n: int) -> Vectors:
    a, b = integers(rng, (n, 2), dut.width), integers(rng, (n, 2), dut.width)
    conjugate = rng.integers(0, 2, n)
    product = np.where(conjugate[:, None] == 1, dut.model(a, b, True), dut.model(a, b, False))
    return rows(a, b, conjugate), rows(product)


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


def _gossip(dut: GossipDatapath, rng: np.random.Generator, n: int) -> Vectors:
    f = dut.config.f
    u = operators(rng, n, f)
    opcode = rng.choice([*Opcode, Opcode.EVOLVE, Opcode.EVOLVE], n)
    x = fixed.block_diagonal(states(rng, n, f), states(rng, n, f))
    joint = np.isin(opcode, (Opcode.CONJUGATE, Opcode.PARTIAL_TRACE))
    upper = integers(rng, (n, 4, 4, 2), f + 1)
    hermitian = (upper + fixed.dagger(upper)) >> 1
    x[joint] = ((hermitian + fixed.dagger(hermitian)) >> 1)[joint]
    y, weight = np.zeros_like(x), np.zeros(n, dtype=np.int64)
    saturated, vanished = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    for code in Opcode:
        here = opcode == code
        r = dut.model(code, u[here], x[here])
        y[here], weight[here] = r.y, r.weight
        saturated[here], vanished[here] = r.saturated, r.vanished
    return rows(opcode, u, x), rows(y, weight, saturated, vanished)


_VECTORS: dict[str, Callable[[Any, np.random.Generator, int], Vectors]] = {
    "complex_multiply": _complex_multiply,
    "kronecker": _kronecker,
    "operator_mac": _operator_mac,
    "partial_trace": _partial_trace,
    "reciprocal": _reciprocal,
    "normalise": _normalise,
    "gossip": _gossip,
}
