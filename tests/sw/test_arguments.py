"""Hostile arguments of device calls: refused by name, alike on all devices, and without a trace."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import tmesh
from hypothesis import given, settings
from hypothesis import strategies as st
from tmesh.devices import Device
from tmesh.golden.reference import SYMMETRIC

from . import hostile

LSB = 2.0**-16
RHO = np.array([[0.75, 0.125 - 0.25j], [0.125 + 0.25j, 0.25]])
JOINT = np.kron(RHO, RHO.conj())
U = np.asarray(SYMMETRIC)
RESIDENT = np.array([[0, 0, 0.5], [0.25, 0, 0], [0, -0.5, 0.25]])
#: Two values, of which none is near a limit.
PAIRS, AGENTS, OTHERS = np.array([[0, 1], [2, 1]]), np.array([0, 2]), np.array([[1, 2], [0, -1]])


class Call(NamedTuple):
    """A device call with one argument left open: the argument's name, a good value, its kind."""

    argument: str
    good: Any
    kind: str
    call: Callable[[Device, Any], object]


CALLS = [
    Call("a", RHO, "complex", lambda d, x: d.kron(x, RHO)),
    Call("b", RHO, "complex", lambda d, x: d.kron(RHO, x)),
    Call("u", U, "complex", lambda d, x: d.conjugate(x, JOINT)),
    Call("x", JOINT, "complex", lambda d, x: d.conjugate(U, x)),
    Call("x", JOINT, "complex", lambda d, x: d.partial_trace(x)),
    Call("u", U, "complex", lambda d, x: d.evolve(x, RHO, RHO)),
    Call("a", RHO, "complex", lambda d, x: d.evolve(U, x, RHO)),
    Call("b", RHO, "complex", lambda d, x: d.evolve(U, RHO, x, weight=True)),
    Call("a", RHO, "complex", lambda d, x: d.interfere(x, RHO)),
    Call("a", RHO, "complex", lambda d, x: d.purify(x, 4)),
    Call("a", RHO, "complex", lambda d, x: d.purity(x)),
    Call("x", RHO, "complex", lambda d, x: d.eigvalsh(x)),
    Call("x", JOINT, "complex", lambda d, x: d.eigh(x)),
    Call("x", JOINT, "complex", lambda d, x: d.entropy(x)),
    Call("x", RHO, "complex", lambda d, x: d.entropy(x, diagonal=True)),
    Call("u", U, "complex", lambda d, x: d.gossip(PAIRS, x)),
    Call("u", U, "complex", lambda d, x: d.joint(PAIRS, x)),
    Call("r", RESIDENT, "real", lambda d, x: d.load(x)),
    Call("r", RESIDENT[:2], "real", lambda d, x: d.write(AGENTS, x)),
    Call("agents", AGENTS, "indices", lambda d, x: d.write(x, RESIDENT[:2])),
    Call("agents", AGENTS, "indices", lambda d, x: d.observe(x)),
    Call("agents", AGENTS, "indices", lambda d, x: d.update(x, OTHERS)),
    Call("neighbours", OTHERS, "indices", lambda d, x: d.update(AGENTS, x)),
    Call("pairs", PAIRS, "pairs", lambda d, x: d.gossip(x, np.eye(4))),
    Call("pairs", PAIRS, "pairs", lambda d, x: d.gossip(x, U, "both")),
    Call("pairs", PAIRS, "pairs", lambda d, x: d.swap_test(x)),
    Call("pairs", PAIRS, "pairs", lambda d, x: d.joint(x, U)),
]

#: Numbers and words among the arguments.
OPTIONS = [
    ("keep", hostile.NO_INTEGERS, lambda d, x: d.partial_trace(JOINT, keep=x)),
    ("kappa", hostile.NO_INTEGERS, lambda d, x: d.purify(RHO, x)),
    ("kappa", [*hostile.NO_INTEGERS, 3, 1 << 20_000], lambda d, x: d.update(AGENTS, OTHERS, x)),
    ("write", [0, None, True, b"both", ["both"], "BOTH", np.array(["first", "both"])],
     lambda d, x: d.gossip(PAIRS, U, x)),
    ("weight", hostile.NO_FLAGS, lambda d, x: d.evolve(U, RHO, RHO, weight=x)),
    ("diagonal", hostile.NO_FLAGS, lambda d, x: d.entropy(RHO, diagonal=x)),
    ("dephase", hostile.NO_FLAGS, lambda d, x: d.update(AGENTS, OTHERS, dephase=x)),
]  # fmt: skip


@pytest.fixture(scope="module")
def exact() -> Iterator[list[Device]]:
    """The two devices that take no time to build."""
    with tmesh.open_device("reference") as one, tmesh.open_device("model") as other:
        yield [one, other]


def refusal(device: Device, call: Callable[[Device, Any], object], value: object) -> str:
    """The error for a value; the device's states stay as they were."""
    device.load(RESIDENT)
    with pytest.raises(tmesh.InvalidInput) as caught:
        call(device, value)
    np.testing.assert_array_equal(device.read(), RESIDENT)
    return str(caught.value)


def outcome(device: Device, call: Callable[[Device, Any], object], value: object) -> str:
    """The error for a value, or nothing."""
    try:
        call(device, value)
    except tmesh.InvalidInput as error:
        return str(error)
    return ""


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.data())
def test_a_hostile_array_is_refused_by_name(exact: list[Device], data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(CALLS) - 1))
    argument, good, kind, call = CALLS[number]
    value = data.draw(hostile.spoiled(kind, good))
    errors = {refusal(device, call, value) for device in exact}
    assert len(errors) == 1, "devices disagree"
    assert hostile.names(errors.pop(), argument)
    for device in exact:
        assert outcome(device, call, good) == ""


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_every_kind_of_hostile_array_is_refused(exact: list[Device], number: int) -> None:
    """Each way to spoil each argument once, which the random draws need not reach."""
    argument, good, kind, call = CALLS[number]
    for way, spoil in hostile.KINDS[kind].items():
        value = spoil(good)
        errors = {refusal(device, call, value) for device in exact}
        assert len(errors) == 1, way
        assert hostile.names(errors.pop(), argument), way


@pytest.mark.parametrize("number", range(len(OPTIONS)))
def test_a_hostile_option_is_refused_by_name(exact: list[Device], number: int) -> None:
    argument, values, call = OPTIONS[number]
    for value in values:
        errors = {refusal(device, call, value) for device in exact}
        assert len(errors) == 1
        error = errors.pop()
        assert error.startswith(f"{argument} must be")
        assert len(error) < 120
        assert "\n" not in error


def test_numpy_scalars_are_taken_for_numbers(exact: list[Device]) -> None:
    for device in exact:
        device.load(RESIDENT)
        for kind in (np.int8, np.int64, np.uint8, np.array):
            assert device.partial_trace(JOINT, keep=kind(0)).shape == (2, 2)
            assert device.purify(RHO, kind(4)).shape == (2, 2)
            entropy, _ = device.update(AGENTS, OTHERS, kappa=kind(4), dephase=np.True_)
            assert entropy.shape == (2,)
        device.gossip(PAIRS, U, write=np.str_("first"))  # type: ignore[arg-type]
        assert len(device.evolve(U, RHO, RHO, weight=np.True_)) == 3  # type: ignore[call-overload]


def test_harmless_arrays_give_the_same_results(exact: list[Device]) -> None:
    """Read-only, strided, other byte orders and widths, lists: all are the numbers they hold."""
    wide = np.zeros((2, 2, 3), dtype=np.complex128)
    wide[:, :, 0] = RHO
    fixed_ = RHO.copy()
    fixed_.setflags(write=False)
    for device in exact:
        wanted = device.purify(RHO, 2)
        for same in (
            wide[:, :, 0], fixed_, RHO.tolist(), RHO.astype(">c16"), RHO.astype(np.complex64),
            RHO.astype(np.clongdouble), np.asfortranarray(RHO),
        ):  # fmt: skip
            np.testing.assert_array_equal(device.purify(same, 2), wanted)
        for kind in (np.float16, np.float32, np.longdouble, ">f8"):
            device.load(RESIDENT.astype(kind))
            np.testing.assert_array_equal(device.read(), RESIDENT)
        for kind in (np.int8, np.uint64, ">i4"):
            np.testing.assert_array_equal(device.read(AGENTS.astype(kind)), RESIDENT[AGENTS])
        device.gossip([], np.eye(4))
        assert device.swap_test(np.zeros((0, 2), dtype=np.int64)).shape == (0,)
        assert device.update([], [])[0].shape == (0,)
        assert device.update([0, 1], [[], []])[0].shape == (2,)
        assert device.observe([]).diagonal.shape == (0, 2)


def test_an_array_that_changes_later_changes_no_state(exact: list[Device]) -> None:
    for device in exact:
        r = RESIDENT.copy()
        device.load(r)
        r[:] = 0
        device.read()[:] = 0
        np.testing.assert_array_equal(device.read(), RESIDENT)


# The edges of the ranges: some LSB around each limit, off the grid and on it.

steps = st.floats(-2, 7, allow_nan=False)
directions = st.integers(0, 10**6).map(lambda seed: np.random.default_rng(seed).normal(size=(2, 3)))


def probabilities(device: Device, agents: int) -> None:
    """Observations of resident states are probabilities, and their rows sum to 1."""
    seen = device.observe(np.arange(agents))
    for rows in (seen.eigenvalues, seen.diagonal):
        assert np.all((rows >= 0) & (rows <= 1))
        assert np.abs(rows.sum(axis=1) - 1).max() <= LSB
    assert np.all(seen.eigenvalues[:, 0] <= seen.eigenvalues[:, 1])
    assert np.all((seen.purity >= 0.5) & (seen.purity <= 1))
    assert np.all((seen.entropy >= 0) & (seen.entropy <= np.log(2) + LSB))
    assert not np.any(np.signbit(seen.entropy))


def is_state(rho: Any) -> None:
    diagonal = np.diagonal(rho, axis1=-2, axis2=-1).real
    assert np.all((diagonal >= 0) & (diagonal <= 1))
    np.testing.assert_array_equal(diagonal.sum(axis=-1), 1)
    assert np.linalg.eigvalsh(rho).min() >= -4 * LSB


@settings(deadline=None, derandomize=True, max_examples=60)
@given(steps, directions)
def test_vectors_at_the_edge_of_the_ball(exact: list[Device], excess: float, r: Any) -> None:
    """One verdict; a state that is let in gives probabilities, and none is over 1 + 2 LSB long."""
    r = r / np.linalg.norm(r, axis=1, keepdims=True) * (1 + excess * LSB)
    errors = {outcome(device, lambda d, x: d.load(x), r) for device in exact}
    assert len(errors) == 1
    longest = np.linalg.norm(np.rint(r / LSB), axis=1).max() * LSB - 1
    assert (errors == {""}) == (longest <= 4 * LSB)
    if errors != {""}:
        return
    for device in exact:
        # float64 and the integers count the length of the same vector, to within its rounding.
        assert np.linalg.norm(device.read(), axis=1).max() <= 1 + 3 * LSB
        probabilities(device, 2)
        entropy, _ = device.update([0], [[1]], 8)
        visibility = device.swap_test([[0, 1]])
        assert np.all((visibility >= 0.5) & (visibility <= 1) & (entropy >= 0))
        device.gossip([[0, 1], [1, 0]], U, "both")
        assert np.linalg.norm(device.read(), axis=1).max() <= 1 + 3 * LSB
        probabilities(device, 2)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(steps, steps, directions)
def test_density_matrices_at_the_edge(
    exact: list[Device], trace: float, excess: float, r: Any
) -> None:
    """One verdict; results are states, and a device takes them back."""
    r = r / np.linalg.norm(r, axis=1, keepdims=True) * (1 + 2 * excess * LSB)
    a, b = tmesh.density(r) + np.eye(2) * trace * LSB / 2
    for call in (
        lambda d, x: d.purify(x, 1),
        lambda d, x: d.evolve(U, x, x),
        lambda d, x: d.entropy(x),
        lambda d, x: d.purity(x),
    ):
        errors = {outcome(device, call, a) for device in exact}
        assert len(errors) == 1
    if errors != {""} or outcome(exact[0], lambda d, x: d.purity(x), b):
        return
    for device in exact:
        assert 0.5 <= device.purity(a) <= 1
        assert device.entropy(a) >= 0
        state, visibility = device.interfere(a, b)
        assert 0.5 <= visibility <= 1
        first, second, weight = device.evolve(U / 8, a, b, weight=True)
        assert 2**-8 <= weight <= 1
        for rho in (state, first, second, device.purify(a, 1), device.purify(b, 8)):
            is_state(rho)
            device.purify(rho, 2)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.floats(-3, 3), st.sampled_from([2, 4]), st.integers(0, 10**6), st.booleans())
def test_norms_at_the_edge_of_the_format(
    exact: list[Device], steps: float, n: int, seed: int, diagonal: bool
) -> None:
    rng = np.random.default_rng(seed)
    g = rng.normal(size=(n, n)) + 1j * rng.normal(size=(n, n))
    vectors = np.eye(n) if diagonal else np.linalg.qr(g)[0]
    values = rng.uniform(-1, 1, n)
    values[0] = rng.choice([-1, 1]) * (2 + steps * LSB)
    x = vectors @ np.diag(values) @ vectors.conj().T
    calls = [lambda d, x: d.eigvalsh(x), lambda d, x: d.eigh(x)]
    if n == 4:
        calls += [lambda d, x: d.conjugate(np.eye(4), x), lambda d, x: d.partial_trace(x, 1)]
    else:
        calls += [lambda d, x: d.kron(np.eye(2), x), lambda d, x: d.kron(x, np.eye(2))]
    for call in calls:
        assert len({outcome(device, call, x) for device in exact}) == 1


@pytest.mark.parametrize("x", [2 - 2.0**-24, 2 - LSB / 2, -2.0, -2 + 2.0**-30, 2 - 2.0**-17])
def test_a_value_that_rounds_to_2_is_refused(exact: list[Device], x: float) -> None:
    for device in exact:
        with pytest.raises(tmesh.InvalidInput, match=r"x must have a spectral norm below 2, not 2"):
            device.eigvalsh(np.diag([x, 0]))
        np.testing.assert_allclose(device.eigvalsh(np.diag([2 - LSB, 0])), [0, 2 - LSB], atol=LSB)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.floats(-30, 30), directions, st.booleans(), st.booleans())
def test_weights_at_the_limit(
    exact: list[Device], off: float, r: Any, unitary: bool, both: bool
) -> None:
    """The core's roundings decide whether a weight is below 2⁻⁸; `reference` follows them."""
    r = np.rint(r / np.linalg.norm(r, axis=1, keepdims=True) * 0.9 / LSB) * LSB
    a, b = tmesh.density(r)
    gate = np.eye(4) if unitary else U
    p = np.trace(gate @ np.kron(a, b) @ gate.conj().T).real
    u = gate * np.sqrt((2**-8 + off * LSB) / p)
    for call in (
        lambda d, u: d.evolve(u, a, b),
        lambda d, u: d.gossip([[0, 1]], u, "both" if both else "first"),
    ):
        verdicts = []
        for device in exact:
            device.load(r)
            error = outcome(device, call, u)
            verdicts.append(error.startswith("u: the weight"))
            assert bool(error) == verdicts[-1]
        assert len(set(verdicts)) == 1


def test_the_core_gives_the_same_verdicts(exact: list[Device]) -> None:
    """A fixed table on the Verilated core: its refusals and its answers are the model's."""
    edge = np.diag([2 - 2.0**-24, 0])
    long = np.array([[0, 0, 1 + 3 * LSB], [0, 1 + 2 * LSB, 0], [0.6, 0, 0.8]])
    table: list[Callable[[Device], object]] = [
        lambda d: d.eigvalsh(edge),
        lambda d: d.eigvalsh(np.diag([2 - LSB, 0])),
        lambda d: d.partial_trace(1.5 * np.eye(4)),
        lambda d: d.conjugate((1 + 1j) * 1e200 * np.eye(4), np.eye(4) / 4),
        lambda d: d.load(long),
        lambda d: d.read(),
        lambda d: d.observe([0, 1, 2]).eigenvalues,
        lambda d: d.observe([0, 1, 2]).purity,
        lambda d: d.observe([0, 1, 2]).diagonal,
        lambda d: d.swap_test([[0, 1], [1, 0]]),
        lambda d: d.load([[0, 0, 1 + 5 * LSB]]),
        lambda d: d.load(np.array([[0, 0, 0.6j]])),
        lambda d: d.gossip(np.zeros((0, 5), dtype=np.int64), np.eye(4)),
        lambda d: d.purify(np.diag([1 + 3 * LSB, -2 * LSB]), 1),
        lambda d: d.evolve(np.eye(4) * 2**-4, RHO, RHO, weight=True)[2],
        lambda d: d.evolve(np.eye(4) * (2**-4 - LSB), RHO, RHO),
        lambda d: d.update([0], [[1]], np.int32(4))[0],
    ]
    with tmesh.open_device("verilator") as core:
        for call in table:
            answers = []
            for device in (exact[1], core):
                try:
                    answers.append(call(device))
                except tmesh.InvalidInput as error:
                    answers.append(str(error))
            np.testing.assert_array_equal(*answers)
        probabilities(core, 3)
