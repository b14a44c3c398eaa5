"""Entanglement and votes that cannot be shared."""

import numpy as np
import pytest
import qutip
import tmesh
from hypothesis import given, settings
from hypothesis import strategies as st
from tmesh.golden.reference import ComplexArray
from tmesh.monogamy import concurrence, residual_tangle, support


def mixed(rng: np.random.Generator, count: int, rank: int) -> ComplexArray:
    g = rng.normal(size=(count, 4, rank)) + 1j * rng.normal(size=(count, 4, rank))
    rho = g @ g.conj().swapaxes(1, 2)
    return np.asarray(rho / np.trace(rho, axis1=1, axis2=2)[:, None, None])


@pytest.mark.parametrize(("name", "bar"), [("reference", 1e-6), ("model", 0.02)])
def test_concurrence_is_that_of_qutip(name: str, bar: float) -> None:
    """Pure and mixed states of every rank, Bell states, and products, which have none."""
    rng = np.random.default_rng(0)
    bell = np.outer([1, 0, 0, 1], [1, 0, 0, 1]) / 2
    product = np.kron(*tmesh.density([[0, 0.6, 0.8], [0.6, 0, 0]]))
    states = [*(mixed(rng, 12, rank) for rank in (1, 2, 3, 4)), [bell, product, np.eye(4) / 4]]
    rho = np.concatenate(states)
    if name == "model":  # on the grid, with a trace of 1
        rho = np.rint(rho * 2**16) / 2**16
    got = concurrence(tmesh.open_device(name), rho)
    wanted = [qutip.concurrence(qutip.Qobj(one, dims=[[2, 2], [2, 2]])) for one in rho]
    np.testing.assert_allclose(got, wanted, atol=bar)
    assert got[-3] == pytest.approx(1, abs=bar)
    assert got[-2] <= bar


def test_three_qubits_share_no_more_than_the_first_has() -> None:
    """C²(A:B) + C²(A:C) ≤ 4 det ρ_A, with equality for W states; GHZ share nothing."""
    rng = np.random.default_rng(1)
    psi = rng.normal(size=(2000, 8)) + 1j * rng.normal(size=(2000, 8))
    assert np.min(residual_tangle(psi)) >= -1e-9
    w, ghz = np.zeros((2, 8))
    w[[1, 2, 4]] = 1
    ghz[[0, 7]] = 1
    assert residual_tangle(w) == pytest.approx(0, abs=1e-9)
    assert residual_tangle(ghz) == pytest.approx(1)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=40))
def test_support_never_exceeds_one(votes: list[tuple[int, int]]) -> None:
    who, what = [author for author, _ in votes], [outcome for _, outcome in votes]
    shares, double = support(who, what, agents=7, conflicting=4)
    assert shares.sum() <= 1
    honest = {author for author, _ in votes} - set(double.tolist())
    assert shares.sum() == pytest.approx(len(honest) / 7)
    assert all(len({o for a, o in votes if a == author}) > 1 for author in double)


def test_votes_of_nobody_are_refused() -> None:
    with pytest.raises(ValueError, match="authors: agents are numbered 0 to 2"):
        support([3], [0], agents=3, conflicting=2)
    with pytest.raises(ValueError, match="outcomes: conflicting outcomes are numbered 0 to 1"):
        support([0], [2], agents=3, conflicting=2)
    with pytest.raises(ValueError, match="outcomes: 1 of 2 votes"):
        support([0, 1], [1], agents=3, conflicting=2)
