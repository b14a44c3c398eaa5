"""Whole decisions in the round model: generations and epochs, one after another."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tmesh import checks
from tmesh.adversaries import kind
from tmesh.agent.coin import Coin, side
from tmesh.agent.statement import Place
from tmesh.errors import InvalidInput
from tmesh.finality import Decision
from tmesh.genesis import Genesis
from tmesh.ledger import KeySet, Signer
from tmesh.network import Mesh
from tmesh.numbers import BoolArray, IntArray
from tmesh.swarm.outcomes import links_of, preferred, rival
from tmesh.swarm.rounds import Averaging, Crowd, average
from tmesh.swarm.scenario import Scenario


@dataclasses.dataclass(frozen=True)
class Ending:
    """The end of one run of the round model.

    - rounds, generations: over all epochs.
    - decided: enough agents settled on one outcome for a certificate, in the last of `epochs`.
    - outcome: of most honest agents, −1 for none.
    - split: honest agents settled on two outcomes.
    - preferred: the outcome that most honest agents prefer at the start.
    - stated: the outcome that the stated evidence favours, without proven agents.
    - margin: the mean of that evidence, as a share of the cap.
    - settled: share of the honest agents.
    """

    rounds: int
    epochs: int
    generations: int
    decided: bool
    outcome: int
    split: bool
    preferred: int
    stated: int
    margin: float
    settled: float


@dataclasses.dataclass(frozen=True)
class Course:
    """Epochs and generations, one after another, until enough agents settle on one outcome.

    place, last: the last one. rounds, generations: over all. legal: agents without a proof against
    them. decided: whether a quorum of them settled on one outcome.
    """

    place: Place
    last: Averaging
    rounds: int
    generations: int
    legal: BoolArray
    decided: bool

    @property
    def sides(self) -> IntArray:
        """The outcome that each agent settled on, −1 for none."""
        return np.where(self.last.settled >= 0, (self.last.z[-1] < 0).astype(np.int64), -1)


def course(
    genesis: Genesis,
    decision: Decision,
    openings: IntArray,
    crowd: Crowd,
    most: int,
) -> Course:
    """All rounds of one decision, at most `most`.

    An epoch ends without an outcome when every agent has settled, or made its last round.
    """
    place, total, generations = Place(decision.id, 1, 0), 0, 0
    while True:
        generations += 1
        ended = average(genesis, decision, openings, crowd, place, most - total)
        total += ended.rounds
        lied = sum(1 << agent for agent in np.nonzero(ended.lied)[0].tolist())
        proven = place.generation | lied
        legal = np.array([not proven >> agent & 1 for agent in range(len(openings))])
        found = Course(place, ended, total, generations, legal, False)
        votes = np.bincount(found.sides[legal & (found.sides >= 0)], minlength=2)
        if not lied and votes.max() >= decision.quorum:
            return dataclasses.replace(found, decided=True)
        # What liars have told meanwhile is proven with their first lie.
        total += ended.diameter if lied else 0
        if total >= most:
            return dataclasses.replace(found, rounds=min(most, total))
        place = place._replace(epoch=place.epoch + (not lied), generation=proven)


def falls(genesis: Genesis, coin: Coin, signers: Sequence[Signer]) -> int:
    """The side on which a coin with a leader falls, for the first branching: 1 or −1."""
    assert coin.leader is not None
    return side(coin.sign(signers[coin.leader].within(genesis.id)), 0)


def decide(scenario: Scenario, seed: int = 0, most: int = 100, f: int = 16) -> Ending:
    """One decision of all agents in the round model, in at most so many rounds.

    Byzantine agents that lied sign nothing that helps a certificate. Raises `InvalidInput` for a
    scenario with more than one decision, two outcomes or partitions.
    """
    seed = checks.seed("seed", seed)
    if scenario.decisions != 1 or scenario.subsets or scenario.outcomes != 2:
        raise InvalidInput("decisions: the round model takes one, of all agents, on two outcomes")
    if scenario.partitions or scenario.kills or scenario.topology.speed:
        raise InvalidInput("partitions: the round model has no time")
    rng = np.random.default_rng(seed)
    n = scenario.agents
    kinds = {agent: kind(name) for agent, name in scenario.kinds(rng).items()}
    byzantine = np.isin(np.arange(n), list(kinds))
    mesh = Mesh(scenario.topology, n, rng, scenario.initial_edges())
    keys, signers = KeySet.simulated(n, seed)
    rules = scenario.swarm_rules(f)
    genesis = Genesis(keys, scenario.declared, links_of(mesh), rules)
    decision = Decision(b"swarm", (1 << n) - 1, scenario.declared, ("0", "1"))
    belief = scenario.beliefs(rng, byzantine, np.ones(n, dtype=np.bool_))
    wanted = rival(belief, ~byzantine)
    for agent, one in kinds.items():
        belief[agent] = one.believe(belief[agent].tolist(), wanted)
    z = np.rint((belief[:, 0] - belief[:, 1]) * rules.one).astype(np.int64)
    openings = np.clip(z, -rules.most, rules.most)

    def fall(coin: Coin) -> int:
        assert coin.leader is not None
        found = falls(genesis, coin, signers)
        liar = kinds.get(coin.leader)
        favours = (0 if found > 0 else 1) == wanted
        return found if liar is None or liar.publishes(favours) else 0

    whole = course(genesis, decision, openings, Crowd(kinds, wanted, fall), most)
    settled, sides = whole.last.settled >= 0, whole.sides
    honest = np.bincount(sides[settled & ~byzantine], minlength=2)
    mean = float(openings[whole.legal].mean()) / rules.most
    return Ending(
        rounds=whole.rounds,
        epochs=whole.place.epoch,
        generations=whole.generations,
        decided=whole.decided,
        outcome=int(np.argmax(honest)) if honest.any() else -1,
        split=bool(np.all(honest > 0)),
        preferred=preferred(belief, ~byzantine),
        stated=int(mean < 0),
        margin=abs(mean),
        settled=float(np.mean(settled[~byzantine])),
    )
