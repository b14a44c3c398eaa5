"""Small faults of one agent's arithmetic: its own check finds them, or the others prove them."""

from collections.abc import Callable

import pytest
from tmesh.agent import Work
from tmesh.agent.proof import Kind

from .orderly import OrderlyRun
from .schedules import RULES, Run

WRONG = 2


def flipped_bit(work: Work, z: int) -> int:
    """Bit 5 of each result is inverted."""
    return z ^ 1 << 5


def rounded_down(work: Work, z: int) -> int:
    """A bug in the update rule: means are rounded down, and not half to even."""
    return (work.own + sum(work.heard)) // (1 + len(work.heard)) if work.order == 1 else z


FAULTS = pytest.mark.parametrize("wrong", [flipped_bit, rounded_down])


def play(wrong: Callable[[Work, int], int], self_check: bool) -> Run:
    """Six agents that all hear each other."""
    rules = RULES.model_copy(update={"k": 6})
    made = OrderlyRun(6, 1, rules=rules, wrong_core=WRONG, wrong=wrong, self_check=self_check)
    return made.play(30_000)


@FAULTS
def test_an_agent_that_checks_itself_stops_at_its_first_wrong_result(
    wrong: Callable[[Work, int], int],
) -> None:
    run = play(wrong, self_check=True)
    assert len(run.failures) == 1
    assert run.failures[0].endswith("the device computes wrong bits")
    assert not run.exposed
    assert not run.faults()
    assert all(agent in run.certificates for agent in run.honest if agent != WRONG)


@FAULTS
def test_a_wrong_result_without_self_check_is_proven_by_all_others(
    wrong: Callable[[Work, int], int],
) -> None:
    run = play(wrong, self_check=False)
    others = set(run.honest) - {WRONG}
    assert set(run.exposed) == {WRONG}
    assert run.exposed[WRONG] >= others
    assert {run.swarm[agent].proofs[WRONG].kind for agent in others} == {Kind.STEP}
