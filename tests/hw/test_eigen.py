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


@pytest.mark.parametrize(("cordics", "cycles"), [(1, 110), (4, 30), (8, 15)])
def test_sustained_cycles_per_matrix(cordics: int, cycles: int) -> None:
    """4×4 eigenvalues, many matrices in flight: the units are used in 11 of 12 slots or more."""
    dut = HermitianJacobi(f=16, n=4, cordics=cordics)
    assert dut.interval() == cycles
    assert dut.schedule.utilisation >= 0.85
    flight = dut.schedule.step // dut.schedule.interval * max(1, cordics // 4)
    count = 3 * flight
    x = np.concatenate(list(spectra(np.random.default_rng(1), count // 8 + 1, 4, 16).values()))
    x, zeros, ones = x[:count], np.zeros(count), np.ones(count)
    received = run(dut, rows(x, zeros, ones), stall=0, seed=0).received
    # From one full ring to the next, so that where the count starts does not matter.
    assert received[3 * flight - 1] - received[2 * flight - 1] <= flight * cycles


def test_latency_stays_under_a_thousand_cycles() -> None:
    for cordics in (1, 4, 8):
        assert HermitianJacobi(f=16, n=4, cordics=cordics).latency() <= 1000
        assert HermitianJacobi(f=16, n=4, cordics=cordics).latency(small=True) <= 120


def test_one_2x2_per_cycle() -> None:
    assert HermitianJacobi(f=16, n=2, cordics=2).interval() == 1
    assert HermitianJacobi(f=16, n=2, cordics=8, vectors=True).interval() == 1


def test_size_8_equals_the_model() -> None:
    dut = build("jacobi_8", 16, 16)
    inputs, expected = vectors("jacobi_8", dut, 100, seed=8)
    np.testing.assert_array_equal(run(dut, inputs, stall=0.2, seed=1).replies, expected)


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
