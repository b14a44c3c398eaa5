"""Ten steps suffice where a search for bad matrices succeeds against nine."""

from tmesh.golden import bounds
from tmesh_sim.convergence import climb, errors, residuals


def test_the_search_beats_nine_steps_but_not_ten() -> None:
    found = climb(16, steps=9, generations=12, population=2_000, seed=1)
    assert errors(found, 16, 9).max() > 4
    assert errors(found, 16, 10).max() < bounds.INNER_EIGENVALUE[4]
    found = climb(16, steps=10, generations=12, population=2_000, seed=1)
    assert errors(found, 16, 10).max() < bounds.INNER_EIGENVALUE[4]


def test_the_search_does_not_beat_twelve_steps_for_eigenvectors() -> None:
    found = climb(16, steps=12, generations=6, population=500, seed=1, score=residuals)
    assert residuals(found, 16, 12).max() < bounds.RESIDUAL[4]
