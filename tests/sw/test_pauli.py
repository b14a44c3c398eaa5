"""Pauli-transfer arithmetic against density matrices."""

import numpy as np
import pytest
import tmesh
from tmesh.golden import bounds, pauli, reference
from tmesh.golden.reference import ComplexArray


def unitaries(rng: np.random.Generator, n: int) -> ComplexArray:
    g = rng.normal(size=(n, 4, 4)) + 1j * rng.normal(size=(n, 4, 4))
    return np.linalg.qr(g)[0]


def test_transfer_is_the_evolve_of_density_matrices() -> None:
    """Both reduced states of any operator, times their weight."""
    rng = np.random.default_rng(0)
    u = np.concatenate([unitaries(rng, 20), 0.8 * reference.SYMMETRIC[None]])
    r = rng.normal(size=(2, 21, 3)) / 3
    first, second, p = reference.evolve(u, *tmesh.density(r))
    c = pauli.transfer(u)
    for n in range(21):
        for got, form, own, other in (
            (first, c[n, 0], r[0, n], r[1, n]),
            (second, c[n, 1], r[1, n], r[0, n]),
        ):
            wanted = tmesh.bloch(got[n]) * p[n]
            np.testing.assert_allclose(
                reference.meet(form, own[:, None], other[:, None])[:, 0], wanted, atol=1e-12
            )


def test_error_is_within_the_bound() -> None:
    """Worst operands of a random search, operators on the grid of their forms."""
    f, rng = 16, np.random.default_rng(3)
    one = 1 << f
    for u in unitaries(rng, 40):
        form = np.rint(pauli.transfer(u)[0] * one)
        r = rng.normal(size=(2, 3, 2000))
        r /= np.linalg.norm(r, axis=1, keepdims=True) * rng.choice([1, 1, 1.3], (2, 1, 2000))
        own, other = np.trunc(r * one)
        got, saturated = pauli.evolve(form, own, other, f)
        exact = reference.meet(pauli.transfer(u)[0], own / one, other / one) * one
        assert not saturated.any()
        assert np.abs(got - exact).max() <= bounds.MEET


def test_identity_and_swap_are_exact() -> None:
    """States come back bit for bit, up to the edge of the ball."""
    f, rng = 16, np.random.default_rng(4)
    r = rng.normal(size=(2, 3, 5000))
    r /= np.linalg.norm(r, axis=1, keepdims=True) * rng.choice([1, 1.5, 100], (2, 1, 5000))
    own, other = np.trunc(r * (1 << f))
    own[:, 0], other[:, 0] = (1 << f, 0, 0), (0, 0, -(1 << f))
    for u, wanted in ((np.eye(4), own), (reference.SWAP, other)):
        got, saturated = pauli.evolve(np.rint(pauli.transfer(u)[0] * (1 << f)), own, other, f)
        np.testing.assert_array_equal(got, wanted)
        assert not saturated.any()


@pytest.mark.parametrize("f", [14, 16])
def test_a_million_events_stay_in_the_ball(f: int) -> None:
    """|r| ≤ 1 + 2 LSB after every one of many events on pure states, which rounding pushes out."""
    rng = np.random.default_rng(5)
    n, one = 2000, 1 << f
    r = rng.normal(size=(n, 3))
    r = np.rint(r / np.linalg.norm(r, axis=1, keepdims=True) * one).astype(np.int64)
    for _ in range(50):
        # Local turns, then a swap: pure states stay pure.
        g = rng.normal(size=(2, 2, 2)) + 1j * rng.normal(size=(2, 2, 2))
        a, b = np.linalg.qr(g)[0]
        form = np.rint(pauli.transfer(reference.SWAP @ np.kron(a, b)) * one).astype(np.int64)
        pairs = rng.permuted(np.tile(np.arange(n), (10, 1)), axis=1).reshape(-1, 2)
        r, saturations = pauli.gossip(r, form, pairs, True, f)
        length = np.linalg.norm(r, axis=1) - one
        assert saturations == 0
        assert length.max() <= 2
        assert length.min() >= -60, "renormalisation must not shrink what is inside"
