"""The coin that ends a tie: who states it, who tosses it, and whose opinions it never touches."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tmesh.adversaries import Byzantine
from tmesh.agent.coin import NO_TOSS, Coin, Toss, side
from tmesh.agent.draw import draw
from tmesh.agent.opinion import tree
from tmesh.agent.proof import Kind, Proof
from tmesh.agent.statement import Place, Statement
from tmesh.errors import InvalidInput, InvalidProof
from tmesh.finality import Decision
from tmesh.genesis import Genesis
from tmesh.ledger import KeySet
from tmesh.swarm.rounds import Crowd, average

from .schedules import RULES, Run

CALM = RULES.model_copy(update={"k": 7, "epoch_beats": 4000, "patience": 1 << 16})


class Tied(Run):
    """Agents with even numbers prefer outcome 0, the others outcome 1."""

    def evidence(self, agent: int) -> list[float]:
        return [0.85, 0.15] if agent % 2 == 0 else [0.15, 0.85]


def tied(seed: int, agents: int = 8, **fields: object) -> Tied:
    options = {"loss": 0.0, "copies": 0.0, "haste": 0.0, "rules": CALM, **fields}
    return Tied(agents, seed, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def ended() -> Tied:
    """A tie that a coin ended."""
    return tied(0).play(100_000)


def coin_of(run: Run, place: Place) -> Coin:
    drawn = draw(run.genesis, run.decision, place.epoch, place.generation)
    return Coin.of(run.rules, drawn, place)


def falls(run: Run, coin: Coin) -> int:
    assert coin.leader is not None
    return side(coin.sign(run.signers[coin.leader].within(run.genesis.id)), 0)


def test_a_tie_ends_in_the_second_epoch_on_the_side_of_the_coin(ended: Tied) -> None:
    assert ended.done
    assert not ended.faults()
    assert {one.vote.epoch for one in ended.certificates.values()} == {2}
    coin = coin_of(ended, Place(ended.decision.id, 2, 0))
    outcome = 0 if falls(ended, coin) > 0 else 1
    assert {one.outcome for one in ended.certificates.values()} == {outcome}


def test_the_leader_states_the_coin_once_and_all_toss_in_one_round(ended: Tied) -> None:
    coin = coin_of(ended, Place(ended.decision.id, 2, 0))
    stated = [one for one in ended.statements.values() if one.toss.signature]
    assert all(one.place.epoch == 2 for one in stated)
    first = [one for one in stated if not one.toss.branchings]
    assert [(one.author, one.round) for one in first] == [(coin.leader, coin.stated)]
    tossing = [one for one in stated if one.toss.branchings]
    assert {one.author for one in tossing} == set(range(8))
    assert {one.round for one in tossing} == {coin.tossed}


def test_a_tie_has_the_bits_of_the_round_model(ended: Tied) -> None:
    openings = [tree(2).opening(ended.evidence(agent), CALM)[0] for agent in range(8)]
    for epoch in (1, 2):
        place = Place(ended.decision.id, epoch, 0)
        model = average(
            ended.genesis,
            ended.decision,
            np.array(openings),
            Crowd(fall=lambda coin: falls(ended, coin)),
            place,
        )
        some = [one for one in ended.statements.values() if one.place == place]
        assert max(one.round for one in some) >= CALM.limit(epoch)
        for one in some:
            assert one.opinions.z[0] == model.z[one.round, one.author]


def test_an_epoch_whose_leader_withholds_the_coin_ends_without_an_outcome() -> None:
    """The leader of epoch 2 is made the Byzantine agent; an honest leader ends the tie later."""
    for seed in range(20):
        run = tied(seed, 4, faulty=1, adversary="withhold")
        leaders = [coin_of(run, Place(run.decision.id, epoch, 0)).leader for epoch in (2, 3)]
        if leaders[0] in run.byzantine and leaders[1] not in run.byzantine:
            break
    run.play(200_000)
    assert run.done
    assert not run.faults()
    assert all(one.vote.epoch > 2 for one in run.certificates.values())
    assert not run.exposed


@settings(max_examples=30)
@given(st.data())
def test_no_coin_touches_a_swarm_with_f_openings_of_one_sign_at_most(data: st.DataObject) -> None:
    n, keys = 10, KeySet.simulated(10, 0)[0]
    rules = RULES.model_copy(update={"averaging": data.draw(st.integers(2, 6)), "k": 4})
    genesis = Genesis(keys, 3, None, rules)
    decision = Decision.of_all(b"pad", n, labels=("no", "yes"), number=data.draw(st.integers(0, 9)))
    few = data.draw(st.sets(st.integers(0, n - 1), max_size=3))
    sizes = data.draw(st.lists(st.integers(1, 5000), min_size=n, max_size=n))
    openings = np.array([-z if agent in few else z for agent, z in enumerate(sizes)])
    place = Place(decision.id, 2, 0)
    ends = [
        average(genesis, decision, openings, Crowd(fall=lambda coin, to=to: to), place)  # type: ignore[misc]
        for to in (1, -1, 0)
    ]
    for one in ends[1:]:
        assert np.array_equal(one.z, ends[0].z)


def test_a_coin_turns_a_tied_swarm() -> None:
    """The property above has an opposite: with more than f openings of each sign a coin counts."""
    genesis = Genesis(KeySet.simulated(10, 0)[0], 3, None, RULES.model_copy(update={"k": 9}))
    decision = Decision.of_all(b"pad", 10, labels=("no", "yes"))
    openings, place = np.array([5000, -5000] * 5), Place(decision.id, 2, 0)
    for to in (1, -1):
        end = average(genesis, decision, openings, Crowd(fall=lambda coin, to=to: to), place)  # type: ignore[misc]
        assert np.all(end.settled >= 0)
        assert np.all(end.z[-1] * to > 0)


def test_every_misuse_of_a_coin_is_a_fraud_proof(ended: Tied) -> None:
    by_round = {
        (one.author, one.round): one for one in ended.statements.values() if one.place.epoch == 2
    }
    place = Place(ended.decision.id, 2, 0)
    coin = coin_of(ended, place)
    drawn = draw(ended.genesis, ended.decision, 2, 0)

    def fault(one: Statement, toss: Toss) -> str:
        signer = ended.signers[one.author].within(ended.genesis.id)
        false = dataclasses.replace(one, toss=toss, signature=b"").signed(signer)
        cited = [by_round[author, one.round - 1] for author in (one.author, *one.heard(drawn))]
        proof = Proof(Kind.STEP, ended.decision, (false, *cited))
        return proof.verify(ended.genesis)

    assert coin.leader is not None
    leading = by_round[coin.leader, coin.stated]
    other = (coin.leader + 1) % 8
    following, tossing = by_round[other, coin.stated], by_round[other, coin.tossed]
    late = by_round[other, coin.tossed + 1]
    wrong = coin.sign(ended.signers[other].within(ended.genesis.id))
    assert "withholds" in fault(leading, NO_TOSS)
    assert "not the leader's" in fault(leading, Toss(wrong))
    assert "states a coin" in fault(following, leading.toss)
    assert "in round" in fault(late, tossing.toss)
    assert "not the leader's" in fault(tossing, Toss(wrong, 1))
    assert "claims" in fault(tossing, NO_TOSS)
    with pytest.raises(InvalidProof):
        fault(leading, leading.toss)


def test_an_excluded_agent_leads_no_coin() -> None:
    genesis = Genesis(KeySet.simulated(8, 0)[0], 2, None, RULES)
    decision = Decision.of_all(b"pad", 8, labels=("no", "yes"))
    leaders = [draw(genesis, decision, epoch, 0).leader for epoch in range(1, 200)]
    assert set(leaders) == set(range(8))
    for agent in range(8):
        again = [draw(genesis, decision, epoch, 1 << agent).leader for epoch in range(1, 50)]
        assert agent not in again


def test_a_statement_of_round_0_has_no_coin(ended: Tied) -> None:
    opening = next(one for one in ended.statements.values() if not one.round)
    for toss in (Toss(bytes(64)), Toss(b"", 1)):
        with pytest.raises(InvalidInput, match=r"coin|tossed"):
            dataclasses.replace(opening, toss=toss)


def test_a_biased_leader_publishes_only_the_coin_that_it_likes() -> None:
    for name, wanted in (
        ("withhold", [False, False]),
        ("bias", [False, True]),
        ("mute", [True] * 2),
    ):
        assert [Byzantine.kinds[name].publishes(one) for one in (False, True)] == wanted
