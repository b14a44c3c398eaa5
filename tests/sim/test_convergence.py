"""Ten steps suffice where a search for bad matrices succeeds against nine."""

from tmesh_sim.convergence import climb, errors


def test_the_search_beats_nine_steps_but_not_ten() -> None:
    found = climb(16, steps=9, generations=12, population=20_000, seed=1)
    assert errors(found, 16, 9).max() > 4
    assert errors(found, 16, 10).max() < 3.5
