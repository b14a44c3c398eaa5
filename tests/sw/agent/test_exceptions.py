"""Where the frontier lemma does not hold (docs/sheaf.md): two constructed runs of real agents."""

import dataclasses

from tmesh.adversaries import Plot
from tmesh.adversaries.byzantine import Rewriting
from tmesh.agent import Statement
from tmesh.agent.message import Bundle
from tmesh.agent.opinion import Opinions
from tmesh.agent.proof import Kind

from .orderly import OrderlyRun
from .schedules import RULES, sign

MISLED, EQUIVOCATOR = 2, 3


class TwoOpenings(Rewriting):
    """States one opening to agent `MISLED`, and the opposite one to the others."""

    def rewrite(self, bundle: Bundle, to: int) -> Bundle:
        if to != MISLED:
            return bundle
        statements = [self._branch(one) for one in bundle.statements]
        return dataclasses.replace(bundle, statements=tuple(statements))

    def _branch(self, one: Statement) -> Statement:
        if one.author != self.me or one.round or one.place.generation:
            return one
        opposite = Opinions.opening([-z for z in one.opinions.z])
        return dataclasses.replace(one, opinions=opposite).signed(self._context.signer)


class Equivocation(OrderlyRun):
    """Four agents that all hear each other. All honest ones slightly favour outcome 0."""

    def __init__(self) -> None:
        super().__init__(4, 0, rules=RULES.model_copy(update={"k": 6}))
        self.byzantine = {EQUIVOCATOR}
        plot = Plot(1 << EQUIVOCATOR, {}, self.rng)
        self.swarm[EQUIVOCATOR] = TwoOpenings(self.genesis, self.signers[EQUIVOCATOR], plot)

    def evidence(self, agent: int) -> list[float]:
        return [0.9, 0.1] if agent == EQUIVOCATOR else [0.55, 0.45]


def test_an_equivocators_other_branch_turns_a_present_agent_and_ends_in_a_proof() -> None:
    run = Equivocation()
    run.play(10_000)
    first = {
        (one.author, one.round): one for one in run.statements.values() if not one.place.generation
    }
    for agent in (0, 1):  # the test passes on four positive openings
        assert first[agent, 1].opinions.amplified
        assert sign(first[agent, 1], 0) == 1
    assert sign(first[MISLED, 0], 0) == 1
    assert sign(first[MISLED, 1], 0) == -1  # a present agent states the other sign
    passed, broken = run.lemma()
    assert passed > 0
    assert broken
    assert all(one.startswith(f"agent {MISLED} states -1 in round ") for one in broken)
    assert set(run.exposed) == {EQUIVOCATOR}
    assert run.exposed[EQUIVOCATOR] >= {0, 1, MISLED}
    for agent in (0, 1, MISLED):
        assert run.swarm[agent].proofs[EQUIVOCATOR].kind == Kind.EQUIVOCATION
    assert {one.outcome for one in run.certificates.values()} == {0}
    assert set(run.certificates) >= {0, 1, MISLED}


#: All pairs within each group, and one between the groups.
LINKS = [(a, b) for a in range(7) for b in range(a + 1, 7) if (a < 4) == (b < 4) or b - a == 1]


class Camps(OrderlyRun):
    """Two groups of agents, 0 to 3 and 4 to 6, with one link between them. They average briefly."""

    def __init__(self) -> None:
        rules = RULES.model_copy(update={"k": 6, "averaging": 3, "epoch_beats": 30})
        super().__init__(7, 0, rules=rules, links=LINKS)

    def evidence(self, agent: int) -> list[float]:
        return [0.85, 0.15] if agent < 4 else [0.15, 0.85]


def test_at_the_averaging_limit_camps_form_and_a_later_epoch_decides() -> None:
    run = Camps()
    run.play(40_000)
    first = [one for one in run.statements.values() if one.place.epoch == 1]
    risen = {one.author: one for one in first if one.round == run.rules.averaging}
    assert all(risen[agent].opinions.amplified for agent in range(7))
    assert [sign(risen[agent], 0) for agent in range(7)] == [1, 1, 1, 1, -1, -1, -1]
    lasts = {one.author: one for one in sorted(first, key=lambda one: one.round)}
    settled = [one for one in lasts.values() if one.opinions.streak[0] >= run.rules.beta]
    assert {sign(one, 0) for one in settled} == {1, -1}
    assert run.done
    assert min(one.vote.epoch for one in run.certificates.values()) > 1
    assert not run.faults()
    assert not run.exposed
