"""The round model: the bits of a run of messages without silence, and what it decides."""

import numpy as np
import pytest
import tmesh
from tmesh.adversaries import names
from tmesh.agent.opinion import tree
from tmesh.genesis import SwarmRules
from tmesh.network import Topology
from tmesh.swarm import Scenario
from tmesh.swarm.course import decide
from tmesh.swarm.rounds import average

from .agent.schedules import RULES, Run

COMPLETE = Topology(kind="complete")


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("amplify", ["purify", "interfere"])
def test_a_run_without_silence_has_the_same_bits_whatever_the_order(k: int, amplify: str) -> None:
    """Delays and copies change when statements come, and nothing in them."""
    compared = 0
    for seed in range(4):
        rules = SwarmRules(**{**RULES.model_dump(), "k": k, "amplify": amplify})
        run = Run(5 + seed, seed, loss=0.0, copies=0.2, haste=0.0, rules=rules).play(40_000)
        assert run.done
        openings = [tree(2).opening(run.evidence(agent), rules)[0] for agent in range(run.agents)]
        model = average(run.genesis, run.decision, np.array(openings))
        for one in run.statements.values():
            if one.place.epoch == 1:
                start = model.amplified[one.author]
                assert one.opinions.z[0] == model.z[one.round, one.author]
                assert one.opinions.amplified == int(0 <= start <= one.round)
                compared += 1
        last = {one.author: 0 for one in run.statements.values()}
        for one in run.statements.values():
            if one.place.epoch == 1:
                last[one.author] = max(last[one.author], one.round)
        # The run may end before the last agent settles, and an epoch without an outcome.
        left = [model.settled[one] - last[one] for one in last if model.settled[one] >= 0]
        assert min(left, default=0) >= 0
        epochs = {one.vote.epoch for one in run.certificates.values()}
        assert left.count(0) >= run.decision.quorum or epochs == {2}
    assert compared > 100


def test_losses_that_are_asked_for_again_change_no_bit() -> None:
    """A long patience: everything arrives in the end."""
    rules = RULES.model_copy(update={"k": 4, "patience": 1000, "epoch_beats": 10_000})
    run = Run(6, 2, loss=0.3, copies=0.1, haste=0.02, rules=rules).play(60_000)
    assert run.done
    openings = [tree(2).opening(run.evidence(agent), rules)[0] for agent in range(6)]
    model = average(run.genesis, run.decision, np.array(openings))
    for one in run.statements.values():
        assert one.place.epoch == 1
        assert one.opinions.z[0] == model.z[one.round, one.author]


def test_a_whole_run_over_a_channel_has_the_rounds_of_the_model() -> None:
    """The same scenario and seed, through the simulation."""
    scenario = Scenario(agents=16, topology=COMPLETE, channel="lan", device="model")
    with tmesh.open_device("model") as device:
        result = tmesh.run(scenario, device, 3)
    end = decide(scenario, 3)
    assert end.decided
    assert end.outcome == result.outcome == end.preferred
    # A statement of round 0, and then one a round until the agent settles.
    assert result.statements.max() == end.rounds + 1


@pytest.mark.parametrize("adversary", names())
def test_a_fifth_of_any_kind_turns_no_unanimous_swarm(adversary: str) -> None:
    scenario = Scenario(
        agents=60, majority=1.0, topology=COMPLETE, byzantine={adversary: 12}, rules={"kappa": 8}
    )
    for seed in range(3):
        end = decide(scenario, seed)
        assert end.decided
        assert end.outcome == 0
        assert not end.split


def test_agents_that_are_proven_leave_no_trace() -> None:
    """The outcome is the one that the rest of the swarm favours."""
    scenario = Scenario(agents=100, topology=COMPLETE, byzantine={"stubborn": 30})
    for seed in range(3):
        end = decide(scenario, seed)
        assert (end.outcome, end.generations) == (end.preferred, 2)
        assert end.stated == end.outcome


def test_evidence_counts_as_stated() -> None:
    """Agents that state false evidence and keep the rules turn what no protocol could keep."""
    scenario = Scenario(agents=100, topology=COMPLETE, byzantine={"evidence": 30})
    end = decide(scenario, 0)
    assert end.outcome == end.stated == 1 - end.preferred


def test_sacrifices_cost_one_generation_each() -> None:
    scenario = Scenario(agents=60, topology=COMPLETE, byzantine={"sacrifice": 5})
    end = decide(scenario, 1, most=1000)
    assert end.generations == 6
    assert end.outcome == end.preferred


def test_the_round_model_refuses_what_it_does_not_have() -> None:
    for fields in ({"decisions": 2}, {"outcomes": 3}, {"kills": 1}):
        with pytest.raises(tmesh.InvalidInput, match="the round model"):
            decide(Scenario(agents=8, topology=COMPLETE, **fields))  # type: ignore[arg-type]
