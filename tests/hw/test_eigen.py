"""The eigensolver: schedule, throughput, size 8, kinds that do not share a ring."""

import numpy as np
import pytest
from tmesh.golden import jacobi
from tmesh_hw.eigen import HermitianJacobi
from tmesh_hw.eigen.schedule import Schedule, operations
from tmesh_sim.amaranth_bench import run
from tmesh_sim.packing import rows
from tmesh_sim.vectors import build, spectra, vectors


def test_every_pair_meets_once_in_a_sweep() -> None:
    for n in (2, 4, 8):
        places, items, met = jacobi.order(n), list(range(n)), []
        for _ in range(n - 1):
            met += [frozenset(items[k : k + 2]) for k in range(0, n, 2)]
            items = [items[place] for place in places]
        assert len(set(met)) == n * (n - 1) // 2
        assert items == list(range(n))


@pytest.mark.parametrize(("n", "wanted", "count"), [(2, False, 2), (4, False, 11), (4, True, 35)])
def test_a_step_has_no_operation_too_many(n: int, wanted: bool, count: int) -> None:
    """Sum and difference of angles: 11 operations at 4×4 where one-sided rotations take 15."""
    assert len(operations(n, wanted)) == count


@pytest.mark.parametrize(("units", "occupancy"), [(1, 1), (2, 1), (4, 1), (1, 24)])
@pytest.mark.parametrize("wanted", [False, True])
def test_no_unit_does_two_things_at_once(units: int, occupancy: int, wanted: bool) -> None:
    """Over many matrices in flight: each unit free when it is given work, each operand there."""
    schedule = Schedule(4, wanted, units, 24, occupancy)
    busy: set[tuple[int, int]] = set()
    for operation, (unit, time) in schedule.places.items():
        for need in operation.needs:
            assert time >= schedule.places[need][1] + schedule.latency
        for start in range(0, 3 * schedule.step, schedule.interval):
            for cycle in range(occupancy):
                assert (unit, start + time + cycle) not in busy
                busy.add((unit, start + time + cycle))
    assert schedule.step % schedule.interval == 0
    assert schedule.step > schedule.finished()


@pytest.mark.parametrize(
    ("n", "cordics", "cycles"), [(4, 1, 110), (4, 4, 30), (4, 8, 15), (2, 2, 1)]
)
def test_sustained_cycles_per_matrix(n: int, cordics: int, cycles: int) -> None:
    """Eigenvalues, rings full: the units are used in 11 of 12 slots or more, and nothing mixes."""
    dut = HermitianJacobi(f=16, n=n, cordics=cordics)
    assert dut.interval() == cycles
    assert dut.schedule.utilisation >= 0.85
    flight = dut.schedule.step // dut.schedule.interval * max(1, cordics // 4)
    count = 2 * flight
    kinds = spectra(np.random.default_rng(1), count // 8 + 1, n, 16)
    x = np.concatenate(list(kinds.values()))[:count]
    inputs, wanted = rows(x, np.zeros(count), np.ones(count)), dut.model(x).values
    outcome = run(dut, inputs, stall=0, seed=0)
    np.testing.assert_array_equal(outcome.replies[:, :n], wanted)
    # From one full ring to the next, so that where the count starts does not matter.
    received = outcome.received
    assert received[2 * flight - 1] - received[flight - 1] <= flight * cycles
    if cordics == 8:
        return
    # Results that wait: no matrix may enter without a place for it.
    stalled = run(dut, inputs, stall=0.8, seed=1)
    np.testing.assert_array_equal(stalled.replies[:, :n], wanted)


def test_latency_stays_under_a_thousand_cycles() -> None:
    for cordics in (1, 4, 8):
        assert HermitianJacobi(f=16, n=4, cordics=cordics).latency() <= 1000
        assert HermitianJacobi(f=16, n=4, cordics=cordics).latency(small=True) <= 120


def test_eigenvectors_of_one_2x2_per_cycle() -> None:
    """Eight operations on two rings of four units; the one input is the limit with more."""
    assert HermitianJacobi(f=16, n=2, cordics=8, vectors=True).interval() == 1
    assert HermitianJacobi(f=16, n=2, cordics=8).interval() == 1


@pytest.mark.parametrize("f", [16, 14])
def test_the_edge_of_the_range_is_inside(f: int) -> None:
    """Norms of 2 less one LSB, where errors reach beyond 2, are solved; larger ones are flagged."""
    edge = np.zeros((3, 4, 4, 2), dtype=np.int64)
    edge[0, ..., 0] = (1 << (f - 1)) * (1 - 2 * np.eye(4))  # eigenvalues 1 and -1
    edge[1, ..., 0] = np.eye(4) * ((2 << f) - 1)
    edge[2, ..., 0] = (1 << (f - 1)) - 1
    solved = jacobi.eigh(edge, f, vectors=False)
    assert not solved.saturated.any()
    exact = np.linalg.eigvalsh(edge[..., 0] * 2.0**-f)
    assert np.abs(solved.values * 2.0 ** -(f + 6) - exact).max() < 2.5 * 2.0**-f
    far = np.zeros((1, 4, 4, 2), dtype=np.int64)
    far[..., 0] = 1 << f  # norm 4
    assert jacobi.eigh(far, f, vectors=False).saturated.all()


def test_size_8_equals_the_model() -> None:
    dut = build("jacobi_8", 16, 4)
    inputs, expected = vectors("jacobi_8", dut, 40, seed=8)
    np.testing.assert_array_equal(run(dut, inputs, stall=0.2, seed=1).replies, expected)


def test_intervals_and_latencies_of_size_8() -> None:
    dut = HermitianJacobi(f=16, n=8, cordics=4, vectors=True)
    assert (dut.interval(), dut.interval(vectors=True)) == (1813, 2072)
    assert (dut.latency(), dut.latency(vectors=True)) == (7284, 8320)


def test_kinds_of_different_length_keep_their_order() -> None:
    """2×2 and 4×4, with and without eigenvectors, in turn: the ring must empty between them."""
    dut = HermitianJacobi(f=14, n=4, cordics=4, vectors=True, carry=6)
    rng = np.random.default_rng(4)
    x = spectra(rng, 12, 4, 14)["any"]
    small, wanted, carry = np.tile([0, 1, 1], 4), np.tile([0, 0, 1, 1], 3), np.arange(12)
    replies = run(dut, rows(x, small, wanted, carry), stall=0.1, seed=2).replies
    np.testing.assert_array_equal(replies[:, -1], carry)
    for k in range(12):
        n = 2 if small[k] else 4
        exact = jacobi.eigh(x[k, :n, :n], 14, vectors=bool(wanted[k]))
        np.testing.assert_array_equal(replies[k, :n], exact.values)
        if exact.vectors is not None:
            v = replies[k, 4:36].reshape(4, 4, 2)[:n, :n]
            np.testing.assert_array_equal(v, jacobi.to_format(exact.vectors, 14)[0])


def test_bad_parameters_are_named() -> None:
    with pytest.raises(ValueError, match=r"n must be one of \(2, 4, 8\), not 3"):
        HermitianJacobi(f=16, n=3, cordics=1)
    with pytest.raises(ValueError, match=r"cordics must be one of \(1, 2, 4, 8\), not 5"):
        HermitianJacobi(f=16, n=4, cordics=5)
    with pytest.raises(ValueError, match="an iterative solver has one cordic, not 4"):
        HermitianJacobi(f=16, n=4, cordics=4, iterative=True)
    with pytest.raises(ValueError, match="f must be from 4 to 16, not 17"):
        HermitianJacobi(f=17, n=4, cordics=1)
