"""Resident states: one suite for all devices, against density matrices that meet one by one."""

from collections.abc import Iterator

import numpy as np
import pytest
import tmesh
from tmesh.config import CONFIGS, CoreConfig
from tmesh.devices import Device
from tmesh.devices.client import EngineClient, EngineError
from tmesh.devices.verilator import VerilatorDevice
from tmesh.golden import reference
from tmesh.golden.reference import ComplexArray, FloatArray, partial_swap
from tmesh.numbers import IntArray
from tmesh_hw.engine import Engine
from tmesh_hw.export import verilog

LSB = 2.0**-16
RESIDENT = [name for name, config in CONFIGS.items() if config.gossip_lanes]


def vectors(rng: np.random.Generator, n: int) -> FloatArray:
    r = rng.normal(size=(n, 3))
    r /= np.linalg.norm(r, axis=1, keepdims=True) * rng.choice([1, 1, 2], (n, 1))
    return np.trunc(r / LSB) * LSB


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


@pytest.fixture(scope="module", params=["reference", "model", "verilator"])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    with tmesh.open_device(request.param, "sim-gossip") as opened:
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
            assert np.abs(device.read() - wanted).max() / 2 / LSB <= bar * depth


def same_bits(one: Device, other: Device) -> None:
    """Identical states after the same events, at every number of lanes and every conflict."""
    rng = np.random.default_rng(2)
    for agents, count in ((3, 60), (50, 1000), (4096, 20_000)):
        for u in operators(rng):
            r, meetings = vectors(rng, agents), pairs(rng, agents, count)
            for write in ("first", "both"):
                for device in (one, other):
                    device.load(r)
                    device.gossip(meetings, u, write)
                np.testing.assert_array_equal(one.read(), other.read())


@pytest.mark.parametrize("name", RESIDENT)
def test_model_and_core_give_the_same_bits(name: str) -> None:
    with tmesh.open_device("verilator", name) as core, tmesh.open_device("model", name) as model:
        same_bits(core, model)
        assert core.saturations == model.saturations == 0
        assert core.info.arithmetic == model.info.arithmetic == "pauli"


def test_a_changed_constant_is_caught() -> None:
    """A lane whose length is compared with another one renormalises what it should not."""
    config = CONFIGS["sim-gossip"]
    with tmesh.open_device("verilator", config) as core:
        digest = int(core.info.digest, 16)
    text = verilog(Engine(config=config, digest=digest))
    edge = "33'h100010000"  # 2^16 − 2^32: half an LSB beyond the ball
    assert edge in text, "the constant is no longer where this test looks for it"
    with (
        VerilatorDevice(config, verilog=text.replace(edge, "33'h100410000")) as broken,
        tmesh.open_device("model", config) as model,
        pytest.raises(AssertionError),
    ):
        same_bits(broken, model)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda d: d.load(np.zeros((4097, 3))), "r: 4097 states, but there is room for 4096"),
        (lambda d: d.load(np.zeros(3)), r"r must have shape \(n, 3\), not \(3,\)"),
        (lambda d: d.load([[np.nan, 0, 0]]), "r holds nan"),
        (lambda d: d.load([[0.8, 0.8, 0]]), "r must not have vectors longer than 1, found 1.13"),
        (lambda d: d.gossip([[0, 7]], np.eye(4)), "pairs names agent 7, but 2 are loaded"),
        (lambda d: d.gossip([[1, 1]], np.eye(4)), "pairs: agent 1 cannot meet itself"),
        (lambda d: d.gossip([[0.5, 1]], np.eye(4)), r"pairs must be integers \(m, 2\)"),
        (lambda d: d.gossip([[0, 1]], np.eye(4) / 2), "u must be unitary"),
        (lambda d: d.gossip([[0, 1]], np.eye(4)[None]), "u must be one operator, not of shape"),
        (lambda d: d.gossip([[0, 1]], np.eye(4), "none"), "write must be 'first' or 'both'"),
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
    with tmesh.open_device("model") as matrices:
        with pytest.raises(tmesh.NotSupported, match="no resident states"):
            matrices.load(np.zeros((1, 3)))
        with pytest.raises(tmesh.NotSupported, match="no resident states"):
            matrices.read()
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


@pytest.mark.parametrize("name", RESIDENT)
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
