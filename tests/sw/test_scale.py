"""The scale report: every agent in every round, and what it took."""

from tmesh.report import scale


def test_points_measure_whole_runs() -> None:
    small, large = scale.points((50, 400), rounds=3, seed=1)
    assert (small.agents, large.agents) == (50, 400)
    assert small.seconds > 0
    assert 1 << 20 < small.memory <= large.memory  # the peak of a process never falls
