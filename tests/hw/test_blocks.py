"""Every block in Amaranth's simulator against its integer model, bit for bit."""

import numpy as np
import pytest
from tmesh.opcodes import Opcode
from tmesh_hw.blocks import (
    Kronecker,
    Normalise,
    OperatorMac,
    PartialTrace,
    PartialTraces,
    Reciprocal,
    RoundedProduct,
)
from tmesh_sim.amaranth_bench import run
from tmesh_sim.packing import rows
from tmesh_sim.vectors import LARGE, build, cases, vectors

#: What takes long in this simulator runs with stalls at one format and without at the other; the
#: cocotb benches do both at both.
SLOW = (*LARGE, "engine", "microcoded_engine")
CASES = cases(SLOW)
RUNS = [
    (*case, stall)
    for case in CASES
    for stall in (0.0, 0.4)
    if case[0] not in SLOW or (stall > 0) == (case[1] == 14)
]

#: What takes commands, each with a latency of its own.
COMMANDED = ("core", "engine", "microcoded_engine")


@pytest.mark.parametrize(("name", "f", "lanes", "stall"), RUNS)
def test_equals_the_model(name: str, f: int, lanes: int, stall: float) -> None:
    """A wrong bit, a lost, doubled or reordered transaction under stalls would fail here."""
    dut = build(name, f, lanes)
    inputs, expected = vectors(name, dut, 40, seed=f + lanes)
    if name.endswith("engine"):  # one of four like sections: this simulator takes seconds for each
        inputs, expected = inputs[: len(inputs) // 4], expected[: len(expected) // 4]
    outcome = run(dut, inputs, stall=stall, seed=7, answers=len(expected))
    np.testing.assert_array_equal(outcome.replies, expected)


@pytest.mark.parametrize(
    ("name", "f", "lanes"), [case for case in CASES if case[0] not in COMMANDED and case[1] == 16]
)
def test_latency_is_as_documented(name: str, f: int, lanes: int) -> None:
    """The figure that users schedule by is the measured one."""
    dut = build(name, f, lanes)
    inputs, _ = vectors(name, dut, 40, seed=3)
    latency = dut.latency
    if name == "operator_mac":
        inputs[:, -2] = 1
        latency = dut.latency(hermitian=True)
    if name == "gossip":
        inputs[:, 0] = 0  # evolve
    if name.startswith("jacobi"):
        inputs[:, -3] = 0  # a whole matrix
        latency = dut.latency(vectors=dut.vectors)
    if name == "quotient":
        latency = dut.latency(inputs[-1, 4])
    # The last one: a lane has its operator by then.
    outcome = run(dut, inputs[-1:], stall=0, seed=0)
    assert outcome.received[0] - outcome.sent[0] == latency


@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_evolves_follow_each_other_at_the_interval(lanes: int) -> None:
    """Sustained throughput: 104, 26 and 7 cycles per evolve at 1, 4 and 16 lanes."""
    dut = build("gossip", 16, lanes)
    inputs, _ = vectors("gossip", dut, 24, seed=5)
    inputs[:, 0] = 0
    received = run(dut, inputs, stall=0, seed=0).received
    assert (received[-1] - received[7]) / (len(received) - 8) <= dut.interval


@pytest.mark.parametrize("lanes", [1, 4, 16])
@pytest.mark.parametrize("name", ["kronecker", "operator_mac"])
def test_whole_matrices_follow_each_other_at_the_interval(name: str, lanes: int) -> None:
    dut = build(name, 16, lanes)
    inputs, _ = vectors(name, dut, 24, seed=5)
    interval = dut.interval
    if name == "operator_mac":
        inputs[:, -2] = 1
        interval = dut.interval(hermitian=True)
    received = run(dut, inputs, stall=0, seed=0).received
    assert (received[-1] - received[7]) / (len(received) - 8) <= interval


@pytest.mark.parametrize("lanes", [4, 16])
def test_what_is_not_used_does_not_saturate(lanes: int) -> None:
    """Below the diagonal of a Hermitian result nothing counts that is computed there."""
    dut, one = build("gossip", 16, lanes), 1 << 16
    u, x = np.zeros((2, 1, 4, 4, 2), dtype=np.int64)
    u[0, range(4), range(4), 0] = 1.41 * one
    x[0, 1, 0, 0] = 1.37 * one
    reply = dut.model(Opcode.CONJUGATE, u, x)
    inputs = rows(np.array([int(Opcode.CONJUGATE)]), u, x)
    expected = rows(reply.y, reply.weight, reply.saturated, reply.vanished)
    outcome = run(dut, inputs, stall=0, seed=0, answers=1)
    np.testing.assert_array_equal(outcome.replies, expected)


def test_bad_parameters_are_named() -> None:
    with pytest.raises(ValueError, match=r"lanes must be one of \(1, 2, 4, 8, 16\), not 3"):
        Kronecker(f=16, lanes=3)
    with pytest.raises(ValueError, match=r"lanes must be one of \(1, 2, 4, 8, 16\), not 5"):
        OperatorMac(f=16, lanes=5)
    with pytest.raises(ValueError, match="f must be from 2 to 16, not 18"):
        RoundedProduct(f=18)
    with pytest.raises(ValueError, match="f must be from 2 to 16, not 17"):
        OperatorMac(f=17, lanes=1)
    with pytest.raises(ValueError, match=r"keep must be one of \(0, 1\), not 2"):
        PartialTrace(width=18, keep=2)
    with pytest.raises(ValueError, match=r"units must be one of \(1, 2, 4\), not 3"):
        PartialTraces(width=18, units=3)
    with pytest.raises(ValueError, match="interval must be at least 3, not 2"):
        Reciprocal(f=16, interval=2)
    with pytest.raises(ValueError, match="states must be at least 1, not 0"):
        Normalise(f=16, width=40, states=0, interval=7)
