"""The level `sampled`: each agent has the last steps of its neighbours, and no whole past."""

import collections
import dataclasses

import numpy as np
import pytest
import tmesh
from tmesh.agent import Compute, Memo, evaluate
from tmesh.agent.checker import Checked, Checker
from tmesh.agent.context import Context
from tmesh.agent.draw import draw
from tmesh.agent.history import History
from tmesh.agent.message import Bundle, decode
from tmesh.agent.opinion import tree, updated, updates
from tmesh.agent.proof import Kind, Proof
from tmesh.agent.sight import Level
from tmesh.agent.spots import Spots
from tmesh.agent.statement import Place, Statement, digest
from tmesh.agent.step import PlaceRules
from tmesh.errors import InvalidInput, InvalidProof
from tmesh.finality import Decision
from tmesh.finality.encoding import bits
from tmesh.genesis import Genesis
from tmesh.ledger import KeySet
from tmesh.network import Topology
from tmesh.swarm import Scenario
from tmesh.swarm.course import decide
from tmesh.swarm.rounds import average

from .schedules import RULES, Run

SAMPLED = RULES.model_copy(update={"level": "sampled"})
CALM = SAMPLED.model_copy(update={"patience": 1 << 12, "epoch_beats": 4000})


@pytest.fixture(scope="module")
def ended() -> Run:
    rules = CALM.model_copy(update={"k": 3})
    return Run(9, 1, loss=0.0, copies=0.2, haste=0.0, rules=rules).play(40_000)


@pytest.mark.parametrize(("k", "agents"), [(2, 6), (3, 9), (5, 8)])
def test_a_run_without_silence_has_the_bits_of_the_round_model(k: int, agents: int) -> None:
    rules = CALM.model_copy(update={"k": k})
    run = Run(agents, k, loss=0.05, copies=0.2, haste=0.0, rules=rules).play(40_000)
    assert run.done
    assert not run.faults()
    openings = [tree(2).opening(run.evidence(agent), rules)[0] for agent in range(agents)]
    model = average(run.genesis, run.decision, np.array(openings))
    for one in run.statements.values():
        start = model.amplified[one.author]
        assert one.place == Place(run.decision.id, 1, 0)
        assert one.opinions.z[0] == model.z[one.round, one.author]
        assert one.opinions.amplified == int(0 <= start <= one.round)
    last = collections.Counter[int]()
    for one in run.statements.values():
        last[one.author] = max(last[one.author], one.round)
    # The last certificate may come before the last agent settles.
    settled = [model.settled[agent] - last[agent] for agent in range(agents)]
    assert min(settled) == 0
    assert settled.count(0) >= run.decision.quorum


def test_a_whole_run_over_a_channel_has_the_rounds_of_the_model() -> None:
    scenario = Scenario(
        agents=24,
        topology=Topology(kind="complete"),
        channel="lan",
        device="model",
        rules={"level": "sampled", "k": 4},
    )
    with tmesh.open_device("model") as device:
        result = tmesh.run(scenario, device, 3)
    end = decide(scenario, 3)
    assert end.decided
    assert end.outcome == result.outcome == end.preferred
    assert result.statements.max() == end.rounds + 1


@pytest.mark.parametrize("adversary", ["stubborn", "flip", "arithmetic", "equivocate", "loud"])
def test_every_lie_to_a_neighbour_is_proven(adversary: str) -> None:
    rules = SAMPLED.model_copy(update={"k": 6})
    run = Run(7, 3, 2, adversary, loss=0.0, copies=0.0, haste=0.01, rules=rules).play(60_000)
    assert run.done
    assert not run.faults()
    assert set(run.exposed) == run.byzantine


def test_without_walks_an_agent_receives_only_what_it_or_its_neighbours_cite() -> None:
    rules = CALM.model_copy(update={"k": 2, "spot": 0})
    run = Run(16, 0, loss=0.0, copies=0.0, haste=0.0, rules=rules)
    received: dict[int, set[int]] = collections.defaultdict(set)
    act = run.act

    def watch(agent: int, effects: list[object]) -> None:
        for effect in effects:
            if isinstance(effect, tmesh.agent.Send):
                message = decode(effect.message)
                if isinstance(message, Bundle):
                    received[effect.to] |= {one.author for one in message.statements}
        act(agent, effects)  # type: ignore[arg-type]

    run.act = watch  # type: ignore[assignment,method-assign]
    run.play(60_000)
    assert run.done
    drawn = draw(run.genesis, run.decision, 1, 0)
    for agent in range(16):
        near = set(drawn.lists[agent])
        assert received[agent] <= near.union(*(drawn.lists[one] for one in near))
    assert any(len(some) < 15 for some in received.values())


def test_agents_that_launder_exclude_no_honest_agent_and_turn_nothing() -> None:
    scenario = Scenario(
        agents=24,
        topology=Topology(kind="complete"),
        channel="lan",
        device="model",
        byzantine={"launder": 6},
        rules={"level": "sampled", "k": 3},
    )
    with tmesh.open_device("model") as device:
        result = tmesh.run(scenario, device, 1)
    assert result.decided == 1
    assert result.outcome == result.preferred[0]
    assert not result.wrongly_excluded


def test_walks_find_a_lie_two_citations_behind_a_neighbours_true_step() -> None:
    """0 hears `near`, which cites `middle`, which cites a lie of `far`. Nobody else cites it."""
    run = Run(20, 3, loss=0.0, copies=0.0, haste=0.0, rules=CALM.model_copy(update={"k": 2}))
    run.play(6000)
    place = Place(run.decision.id, 1, 0)
    first = [one for one in run.statements.values() if one.place == place]
    by_round = {(one.author, one.round): one for one in first}
    drawn = draw(run.genesis, run.decision, 1, 0)
    near, middle, far = next(
        (near, middle, far)
        for near in drawn.lists[0]
        for middle in set(drawn.lists[near]) - {0, *drawn.lists[0]}
        for far in set(drawn.lists[middle]) - {near}
        if not drawn.neighbours[far] & sum(1 << one for one in (0, *drawn.lists[0]))
        and not any(far in drawn.lists[one] for one in drawn.lists[near] if one != middle)
    )
    true = by_round[far, 2]
    lie = dataclasses.replace(true, opinions=true.opinions._replace(z=(true.opinions.z[0] + 1,)))
    lie = lie.signed(run.signers[far].within(run.genesis.id))
    above = made(run, by_round, middle, 3, {far: lie})
    top = made(run, by_round, near, 4, {middle: above})
    left = {(far, 2): lie, (middle, 3): above, (near, 4): top}
    heard = [
        left.get(key, one)
        for key, one in by_round.items()
        if one.round < 3 or key in left or (one.round == 3 and key[0] in (near, *drawn.lists[near]))
    ]
    assert told(run, heard, spot=0) == set()
    assert told(run, heard, spot=60) == {far}


def made(
    run: Run,
    by_round: dict[tuple[int, int], Statement],
    author: int,
    count: int,
    other: dict[int, Statement],
) -> Statement:
    """A true step of an author, with other citations by some authors."""
    like, place = by_round[author, count], Place(run.decision.id, 1, 0)
    rules = PlaceRules(run.genesis, run.decision, place)
    some = (author, *like.heard(rules.draw))
    cited = [other.get(one) or by_round[one, count - 1] for one in some]
    works = updates(cited[0].opinions, [one.opinions for one in cited[1:]], 0, run.rules)
    results = evaluate(works, run.rules.f)
    assert not like.opinions.amplified
    return dataclasses.replace(
        like,
        cites=digest(one.id for one in cited),
        opinions=updated(cited[0].opinions, results, 0, run.rules),
        sight=rules.sight(cited, count),
    ).signed(run.signers[author].within(run.genesis.id))


def told(run: Run, heard: list[Statement], spot: int) -> set[int]:
    """The agents against which agent 0 finds a proof when it is told these statements."""
    context = Context(run.genesis, run.signers[0].within(run.genesis.id), Memo())
    rules = PlaceRules(run.genesis, run.decision, Place(run.decision.id, 1, 0))
    history, found = History(rules, 0), Checked()
    checker = Checker(context, rules, history, {}, lambda outcome, epoch: False)
    checker.spots = Spots(history, spot)
    for one in sorted(heard, key=lambda one: one.round):
        checker.offer(one, found)
        checker.resume(found)
        while context.effects:
            effect = context.effects.pop()
            assert isinstance(effect, Compute)
            valid = tuple(evaluate(effect.works, run.rules.f)) == effect.claimed
            checker.audited(effect.token[32:], valid, found)
    last = max(heard, key=lambda one: one.round)
    assert found.proofs or history.height(last.author) == last.round + 1
    return {proof.author for proof in found.proofs}


def test_a_false_sight_is_a_fraud_proof(ended: Run) -> None:
    drawn = draw(ended.genesis, ended.decision, 1, 0)
    by_round = {(one.author, one.round): one for one in ended.statements.values()}
    true = next(one for one in by_round.values() if one.round == CALM.horizon)
    cited = [by_round[author, true.round - 1] for author in (true.author, *true.heard(drawn))]
    signer = ended.signers[true.author].within(ended.genesis.id)

    def fault(false: Statement) -> str:
        signed = dataclasses.replace(false, signature=b"").signed(signer)
        return Proof(Kind.STEP, ended.decision, (signed, *cited)).verify(ended.genesis)

    with pytest.raises(InvalidProof):
        fault(true)
    low, high, authors = true.sight[2]
    for level in (
        Level((low[0] + 1,), high, authors),
        Level(low, (high[0] - 1,), authors),
        Level(low, high, authors ^ 1),
    ):
        sight = (*true.sight[:2], level, *true.sight[3:])
        assert "sight" in fault(dataclasses.replace(true, sight=sight))
    assert "sight" in fault(dataclasses.replace(true, sight=true.sight[:-1]))
    amplified = true.opinions._replace(amplified=1 - true.opinions.amplified)
    assert "too early or too late" in fault(dataclasses.replace(true, opinions=amplified))


def test_a_sight_survives_its_bytes_and_every_field_is_checked(ended: Run) -> None:
    one = max(ended.statements.values(), key=lambda some: some.round)
    assert len(one.sight) == CALM.horizon
    assert Statement.decode(one.encoded) == one
    level = one.sight[0]
    for wrong in (
        level._replace(low=(0, 0)),
        level._replace(high=(1 << 40,)),
        level._replace(authors=-1),
        level[:2],
    ):
        with pytest.raises(InvalidInput):
            dataclasses.replace(one, sight=(wrong,))
    with pytest.raises(InvalidInput, match="more than 32"):
        dataclasses.replace(one, sight=(level,) * 33)
    with pytest.raises(InvalidInput, match="sees nothing"):
        dataclasses.replace(
            next(s for s in ended.statements.values() if not s.round), sight=(level,)
        )


def test_each_draw_is_narrower_than_the_horizon() -> None:
    """Unless sixteen draws all fail, which a horizon that the mesh allows makes unlikely."""
    keys = KeySet.simulated(48, 0)[0]
    decision = Decision.of_all(b"pad", 48, labels=("no", "yes"))
    wide = {}
    for horizon in (3, 4, 6):
        rules = SAMPLED.model_copy(update={"k": 4, "horizon": horizon})
        drawn = draw(Genesis(keys, 15, None, rules), decision, 1, 0)
        farthest = 0
        for agent in range(48):
            seen, links = 1 << agent, 0
            while seen != drawn.members:
                links += 1
                for other in list(bits(seen)):
                    seen |= drawn.neighbours[other]
            farthest = max(farthest, links)
        wide[horizon] = farthest
    assert wide[6] <= 5
    assert wide[4] <= wide[6]
    assert wide[3] > 2  # no draw of four neighbours spans 48 agents with two links
