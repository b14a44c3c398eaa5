"""Numbers and arrays at the border of every public call that is not a device's."""

import dataclasses
import json
from array import array
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tmesh
from hypothesis import given, settings
from hypothesis import strategies as st
from tmesh import checks, schedule
from tmesh.config import CONFIGS
from tmesh.golden import bounds, cordic, fixed, jacobi, reference
from tmesh.golden.cordic import CordicFormat
from tmesh.golden.engine import EngineModel
from tmesh.monogamy import concurrence, residual_tangle, support
from tmesh.numbers import Q, round_shift, saturate
from tmesh.opcodes import Opcode
from tmesh.sheaf import CellularSheaf, Incidence
from tmesh.swarm import Scenario, linear
from tmesh.swarm.course import decide

from . import hostile

RHO = np.array([[0.75, 0.125 - 0.25j], [0.125 + 0.25j, 0.25]])
JOINT = np.kron(RHO, RHO)
R = np.array([[0, 0, 0.5], [0.25, 0, 0]])
EDGES, TRIANGLES = np.array([[0, 1], [1, 2], [0, 2]]), np.array([[0, 1, 2]])
X = np.array([[0.0, 0.1, 0.2], [0.1, 0, 0], [0.3, 0, 0.1]])
MAPS = np.zeros((3, 2, 3, 3)) + np.eye(3)
PSI = np.eye(8)[:2] * (0.6 + 0.8j)


def graph() -> CellularSheaf:
    return CellularSheaf.on_graph(3, EDGES)


#: Functions of one array: the argument's name, its kind, a good value.
ARRAYS: list[tuple[str, str, Any, Callable[[Any], object]]] = [
    ("rho", "complex", RHO, tmesh.bloch),
    ("r", "real", R, tmesh.density),
    ("edges", "pairs", EDGES, lambda x: CellularSheaf.on_graph(3, x)),
    ("maps", "real", MAPS, lambda x: CellularSheaf.on_graph(3, EDGES, maps=x)),
    ("triangles", "pairs", TRIANGLES, lambda x: CellularSheaf.on_complex(3, EDGES, x)),
    ("hyperedges", "indices", np.array([0, 2]), lambda x: CellularSheaf.on_hyperedges(3, [x])),
    ("frames", "real", MAPS[:, 0], lambda x: CellularSheaf.on_hyperedges(3, [[0, 2]], frames=x)),
    ("nodes", "indices", np.array([1, 0]), lambda x: graph().without(x)),
    ("x", "real", X, lambda x: graph().residuals(x)),
    ("x", "real", X, lambda x: graph().filtration(x)),
    ("x", "real", X, lambda x: graph().localise(x, 0.1, 1)),
    ("b", "real", X, lambda x: graph().obstruction(x)),
    ("b", "real", X, lambda x: graph().explain(x)),
    ("weights", "real", np.ones(3), lambda x: graph().consistency_radius(X, x)),
    ("psi", "complex", PSI, residual_tangle),
    ("rho", "complex", JOINT, lambda x: concurrence(tmesh.open_device("reference"), x)),
    ("authors", "indices", np.array([0, 2]), lambda x: support(x, [0, 1], 3, 2)),
    ("outcomes", "indices", np.array([0, 1]), lambda x: support([0, 1], x, 3, 2)),
    ("pairs", "pairs", EDGES, lambda x: schedule.bundles(x, True, 3, 2, 4)),
    ("members", "indices", EDGES, lambda x: schedule.levels(x, False, 3)),
]


#: Exceptions: the default of some arguments is None, and events may have any number of members.
FINE = {("maps", "none"), ("frames", "none"), ("weights", "none"), ("members", "no entries")}


@pytest.mark.parametrize("number", range(len(ARRAYS)))
def test_a_hostile_array_is_refused_by_name(number: int) -> None:
    argument, kind, good, call = ARRAYS[number]
    call(good)
    for way, spoil in hostile.KINDS[kind].items():
        if (argument, way) in FINE:
            continue
        with pytest.raises(tmesh.InvalidInput) as caught:
            call(spoil(good))
        assert hostile.names(str(caught.value), argument), way
    if kind in ("complex", "real"):
        for value in (np.nan, np.inf, -np.inf):
            with pytest.raises(tmesh.InvalidInput) as caught:
                call(hostile.with_number(good, value))
            assert hostile.names(str(caught.value), argument), value
    for value in (1e200, 1e-200, 5e-324, 1e308, -0.0):
        if kind in ("complex", "real"):
            finite_or_refused(argument, lambda v=value: call(hostile.with_number(good, v)))


def finite_or_refused(argument: str, call: Callable[[], object]) -> None:
    try:
        result = call()
    except tmesh.InvalidInput as error:
        result, named = 0.0, hostile.names(str(error), argument)
    else:
        named = True
    assert named
    if isinstance(result, np.ndarray | float):
        assert np.all(np.isfinite(result))


@settings(deadline=None, derandomize=True, max_examples=20)
@given(st.integers(-1000, 900), st.integers(0, 10**6))
def test_sheaves_measure_any_scale(exponent: int, seed: int) -> None:
    """Residuals and obstructions scale with their cochain: no square overflows or vanishes."""
    rng = np.random.default_rng(seed)
    x, b = rng.normal(size=(2, 3, 3))
    sheaf, scale = graph(), 2.0**exponent
    for call, value in ((sheaf.residuals, x), (sheaf.explain, b), (sheaf.filtration, x)):
        if call == sheaf.filtration and abs(exponent) > 10:
            continue  # its radii are differences from 1
        np.testing.assert_allclose(call(value * scale), call(value) * scale, rtol=1e-6)
    norm, rest = sheaf.obstruction(b * scale)
    np.testing.assert_allclose(norm / scale, np.linalg.norm(rest / scale), rtol=1e-9)
    maps = MAPS[:, :, :1] * 2.0 ** min(exponent, 300)
    assert CellularSheaf.on_graph(3, EDGES, maps=maps).betti() == (7, 1)


SHEAVES: list[tuple[str, Callable[[], object]]] = [
    (r"edges must be integers \(m, 2\), not int64 \(2, 3\)",
     lambda: CellularSheaf.on_graph(4, [[0, 1, 2], [1, 2, 3]])),
    ("edges: a cell has the same node twice: \\(1, 1\\)",
     lambda: CellularSheaf.on_graph(2, [[0, 1], [1, 1]])),
    ("nodes must be an integer, not 3.0", lambda: CellularSheaf.on_graph(3.0, EDGES)),
    ("nodes must be at least 0, not -1", lambda: CellularSheaf.on_graph(-1, [])),
    ("dim must be at least 1, not 0", lambda: CellularSheaf.on_graph(3, EDGES, dim=0)),
    ("hyperedges: .* names an agent twice", lambda: CellularSheaf.on_hyperedges(3, [[1, 1]])),
    (r"x: a cochain on nodes has 9 parts, not \(3, 2\)",
     lambda: graph().residuals(np.zeros((3, 2)))),
    (r"b: a cochain on edges has 9 parts, not \(1, 9\)",
     lambda: graph().obstruction(np.zeros((1, 9)))),
    ("tau must be positive, not 0", lambda: graph().weights(X, 0)),
    ("tau holds nan", lambda: graph().localise(X, np.nan, 1)),
    ("faults must be an integer, not 1.5", lambda: graph().localise(X, 0.1, 1.5)),
    ("weights must be 3 numbers of at least 0",
     lambda: graph().consistency_radius(X, [1, -1, 1])),
    ("k must be 0 or 1, not -1", lambda: graph().laplacian(-1)),
    ("k must be 0, not 1", lambda: graph().coboundary(1)),
    ("tau must be at least 0, not -1", lambda: graph().localise(X, -1, 1)),
    ("hyperedges must be a list, a tuple or an array, not 5",
     lambda: CellularSheaf.on_hyperedges(3, 5)),  # type: ignore[arg-type]
    ("hyperedges must be integers", lambda: CellularSheaf.on_hyperedges(3, [None])),  # type: ignore[list-item]
    ("stalks must be a list, a tuple or an array, not None",
     lambda: CellularSheaf(None, [])),  # type: ignore[arg-type]
    ("incidences must be a list, a tuple or an array, not None",
     lambda: CellularSheaf([[1, 1], [1]], None)),  # type: ignore[arg-type]
    (r"incidences\[0\] must be an Incidence, not NoneType",
     lambda: CellularSheaf([[1, 1], [1]], [None])),  # type: ignore[list-item]
    (r"stalks\[1\] must be integers", lambda: CellularSheaf([[1, 1], None], [incidence()])),  # type: ignore[list-item]
    (r"incidences\[0\].maps must be a list, a tuple or an array, not None",
     lambda: CellularSheaf([[1, 1], [1]], [incidence(maps=None)])),
    (r"incidences\[0\].maps must be real numbers",
     lambda: CellularSheaf([[1, 1], [1]], [incidence(maps=[None, None])])),
    (r"incidences\[0\].coface must be integers",
     lambda: CellularSheaf([[1, 1], [1]], [incidence(coface=None)])),
    (r"stalks\[0\]: a dimension must not be negative",
     lambda: CellularSheaf([[-1, 1], [1]], graph().incidences)),
    (r"incidences\[0\].face: cells are numbered 0 to 1, not -1",
     lambda: CellularSheaf([[1, 1], [1]], [incidence(face=[0, -1])])),
    (r"incidences\[0\].sign must be ±1, not 2",
     lambda: CellularSheaf([[1, 1], [1]], [incidence(sign=[1, 2])])),
    (r"incidences\[0\]: an edge has two nodes, but edge 0 has 1",
     lambda: CellularSheaf([[1, 1], [1, 1]], [incidence(coface=[0, 1])])),
    (r"incidences\[0\]: coface, face, sign and maps have \(2, 2, 1, 2\) entries",
     lambda: CellularSheaf([[1, 1], [1]], [incidence(sign=[1])])),
    (r"incidences\[0\].maps must have entries up to 1e\+100, not 1e\+200",
     lambda: CellularSheaf([[1, 1], [1]], [incidence(maps=np.full((2, 1, 1), 1e200))])),
]  # fmt: skip


def incidence(**changed: Any) -> Incidence:
    fields = {"coface": [0, 0], "face": [0, 1], "sign": [-1, 1], "maps": np.ones((2, 1, 1))}
    return Incidence(**{**fields, **changed})


@pytest.mark.parametrize(("reason", "call"), SHEAVES)
def test_a_sheaf_that_is_none_is_refused(reason: str, call: Callable[[], object]) -> None:
    with pytest.raises(tmesh.InvalidInput, match=f"^{reason}"):
        call()


#: Calls of the functions behind the devices, each with a bad argument.
INTEGERS, HALVES, FORMAT = np.array([1, 2]), np.array([0.5, 1.5]), CordicFormat(16)
HUGE = (1 + 1j) * 1e200 * np.eye(4)
PURE: list[tuple[str, Callable[[], object]]] = [
    ("u or x is too large", lambda: reference.conjugate(HUGE, np.eye(4) / 4)),
    ("u or x is too large", lambda: reference.evolve(HUGE, RHO, RHO)),
    ("a or b is too large", lambda: reference.kron(HUGE[:2, :2], HUGE[:2, :2])),
    ("u: the trace must be positive, not 0", lambda: reference.evolve(0 * HUGE, RHO, RHO)),
    ("x is too large", lambda: reference.partial_trace(np.full((4, 4), 1e308), 0)),
    ("keep must be 0 or 1, not 5", lambda: reference.partial_trace(JOINT, 5)),
    ("kappa must be a power of two, not 3", lambda: reference.purify(RHO, 3)),
    ("a is too large", lambda: reference.purify(HUGE[:2, :2], 2)),
    ("a: the trace must be positive", lambda: reference.purify(np.zeros((2, 2)), 2)),
    (r"a holds \(nan", lambda: reference.purify(RHO * np.nan, 2)),
    ("x must have shape", lambda: reference.entropy(np.zeros((2, 3)))),
    ("length holds nan", lambda: reference.binary_entropy(np.array([np.nan]))),
    ("eta must be real numbers", lambda: reference.partial_swap(1j)),  # type: ignore[arg-type]
    ("pairs: agents are numbered 0 to 1, not 2",
     lambda: reference.meet_in_order(R.copy(), EDGES, np.zeros((2, 3, 4, 4)), True, 1.0)),
    ("rho is too large", lambda: tmesh.bloch(np.diag([1.7e308, -1.7e308]))),
    ("rho is not Hermitian: it differs from its adjoint by 0.2",
     lambda: tmesh.bloch([[0.5, 0.3], [0.1, 0.5]])),
    ("x must be real numbers, not complex128", lambda: Q(2, 16).quantise([0.5j])),
    ("x holds 1e.308, which does not fit", lambda: Q(2, 16).quantise([1e308])),
    ("f must be an integer, not 16.0", lambda: Q(2, 16.0)),  # type: ignore[arg-type]
    ("i must be an integer, not True", lambda: Q(True, 4)),
    ("n must be integers", lambda: Q(2, 4).value(np.array([0.5]))),  # type: ignore[arg-type]
    ("x must be integers", lambda: round_shift(np.array([0.5]), 1)),  # type: ignore[arg-type]
    ("x must be integers", lambda: saturate(np.array([0.5]), 4)),  # type: ignore[arg-type]
    ("f must be an integer, not 8.0", lambda: CordicFormat(8.0)),  # type: ignore[arg-type]
    ("x holds 131072, which does not fit Q",
     lambda: fixed.execute(Opcode.KRON, *np.full((2, 4, 4, 2), [[[[0]]], [[[1 << 17]]]]), 16)),
    ("packet must be uint32", lambda: EngineModel(CONFIGS["sim-gossip"]).execute(np.zeros((2, 2)))),
    ("lanes must be at least 1, not 0", lambda: schedule.bundles(EDGES, True, 3, 0, 4)),
    ("pairs: agents are numbered 0 to 1, not 2", lambda: schedule.bundles(EDGES, True, 2, 1, 4)),
    ("members: agents are numbered 0 to 1, not 2", lambda: schedule.levels(EDGES, True, 2)),
    (r"members: agents are numbered 0 to 1, −1 for none, not -2",
     lambda: schedule.levels(np.array([[0, -2]]), False, 2)),
    ("psi must not be zero", lambda: residual_tangle(np.zeros(8))),
    ("agents must be at least 1, not 0", lambda: support([], [], 0, 1)),
    ("outcomes: 2 of 1 votes", lambda: support([0], [0, 1], 1, 2)),
    ("outcomes: conflicting outcomes are numbered 0 to 1, not 2", lambda: support([0], [2], 1, 2)),
    ("x is not Hermitian: it differs from its adjoint by 0.3",
     lambda: reference.entropy(np.array([[0.5, 0.3], [0, 0.5]]))),
    ("f must be an integer, not nan", lambda: bounds.entropy(np.nan)),  # type: ignore[arg-type]
    ("f must be from 2 to 16, not 2000", lambda: bounds.entropy(2000)),
    ("f must be an integer, not 16.0", lambda: bounds.evolve(1.0, 16.0)),  # type: ignore[arg-type]
    ("p must be positive, not 0", lambda: bounds.evolve(0.0, 16)),
    ("shift must be from 0 to 62, not 70", lambda: round_shift(INTEGERS, 70)),
    ("shift must be from 0 to 62, not -1", lambda: round_shift(INTEGERS, -1)),
    ("shift must be an integer, not 1.5", lambda: round_shift(INTEGERS, 1.5)),  # type: ignore[arg-type]
    ("width must be from 1 to 62, not 0", lambda: saturate(INTEGERS, 0)),
    ("width must be an integer, not 4.0", lambda: saturate(INTEGERS, 4.0)),  # type: ignore[arg-type]
    ("slack must be at least 0, not -1", lambda: saturate(INTEGERS, 4, -1)),
    ("x must be integers, not float64", lambda: cordic.vector(HALVES, INTEGERS, FORMAT)),
    ("y must be integers, not float64", lambda: cordic.vector(INTEGERS, HALVES, FORMAT)),
    ("z must be integers, not float64", lambda: cordic.rotate(INTEGERS, INTEGERS, HALVES, FORMAT)),
    (r"x, y and z must broadcast, not \(2,\), \(2,\), \(3,\)",
     lambda: cordic.transform(INTEGERS, INTEGERS, np.arange(3), False, FORMAT)),
    (r"x must be integers \(..., n, n, 2\), not float64",
     lambda: jacobi.eigh(np.full((2, 2, 2), 0.5), 16, vectors=True)),  # type: ignore[arg-type]
    (r"x must be integers \(..., n, n, 2\), n 2, 4 or 8, not \(3, 3, 2\)",
     lambda: jacobi.eigh(np.zeros((3, 3, 2), dtype=np.int64), 16, vectors=True)),
    (r"x holds 131072, which does not fit Q\(2,16\)",
     lambda: jacobi.eigh(np.full((4, 4, 2), 1 << 17), 16, vectors=False)),
    ("vectors must be True or False, not 2",
     lambda: jacobi.eigh(np.zeros((2, 2, 2), np.int64), 16, vectors=2)),  # type: ignore[arg-type]
    ("config must be a name or a CoreConfig, not list", lambda: tmesh.open_device("model", [])),  # type: ignore[arg-type]
    ("trace must be a path, not 5", lambda: tmesh.open_device("verilator", trace=5)),  # type: ignore[arg-type]
    ("trace must be a path, not True", lambda: tmesh.open_device("model", trace=True)),  # type: ignore[arg-type]
]  # fmt: skip


@pytest.mark.parametrize(("reason", "call"), PURE)
def test_a_pure_function_refuses_by_name(reason: str, call: Callable[[], object]) -> None:
    with pytest.raises(tmesh.InvalidInput, match=f"^{reason}"):
        call()


def test_containers_are_lists_tuples_ranges_and_arrays() -> None:
    """NumPy reads more: the bytes of a buffer, and truth values in a deque as numbers."""
    for good in ([1, 2], (1, 2), range(1, 3), np.array([1, 2]), [np.int8(1), np.array(2)]):
        np.testing.assert_array_equal(checks.integers("n", good), [1, 2])
    data = b"\1\2"
    sequences: list[Any] = [deque([True, 2]), deque([1, 2]), array("b", data), [[1], deque([2])]]
    buffers: list[Any] = [data, bytearray(data), memoryview(data), [bytearray(data)]]
    for bad in (*sequences, *buffers, {1, 2}, {1: 2}):
        with pytest.raises(tmesh.InvalidInput, match=r"^n must be integers"):
            checks.integers("n", bad)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.data(), st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_a_truth_value_is_found_at_any_place(data: st.DataObject, shape: list[int]) -> None:
    """Nested lists of numbers are an array; one truth value anywhere among them is refused."""
    entries: Any = np.arange(int(np.prod(shape)), dtype=object).reshape(shape)
    np.testing.assert_array_equal(checks.reals("x", entries.tolist()), entries.astype(float))
    entries.flat[data.draw(st.integers(0, entries.size - 1))] = data.draw(st.booleans())
    with pytest.raises(tmesh.InvalidInput, match=r"^x must be real numbers, not bool"):
        checks.reals("x", entries.tolist())


def test_a_sheaf_without_noise_has_no_tolerance() -> None:
    """τ = 0: every residual that is not zero is a conflict."""
    x = np.zeros((3, 3))
    assert graph().localise(x, 0, 0).tolist() == []
    x[1, 0] = 1e-12
    assert graph().localise(x, 0, 1).tolist() == [1]


@pytest.mark.parametrize("scale", [5e-324, 1e-200, 1e200, 1e308])
def test_amplitudes_of_any_scale_have_a_direction(scale: float) -> None:
    ghz = np.zeros(8)
    ghz[[0, 7]] = scale
    assert residual_tangle(ghz) == pytest.approx(1)
    assert residual_tangle(ghz * (1 + 1j)) == pytest.approx(1)


def test_integers_are_those_of_python_and_numpy() -> None:
    for good in (3, np.int8(3), np.uint64(3), np.array(3)):
        assert type(checks.integer("n", good)) is int
    for bad in hostile.NO_INTEGERS:
        with pytest.raises(tmesh.InvalidInput, match="n must be an integer"):
            checks.integer("n", bad)
    with pytest.raises(tmesh.InvalidInput, match="n must be from 0 to 4, not one of 20001 bits"):
        checks.integer("n", 1 << 20_000, least=0, most=4)


SMALL = Scenario(agents=6, topology={"kind": "complete"}, config="sim-gossip", device="model")
BAD_SEEDS = [*hostile.NO_INTEGERS, -1, np.int64(-1), 1 << 64, 1 << 20_000]


def test_a_seed_may_be_numpys() -> None:
    for kind in (np.int64, np.uint8, np.array):
        result = tmesh.run(SMALL, seed=kind(1))
        assert json.loads(result.to_json()) == json.loads(tmesh.run(SMALL, seed=1).to_json())
    assert linear(np.int64(10), np.int64(1)) == linear(10, 1)
    assert decide(SMALL, np.int64(1)) == decide(SMALL, 1)


@pytest.mark.parametrize("number", range(len(BAD_SEEDS)))
def test_a_bad_seed_is_refused(number: int) -> None:
    seed: Any = BAD_SEEDS[number]
    with tmesh.open_device("model", "sim-gossip") as device:
        for call in (
            lambda: tmesh.run(SMALL, device, seed),
            lambda: decide(SMALL, seed),
            lambda: linear(10, seed),
        ):
            with pytest.raises(tmesh.InvalidInput, match="seed must be"):
                call()
        for seeds in (0, True, 2.0, None):
            with pytest.raises(tmesh.InvalidInput, match="seeds must be"):
                linear(seeds)  # type: ignore[arg-type]
        with pytest.raises(tmesh.InvalidInput, match="scenario must be a Scenario, not str"):
            tmesh.run("swarm.toml", device)  # type: ignore[arg-type]
        with pytest.raises(tmesh.InvalidInput, match="device must be an open device, not str"):
            tmesh.run(SMALL, "model")  # type: ignore[arg-type]


def test_a_result_with_numpys_numbers_is_json() -> None:
    """A caller may put NumPy's scalars into a result that it makes or changes."""
    result = dataclasses.replace(
        tmesh.run(SMALL), seed=np.int64(7), frames=np.int32(5), seconds=np.longdouble(0.5)
    )
    found = json.loads(result.to_json())
    assert (found["seed"], found["frames"], found["seconds"]) == (7, 5, 0.5)
