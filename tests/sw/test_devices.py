"""One conformance suite for all devices, and a proof that it can fail."""

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest
import tmesh
from tmesh.config import CoreConfig
from tmesh.devices import Device
from tmesh.devices.verilator import VerilatorDevice
from tmesh.golden import reference
from tmesh.golden.reference import SYMMETRIC, ComplexArray, partial_swap
from tmesh_hw.engine import Core
from tmesh_hw.export import simulation_verilog
from tmesh_sim.board import SimulatedBoard

LSB = 2.0**-16
#: Bars for the largest error, in LSB of Q(2,16).
BARS = {"reference": 1e-9, "model": 1.0, "verilator": 1.0, "serial": 1.0}


def grid(x: ComplexArray) -> ComplexArray:
    return np.asarray((np.rint(x.real / LSB) + 1j * np.rint(x.imag / LSB)) * LSB)


def states(rng: np.random.Generator, n: int) -> ComplexArray:
    r = rng.normal(size=(n, 3))
    r *= (rng.random((n, 1)) ** (1 / 3)) / np.linalg.norm(r, axis=1, keepdims=True)
    r[: n // 4] /= np.linalg.norm(r[: n // 4], axis=1, keepdims=True)
    r[n // 4 : n // 3] *= 1e-3
    # Rounding half the components keeps the matrix on the grid, Hermitian, and of trace 1.
    return tmesh.density(np.rint(r / (2 * LSB)) * 2 * LSB)


def unitaries(rng: np.random.Generator, n: int) -> ComplexArray:
    g = rng.normal(size=(n, 4, 4)) + 1j * rng.normal(size=(n, 4, 4))
    return grid(np.linalg.qr(g)[0])


def worst(x: ComplexArray, y: ComplexArray) -> float:
    d = np.asarray(x) - np.asarray(y)
    return float(max(np.max(np.abs(d.real)), np.max(np.abs(d.imag)))) / LSB


@pytest.fixture(scope="module", params=list(BARS))
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    with contextlib.ExitStack() as stack:
        name, config = request.param, "default"
        if name == "serial":
            board = stack.enter_context(SimulatedBoard())
            name, config = f"serial:{board.path}", "board"
        yield stack.enter_context(tmesh.open_device(name, config))


def conform(device: Device, n: int = 300) -> None:
    """Every call against float64 mathematics, within the bars."""
    rng = np.random.default_rng(11)
    exact = BARS[device.name]
    a, b, u = states(rng, n), states(rng, n), unitaries(rng, n)
    assert worst(device.kron(a, b), reference.kron(a, b)) <= exact
    joint = grid(reference.kron(a, b) * 1.5)
    assert worst(device.conjugate(u, joint), reference.conjugate(u, joint)) <= 6 * exact
    for keep in (0, 1):
        assert worst(device.partial_trace(joint, keep), reference.partial_trace(joint, keep)) < 1e-9
    v = unitaries(rng, n)[:, :, :2]
    projectors = grid(v @ np.conj(v.swapaxes(1, 2)))
    p_projectors = reference.weight(projectors, a, b)
    keep_rows = p_projectors > 0.05
    for operators, a_in, b_in in (
        (u, a, b),
        (partial_swap(0.3), a, b),
        (projectors[keep_rows], a[keep_rows], b[keep_rows]),
    ):
        operators = grid(operators)
        first, second, p = device.evolve(operators, a_in, b_in, weight=True)
        wants = reference.evolve(operators, a_in, b_in)
        smallest = float(np.min(wants[2]))
        for got, want in zip((first, second), wants[:2], strict=True):
            assert worst(got, want) <= 4 * exact / smallest
        assert np.max(np.abs(p - wants[2])) / LSB <= 4 * exact
    state, visibility = device.interfere(a, b)
    want, _, p = reference.evolve(SYMMETRIC, a, b)
    assert worst(state, want) <= 4 * exact
    assert np.max(np.abs(visibility - p)) / LSB <= 4 * exact
    for kappa in (1, 2, 4, 8):
        assert worst(device.purify(a, kappa), reference.purify(a, kappa)) <= 6 * exact
    few = joint[:20]
    for x in (a, few):
        w = np.linalg.eigvalsh(x)
        values, vectors = device.eigh(x)
        assert worst(device.eigvalsh(x), w) <= 4 * exact
        assert worst(values, w) <= 4 * exact
        assert worst(x @ vectors, vectors * w[:, None, :]) <= 10 * exact
        assert worst(np.conj(vectors.swapaxes(1, 2)) @ vectors, np.eye(x.shape[-1])) <= 6 * exact
        normed = x / np.trace(x, axis1=1, axis2=2).real[:, None, None]
        for diagonal in (False, True):
            wanted = reference.entropy(normed * np.eye(x.shape[-1]) if diagonal else normed)
            gap = np.abs(device.entropy(normed, diagonal=diagonal) - wanted)
            assert np.max(gap) <= 1e-3 * exact
    # States on the grid may be longer than 1 by an LSB; their purity is given as 1.
    purity = np.minimum(np.trace(a @ a, axis1=1, axis2=2).real, 1)
    assert np.max(np.abs(device.purity(a) - purity)) / LSB <= exact


def test_conforms(device: Device) -> None:
    conform(device, 12 if device.name == "serial" else 300)


def test_a_changed_constant_is_caught() -> None:
    """The suite fails on a core whose Verilog differs in one constant (a rounding increment)."""
    config = CoreConfig()
    device = tmesh.open_device("model", config)
    text = simulation_verilog(Core(config=config))
    increment = "20'h7ffff"  # just under half of 2^20: a result's rounding half to even
    assert increment in text, "the increment is no longer where this test looks for it"
    changed = text.replace(increment, "20'h3ffff", 1)
    with VerilatorDevice(config, verilog=changed) as broken, pytest.raises(AssertionError):
        same_bits(broken, device)


def same_bits(one: Device, other: Device, n: int = 400) -> None:
    """Identical results for every call."""
    rng = np.random.default_rng(12)
    a, b, u = states(rng, n), states(rng, n), unitaries(rng, n)
    joint = grid(reference.kron(a, b) * 1.9)
    for call in (
        lambda d: d.evolve(u, a, b, weight=True),
        lambda d: d.interfere(a, b),
        lambda d: [d.purify(a, kappa) for kappa in (2, 4, 8)],
        lambda d: [d.kron(a, b)],
        lambda d: [d.kron(u[:, :2, :2], b)],
        lambda d: [d.conjugate(u, joint), d.partial_trace(joint, 0), d.partial_trace(joint, 1)],
        lambda d: [d.purity(a), d.entropy(a, diagonal=True)],
        lambda d: [d.eigvalsh(joint[:30]), d.eigvalsh(a), d.entropy(a)],
        lambda d: d.eigh(joint[:10]),
        lambda d: d.eigh(b),
    ):
        for x, y in zip(call(one), call(other), strict=True):
            np.testing.assert_array_equal(x, y)


def test_model_and_core_give_the_same_bits() -> None:
    with tmesh.open_device("verilator") as core, tmesh.open_device("model") as model:
        same_bits(core, model)
        assert core.saturations == model.saturations == 0
        assert core.cycles > 0
        assert model.cycles is None


@pytest.mark.parametrize("device", ["serial"], indirect=True)
def test_model_and_board_give_the_same_bits(device: Device) -> None:
    with tmesh.open_device("model", "board") as model:
        same_bits(device, model, 12)


def test_broadcasts_like_numpy(device: Device) -> None:
    rng = np.random.default_rng(3)
    a, b = states(rng, 6).reshape(2, 3, 2, 2), states(rng, 3)
    first, second = device.evolve(np.eye(4), a, b)
    assert first.shape == second.shape == (2, 3, 2, 2)
    assert worst(first, a) <= 1
    assert device.purify(a[:0], 2).shape == (0, 3, 2, 2)


GOOD = np.eye(2) / 2
BAD = [
    (lambda d: d.evolve(np.eye(4), np.eye(3), GOOD), r"a must have shape \(..., 2, 2\)"),
    (lambda d: d.evolve(np.eye(4), GOOD, [[np.nan, 0], [0, 1]]), "b holds"),
    (lambda d: d.evolve(np.eye(4), [[0.5, 0.1], [0.2, 0.5]], GOOD), "a is not Hermitian"),
    (lambda d: d.evolve(np.eye(4), GOOD, np.eye(2) * 0.6), "b must have trace 1, not 1.2"),
    (lambda d: d.evolve(np.eye(4), np.diag([1.2, -0.2]), GOOD), "a must not have negative"),
    (lambda d: d.evolve(np.eye(4) * 1.001, GOOD, GOOD), "u must have a spectral norm of at most 1"),
    (lambda d: d.evolve(np.eye(4) * 0.01, GOOD, GOOD), "u: the weight .* is below 2⁻⁸"),
    (
        lambda d: d.evolve(np.eye(4), np.zeros((2, 2, 2)) + GOOD, np.zeros((3, 2, 2)) + GOOD),
        "do not broadcast",
    ),
    (lambda d: d.conjugate(np.eye(4), np.eye(4) * 2), "x must have a spectral norm below 2"),
    (lambda d: d.kron(np.eye(2) * 1.5, np.eye(2) * 1.5), "a ⊗ b must have a spectral norm below"),
    (lambda d: d.partial_trace(np.eye(4) / 4, keep=2), "keep must be 0 or 1, not 2"),
    (lambda d: d.purify(GOOD, 3), "kappa must be 1, 2, 4 or 8, not 3"),
    (lambda d: d.eigvalsh(np.eye(3)), "x must have shape .* with n 2 or 4, not"),
    (lambda d: d.eigh([[0, 1], [0.9, 0]]), "x is not Hermitian"),
    (lambda d: d.eigvalsh(np.eye(4) * 2), "x must have a spectral norm below 2"),
    (lambda d: d.entropy(np.eye(4) / 2), "x must have trace 1, not 2"),
    (lambda d: d.entropy(np.diag([0.6, 0.6, -0.2, 0])), "x must not have negative eigenvalues"),
]


@pytest.mark.parametrize("n", range(len(BAD)))
def test_bad_input_is_named_and_harmless(device: Device, n: int) -> None:
    call, reason = BAD[n]
    with pytest.raises(ValueError, match=reason):
        call(device)
    assert worst(device.purify(GOOD, 2), GOOD) <= 1


def test_what_a_configuration_lacks_is_said() -> None:
    with tmesh.open_device("model", CoreConfig(cordics=0)) as without:
        with pytest.raises(tmesh.NotSupported, match="no eigensolver"):
            without.eigvalsh(GOOD)
        assert worst(without.purify(GOOD, 2), GOOD) <= 1
    with tmesh.open_device("model", "sim-eigen") as values_only:
        assert worst(values_only.eigvalsh(GOOD), np.array([0.5, 0.5])) <= 1
        with pytest.raises(tmesh.NotSupported, match="no eigenvectors"):
            values_only.eigh(GOOD)


def test_known_entropies(device: Device) -> None:
    """ln 2 of the maximally mixed state, 0 of a pure one, ln 4 of two mixed ones."""
    mixed, pure = np.eye(2) / 2, np.diag([1.0, 0])
    np.testing.assert_allclose(device.entropy([mixed, pure]), [np.log(2), 0], atol=1e-4)
    assert device.entropy(np.eye(4) / 4) == pytest.approx(np.log(4), abs=1e-4)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="device must be one of"):
        tmesh.open_device("quantum")
    with pytest.raises(ValueError, match="config must be one of"):
        tmesh.open_device("model", config="huge")
