"""Resident states: one suite for all devices, against density matrices that meet one by one."""

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pytest
import tmesh
from tmesh.agent import Work, evaluate
from tmesh.config import CONFIGS, CoreConfig
from tmesh.devices import Device
from tmesh.devices.client import EngineClient
from tmesh.devices.netlist import NetlistDevice
from tmesh.devices.verilator import VerilatorDevice
from tmesh.errors import EngineError
from tmesh.golden import reference
from tmesh.golden.reference import ComplexArray, FloatArray, partial_swap
from tmesh.numbers import IntArray
from tmesh_hw.engine import Engine, component
from tmesh_hw.export import simulation_verilog
from tmesh_hw.synthesis.netlist import netlist

#: States are on the coarsest grid.
GRID = 2.0**-14
#: Those that are built for resident states alone.
RESIDENT = [name for name, config in CONFIGS.items() if not config.lanes]


def vectors(rng: np.random.Generator, n: int) -> FloatArray:
    r = rng.normal(size=(n, 3))
    r /= np.linalg.norm(r, axis=1, keepdims=True) * rng.choice([1, 1, 2], (n, 1))
    return np.trunc(r / GRID) * GRID


def pairs(rng: np.random.Generator, agents: int, n: int) -> IntArray:
    a = rng.integers(0, agents, n)
    return np.stack([a, (a + rng.integers(1, agents, n)) % agents], axis=1)


def operators(rng: np.random.Generator) -> list[ComplexArray]:
    """Partial swaps, a swap after local turns, any unitary."""
    g = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    a, b = np.linalg.qr(rng.normal(size=(2, 2, 2)) + 1j * rng.normal(size=(2, 2, 2)))[0]
    turned = reference.SWAP @ np.kron(a, b)
    return [partial_swap(0.3), partial_swap(np.pi / 4), turned, np.linalg.qr(g)[0]]


def one_by_one(r: FloatArray, meetings: IntArray, u: ComplexArray, write: str) -> FloatArray:
    """The oracle: density matrices, float64, no lanes, no schedule, no Bloch arithmetic."""
    rho = tmesh.density(r)
    for a, b in meetings.tolist():
        first, second, _ = reference.evolve(u, rho[a], rho[b])
        rho[a] = first
        if write == "both":
            rho[b] = second
    return tmesh.bloch(rho)


def lsb(device: Device) -> float:
    """Of its format."""
    return 2.0**-device.config.f


#: Devices with resident states, each with a configuration that takes little time.
DEVICES = {
    "reference": "sim-gossip",
    "model": "sim-gossip",
    "verilator": "sim-gossip",
    "netlist": "ulx3s-25f",
    "netlist:ice40": "icebreaker",
}


@pytest.fixture(scope="module", params=DEVICES)
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    with tmesh.open_device(request.param, DEVICES[request.param]) as opened:
        yield opened


@pytest.mark.parametrize("write", ["first", "both"])
def test_meetings_are_those_of_density_matrices(device: Device, write: str) -> None:
    """Few agents, so that almost every event waits for the one before it."""
    rng = np.random.default_rng(1)
    bar = 1e-9 if device.name == "reference" else 4.0
    for agents in (2, 9, 40):
        for u in operators(rng):
            r, meetings = vectors(rng, agents), pairs(rng, agents, 3 * agents)
            device.load(r)
            np.testing.assert_array_equal(device.read(), r)
            device.gossip(meetings, u, write)  # type: ignore[arg-type]
            # Errors add up along an agent's history; those of states are half of these.
            depth = np.bincount(meetings.ravel(), minlength=agents).max()
            wanted = one_by_one(r, meetings, u, write)
            assert np.abs(device.read() - wanted).max() / 2 / lsb(device) <= bar * depth


#: Agents, and events of them: every number of lanes, and every conflict.
MEETINGS = ((3, 60), (50, 1000), (4096, 20_000))


def same_bits(
    one: Device, other: Device, meetings_of: Sequence[tuple[int, int]] = MEETINGS
) -> None:
    """Identical states and answers after the same events."""
    rng = np.random.default_rng(2)
    for agents, count in meetings_of:
        for u in operators(rng):
            r, meetings = vectors(rng, agents), pairs(rng, agents, count)
            for write in ("first", "both"):
                for device in (one, other):
                    device.load(r)
                    device.gossip(meetings, u, write)
                np.testing.assert_array_equal(one.read(), other.read())
        if not one.config.rounds:
            continue
        for device in (one, other):
            device.load(r)
        answers = [
            rounds_of(device, np.random.default_rng(3), agents, count) for device in (one, other)
        ]
        for first, second in zip(*answers, strict=True):
            np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(one.read(), other.read())


def neighbours(rng: np.random.Generator, agents: int, n: int) -> IntArray:
    """Up to five of them."""
    return rng.integers(0, agents, (n, 5)) | -(rng.random((n, 5)) < 0.2).astype(np.int64)


def rounds_of(device: Device, rng: np.random.Generator, agents: int, n: int) -> list[object]:
    """Answers to rounds of all kinds."""
    n, answers = n // 10, []
    g = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    weighted = g / np.linalg.norm(g, ord=2)
    for kappa, dephase in ((1, True), (4, False), (8, True)):
        some, others = rng.integers(0, agents, n), neighbours(rng, agents, n)
        answers += device.update(some, others, kappa, dephase=dephase)
        answers.append(device.swap_test(pairs(rng, agents, n)))
        for write in ("first", "both"):
            device.gossip(pairs(rng, agents, n), weighted, write)  # type: ignore[arg-type]
        answers += dataclasses.astuple(device.observe(some))
    return answers


@pytest.mark.parametrize("kappa", [1, 2, 4, 8])
@pytest.mark.parametrize("dephase", [False, True])
def test_rounds_are_those_of_density_matrices(device: Device, kappa: int, dephase: bool) -> None:
    """One round of each agent, against matrices: mean, ρ^κ/Tr ρ^κ, S(diag ρ), outcome."""
    rng = np.random.default_rng(kappa)
    r = vectors(rng, 60)
    agents, others = np.arange(60), neighbours(rng, 60, 60)
    bar = 1e-9 if device.name == "reference" else 6.0
    device.load(r)
    entropy, outcome = device.update(agents, others, kappa, dephase=dephase)
    rho = tmesh.density(r)
    got = tmesh.density(device.read())
    for agent, heard in zip(agents, others, strict=True):
        met = [agent, *heard[heard >= 0]]
        mean = np.mean(rho[met], axis=0) * (np.eye(2) if dephase else 1)
        wanted = reference.purify(mean, kappa)
        assert np.abs(got[agent] - wanted).max() / lsb(device) <= bar
        rho[agent] = got[agent]
        diagonal = reference.entropy(got[agent] * np.eye(2))
        assert abs(entropy[agent] - diagonal) < 1e-3
        assert outcome[agent] == int(got[agent, 1, 1].real > 0.5)


def test_weighted_meetings_are_those_of_density_matrices(device: Device) -> None:
    """Any operator, its weight divided out; errors grow as the weight gets less."""
    rng = np.random.default_rng(5)
    bar = 1e-9 if device.name == "reference" else 4.0
    g = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    p = np.diag([1.0, 0, 0, 1])  # a parity measurement
    for u in (g / np.linalg.norm(g, ord=2), reference.SYMMETRIC, p):
        for write in ("first", "both"):
            r = vectors(rng, 40)
            device.load(r)
            meetings = np.arange(40).reshape(-1, 2)
            device.gossip(meetings, u, write)  # type: ignore[arg-type]
            got, rho = device.read(), tmesh.density(r)
            first, second, weight = reference.evolve(u, rho[0::2], rho[1::2])
            error = np.abs(got[0::2] - tmesh.bloch(first)).max(axis=1) / 2
            assert np.all(error / lsb(device) <= bar / weight)
            wanted = tmesh.bloch(second) if write == "both" else r[1::2]
            error = np.abs(got[1::2] - wanted).max(axis=1) / 2
            assert np.all(error / lsb(device) <= bar / weight)


def test_a_weight_that_vanishes_changes_nothing_else(device: Device) -> None:
    """The pairs before and after it meet all the same."""
    r = np.array([[0, 0, 1], [0, 0, 1], [0, 0, -1], [0, 0, 1], [0.5, 0, 0], [0, 0, 1]])
    device.load(r)
    u = np.diag([1.0, 0, 0, 1])
    with pytest.raises(ValueError, match=r"u: the weight of the pair \(2, 3\) is below 2⁻⁸"):
        device.gossip([[0, 1], [2, 3], [4, 5]], u, "both")
    after = device.read()
    np.testing.assert_array_equal(after[:4], r[:4])
    np.testing.assert_allclose(after[4], [0, 0, 1], atol=2 * lsb(device))


def test_small_weights_leave_no_vector_too_long(device: Device) -> None:
    """What a small weight magnifies is shortened: |r| ≤ 1 + 2 LSB, down to p = 2⁻⁷."""
    rng = np.random.default_rng(9)
    r = vectors(rng, 400)
    r /= np.maximum(1, np.linalg.norm(r, axis=1, keepdims=True))
    for power in range(1, 8):
        device.load(np.trunc(r / GRID) * GRID)
        n = rng.normal(size=(4, 2)) + 1j * rng.normal(size=(4, 2))
        n /= np.linalg.norm(n, axis=1, keepdims=True)
        # From one product of pure states to another: all results are pure.
        u = 2 ** (-power / 2) * np.outer(np.kron(n[0], n[1]), np.kron(n[2], n[3]).conj())
        with contextlib.suppress(ValueError):  # pairs whose weight vanishes stay as they are
            device.gossip(np.arange(400).reshape(-1, 2), u)
        assert np.linalg.norm(device.read(), axis=1).max() <= 1 + 2 * lsb(device)


def test_swap_tests_interfere(device: Device) -> None:
    rng = np.random.default_rng(6)
    r = vectors(rng, 40)
    device.load(r)
    visibility = device.swap_test(np.arange(40).reshape(-1, 2))
    a, b = r[0::2], r[1::2]
    wanted = (3 + np.sum(a * b, axis=1)) / 4
    bar = 1e-9 if device.name == "reference" else 1.0
    assert np.abs(visibility - wanted).max() / lsb(device) <= bar
    assert np.abs(device.read()[0::2] - (a + b) / (2 * wanted[:, None])).max() / lsb(device) <= bar


@pytest.mark.parametrize("name", ["reference", "model", "verilator"])
def test_joint_states_are_those_of_two_calls(name: str) -> None:
    rng = np.random.default_rng(8)
    r, u = vectors(rng, 20), operators(rng)[-1]
    with tmesh.open_device(name) as device:
        device.load(r)
        got = device.joint(np.arange(20).reshape(-1, 2), u)
        rho = tmesh.density(r)
        np.testing.assert_array_equal(got, device.conjugate(u, device.kron(rho[0::2], rho[1::2])))
        np.testing.assert_array_equal(device.read(), r)


def test_observations_are_those_of_density_matrices(device: Device) -> None:
    rng = np.random.default_rng(7)
    r = np.concatenate([vectors(rng, 200), [[0, 0, 0], [0, 0, -1], [GRID, 0, 0]]])
    device.load(r)
    seen = device.observe(np.arange(len(r)))
    rho = tmesh.density(r)
    bar = 1e-9 if device.name == "reference" else 1.0
    assert np.abs(seen.eigenvalues - np.linalg.eigvalsh(rho)).max() / lsb(device) <= bar
    assert np.abs(seen.entropy - reference.entropy(rho)).max() <= 1e-3
    assert (
        np.abs(seen.purity - np.trace(rho @ rho, axis1=1, axis2=2).real).max() / lsb(device) <= bar
    )
    assert (
        np.abs(seen.diagonal - np.diagonal(rho, axis1=1, axis2=2).real).max() / lsb(device) <= bar
    )


@pytest.mark.parametrize("name", RESIDENT)
def test_model_and_core_give_the_same_bits(name: str) -> None:
    with tmesh.open_device("verilator", name) as core, tmesh.open_device("model", name) as model:
        same_bits(
            core, model, (*MEETINGS[:2], (4096, 2000 if CONFIGS[name].microcoded else 20_000))
        )
        assert core.saturations == model.saturations == 0
        assert core.info.arithmetic == model.info.arithmetic == "pauli"


def test_a_changed_constant_is_caught() -> None:
    """A lane whose length is compared with another one renormalises what it should not."""
    config = CONFIGS["sim-gossip"]
    with tmesh.open_device("verilator", config) as core:
        digest = int(core.info.digest, 16)
    text = simulation_verilog(Engine(config=config, digest=digest))
    edge = "33'h100010000"  # 2^16 − 2^32: half an LSB beyond the ball
    assert edge in text, "the constant is no longer where this test looks for it"
    with (
        VerilatorDevice(config, verilog=text.replace(edge, "33'h100410000")) as broken,
        tmesh.open_device("model", config) as model,
        pytest.raises(AssertionError),
    ):
        same_bits(broken, model)


#: A tenth of a second of a netlist.
FEW = ((3, 60), (50, 100))


@pytest.mark.parametrize("name", ["netlist", "netlist:ice40"])
def test_model_and_netlist_give_the_same_bits(name: str) -> None:
    """What synthesis changes beyond what it may would show."""
    config = DEVICES[name]
    with tmesh.open_device(name, config) as cells, tmesh.open_device("model", config) as model:
        same_bits(cells, model, FEW)
        assert cells.saturations == model.saturations == 0
        assert cells.info.device == "netlist"


def test_a_miscompilation_is_caught() -> None:
    """A bit of a product that is constant, and not known, is what Yosys 0.70 silently makes of two
    registers behind a multiplier of iCE40; no model of a cell has to do with it."""
    config = CONFIGS["icebreaker"]
    with tmesh.open_device("netlist:ice40", config) as cells:
        digest = int(cells.info.digest, 16)
    text = netlist(component(config, digest), "ice40")
    (product,) = re.findall(r"SB_MAC16 #.*?\.O\(\{ (.*?) \}\)", text, re.DOTALL)
    top = product.split(", ")[2]  # bit 29, the sign of what is left of a product
    planted = text.replace(product, product.replace(f"{top},", "lost,"))
    planted = planted.replace(f"  wire {top};", f"  wire {top} = 1'hx;\n  wire lost;")
    assert planted.count("lost") == 2
    with (
        NetlistDevice(config, "ice40", verilog=planted) as broken,
        tmesh.open_device("model", config) as model,
        pytest.raises(AssertionError),
    ):
        same_bits(broken, model, FEW)


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(ValueError, match="family must be one of ecp5, ice40, not 'gowin'"):
        NetlistDevice("icebreaker", "gowin")


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (
            lambda d: d.load(np.zeros((d.info.capacity + 1, 3))),
            r"r: \d+ states, but there is room for \d+",
        ),
        (lambda d: d.load(np.zeros(3)), r"r must have shape \(n, 3\), not \(3,\)"),
        (lambda d: d.load([[np.nan, 0, 0]]), "r holds nan"),
        (lambda d: d.load([[0.8, 0.8, 0]]), "r must not have vectors longer than 1, found 1.13"),
        (
            lambda d: d.gossip([[0, 7]], np.eye(4)),
            "pairs: resident agents are numbered 0 to 1, not 7",
        ),
        (lambda d: d.gossip([[1, 1]], np.eye(4)), "pairs: row 0 pairs agent 1 with itself"),
        (lambda d: d.gossip([[0.5, 1]], np.eye(4)), r"pairs must be integers \(m, 2\)"),
        (lambda d: d.gossip([[0, 1]], 2 * np.eye(4)), "u must have a spectral norm of at most 1"),
        (lambda d: d.gossip([[0, 1]], np.eye(4)[None]), "u must be one operator, not of shape"),
        (lambda d: d.gossip([[0, 1]], np.eye(4), "none"), "write must be 'first' or 'both'"),
        (lambda d: d.gossip([[0, 1]], np.eye(4) / 32), r"the weight of the pair \(0, 1\) is below"),
        (lambda d: d.update([2], [[0]]), "agents: resident agents are numbered 0 to 1, not 2"),
        (
            lambda d: d.update([0], [[-2]]),
            "neighbours: resident agents are numbered 0 to 1, −1 for none, not -2",
        ),
        (lambda d: d.update([0, 1], [[0]]), r"neighbours must be integers \(2, k\), not int64"),
        (lambda d: d.update([0], [[1]], 3), "kappa must be 1, 2, 4 or 8, not 3"),
        (lambda d: d.update([0], np.zeros((1, 256), int)), "neighbours: at most 255 for an agent"),
        (lambda d: d.observe([[0]]), r"agents must be integers \(m,\), not int64 \(1, 1\)"),
        (lambda d: d.swap_test([[0, 2]]), "pairs: resident agents are numbered 0 to 1, not 2"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(device: Device, call: object, reason: str) -> None:
    r = np.array([[0, 0, 0.5], [0.25, 0, 0]])
    device.load(r)
    with pytest.raises(ValueError, match=reason):
        call(device)  # type: ignore[operator]
    device.gossip(np.zeros((0, 2), dtype=int), np.eye(4))
    np.testing.assert_array_equal(device.read(), r)


def test_what_a_configuration_lacks_is_said(device: Device) -> None:
    with tmesh.open_device("model", "narrow") as matrices:
        with pytest.raises(tmesh.NotSupported, match="no resident states"):
            matrices.load(np.zeros((1, 3)))
        with pytest.raises(tmesh.NotSupported, match="no resident states"):
            matrices.read()
    with tmesh.open_device("model", "three-lanes") as meetings:
        meetings.load(np.zeros((2, 3)))
        for call in (
            partial(meetings.observe, [0]),
            partial(meetings.update, [0], [[1]]),
            partial(meetings.swap_test, [[0, 1]]),
            partial(meetings.gossip, [[0, 1]], np.eye(4) / 2),
        ):
            with pytest.raises(tmesh.NotSupported, match="no rounds of agents"):
                call()  # type: ignore[operator]
    if device.name != "reference":
        with pytest.raises(tmesh.NotSupported, match="no matrices"):
            device.interfere(np.eye(2) / 2, np.eye(2) / 2)


def test_another_build_is_refused() -> None:
    """The host talks to no engine but the one that it was made for."""
    with tmesh.open_device("verilator", "sim-gossip") as core:
        assert isinstance(core, VerilatorDevice)
        with pytest.raises(EngineError, match="the engine is build"):
            core._client.identify(1)
        other = CoreConfig(lanes=0, cordics=0, gossip_lanes=1, operators=8)
        stranger = EngineClient(other, 26, core._exchange)
        with pytest.raises(EngineError, match=r"the engine is \(1, 16, 1, 64, 4096, 16\), not"):
            stranger.identify(int(core.info.digest, 16))


@pytest.mark.parametrize("name", [name for name in RESIDENT if not CONFIGS[name].microcoded])
@pytest.mark.parametrize("write", ["first", "both"])
def test_lanes_are_busy(name: str, write: str) -> None:
    """Random pairs of 4 096 agents: an updated state in 95 of 100 slots or more, and few stalls."""
    rng = np.random.default_rng(4)
    meetings = pairs(rng, 4096, 50_000)
    with tmesh.open_device("verilator", name) as core:
        core.load(np.zeros((4096, 3)))
        before = core.cycles
        core.gossip(meetings, np.eye(4), write)  # type: ignore[arg-type]
        states = len(meetings) * (2 if write == "both" else 1)
        assert states / ((core.cycles - before) * core.info.lanes) >= 0.95


def test_single_states_are_written(device: Device) -> None:
    """Others stay as they are; the last of several for one agent counts."""
    r = vectors(np.random.default_rng(9), 12)
    device.load(r[:6])
    device.write([4, 1, 4], r[[6, 7, 8]])
    np.testing.assert_array_equal(device.read(), r[[0, 7, 2, 3, 8, 5]])
    np.testing.assert_array_equal(device.read([4, 0]), r[[8, 0]])
    with pytest.raises(ValueError, match="agents: resident agents are numbered 0 to 5, not 6"):
        device.write([6], r[:1])
    with pytest.raises(ValueError, match="r: 1 states of 2 agents"):
        device.write([0, 1], r[:1])


def opinions(rng: np.random.Generator, m: int, k: int) -> tuple[FloatArray, FloatArray]:
    """z components on the grid, some at their limits, and what each hears, of k or fewer."""
    z = np.trunc(rng.uniform(-1, 1, (m, k + 1)) / GRID) * GRID
    z[: m // 4] = np.sign(z[: m // 4])
    heard = z[:, 1:]
    heard[rng.random((m, k)) < 0.3] = np.nan
    return z[:, 0], heard


def test_advance_gives_the_mean_amplified(device: Device) -> None:
    own, heard = opinions(np.random.default_rng(5), 40, 5)
    mean = np.nanmean(np.concatenate([own[:, None], heard], axis=1), axis=1)
    for kappa in (1, 2, 4, 8):
        with np.errstate(divide="ignore"):
            expected = np.tanh(kappa * np.arctanh(mean))
        assert np.max(np.abs(device.advance(own, heard, kappa) - expected)) <= 8 * lsb(device)
    expected = 2 * (own + mean) / (3 + own * mean)
    interfered = device.advance(own, heard, amplify="interfere")
    assert np.max(np.abs(interfered - expected)) <= 4 * lsb(device)


def test_an_audit_finds_one_lsb(device: Device) -> None:
    own, heard = opinions(np.random.default_rng(6), 30, 4)
    claimed = device.advance(own, heard, 4)
    assert np.all(device.audit(own, heard, claimed, 4))
    wrong = claimed + lsb(device) * (np.arange(30) % 3 == 0)
    assert np.array_equal(device.audit(own, heard, wrong, 4), np.arange(30) % 3 != 0)


def test_audits_leave_the_resident_states(device: Device) -> None:
    r = vectors(np.random.default_rng(7), 12)
    device.load(r)
    before = device.read()
    own, heard = opinions(np.random.default_rng(8), 10, 3)
    device.audit(own, heard, own)
    assert np.array_equal(device.read(), before)


def test_the_agents_integer_function_gives_the_bits_of_the_devices(device: Device) -> None:
    """The reference, which has no integers, comes within its error bound."""
    exact = device.info.arithmetic != "float64"
    own, heard = opinions(np.random.default_rng(9), 60, 6)
    f = device.config.f
    for order, call in ((1, {"kappa": 1}), (4, {"kappa": 4}), (0, {"amplify": "interfere"})):
        works = [
            Work(int(z * 2**f), tuple(int(x * 2**f) for x in some if not np.isnan(x)), order)
            for z, some in zip(own.tolist(), heard, strict=True)
        ]
        z = device.advance(own, heard, **call)  # type: ignore[arg-type]
        off = np.abs(z * 2**f - evaluate(works, f))
        assert np.max(off) <= (0 if exact else 8)


def test_advance_and_audit_refuse_bad_arguments(device: Device) -> None:
    for own, heard, argument in (
        ([0.0], [[2.0]], "heard must not exceed 1"),
        ([1.5], [[0.0]], "own must not exceed 1"),
        ([0.0, 0.1], [[0.0]], "heard must have shape"),
        ([[0.0]], [[0.0]], "own must have shape"),
        ([np.nan], [[0.0]], "own"),
        ([0.0], [["x"]], "heard"),
    ):
        with pytest.raises(ValueError, match=argument):
            device.advance(own, heard)
    with pytest.raises(ValueError, match="claimed must have shape"):
        device.audit([0.0], [[0.0]], [0.0, 0.0])
