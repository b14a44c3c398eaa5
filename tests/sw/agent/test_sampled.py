"""The level `sampled`: each agent has the last steps of its neighbours, and no whole past."""

import collections
import dataclasses

import numpy as np
import pytest
import tmesh
from tmesh.agent.draw import draw
from tmesh.agent.message import Bundle, decode
from tmesh.agent.opinion import tree
from tmesh.agent.proof import Kind, Proof
from tmesh.agent.sight import Level
from tmesh.agent.statement import Place, Statement
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
    model = average(run.genesis, run.decision, np.array(openings), {})
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


def test_an_agent_receives_only_statements_that_it_or_its_neighbours_cite() -> None:
    rules = CALM.model_copy(update={"k": 2})
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
