"""The growth report: one point of each kind, and the picture of them."""

from pathlib import Path

import pytest
from tmesh.report import growth


def test_points_become_a_picture(tmp_path: Path) -> None:
    measured = [growth._point("model", 1, agents, growth.EVENTS[0], seed=1) for agents in (10, 100)]
    measured.append(growth._point("verilator", 1, 4096, 2000, seed=1))
    assert measured[0].cycles is None
    # Of so few events, what a packet costs by itself is a fifth.
    assert 1 <= (measured[-1].cycles or 0) < 1.25
    growth.picture(measured, tmp_path / "growth.svg")
    assert "multiplications per cycle" in (tmp_path / "growth.svg").read_text(encoding="utf-8")


def test_every_slot_is_accounted_for() -> None:
    for use in growth.uses(seed=1, most=1, events=2000):
        shares = [use.useful, use.empty, use.held, use.starved, use.other]
        assert sum(shares) == pytest.approx(1)
        assert min(shares) >= 0
        # A packet of 2000 events, and what is around it: the operator, the drain and the reply.
        assert use.useful > 0.8
