"""The round model: all agents make each round at once, and nothing is late or lost.

It has the drawn links, rounds, frontier test, proofs and generations of the agent, and no messages,
signatures or time, so a swarm of a thousand agents takes seconds. A run of messages in which nobody
falls silent has the same opinions, bit for bit (tests/sw/test_round_model.py).

Each listener finds a false statement, and its proof reaches everybody within the drawn graph's
diameter. So a lie in round r ends the generation at round r + diameter.
"""

import dataclasses

import numpy as np

from tmesh import checks
from tmesh.adversaries import Byzantine, kind
from tmesh.agent.draw import draw
from tmesh.errors import InvalidInput
from tmesh.finality import Decision
from tmesh.finality.encoding import bits
from tmesh.genesis import Genesis
from tmesh.golden import rounds
from tmesh.ledger import KeySet
from tmesh.network import Mesh
from tmesh.numbers import BoolArray, IntArray
from tmesh.swarm.outcomes import links_of, preferred, rival
from tmesh.swarm.scenario import Scenario

#: A frontier that is not there.
NEVER = -1


@dataclasses.dataclass(frozen=True)
class Averaging:
    """One generation to its end.

    z: opinions by round (rounds + 1, agents). amplified: from which round on each agent amplifies,
    `NEVER` for none. settled: in which round it settled. lied: agents that told a lie, in the last
    round. diameter: of the drawn graph.
    """

    z: IntArray
    amplified: IntArray
    settled: IntArray
    lied: BoolArray
    diameter: int

    @property
    def rounds(self) -> int:
        """The last round."""
        return len(self.z) - 1


@dataclasses.dataclass(frozen=True)
class Ending:
    """The end of one run of the round model.

    - rounds: over all generations.
    - decided: enough agents settled on one outcome for a certificate, in the first epoch.
    - outcome: of most honest agents, −1 for none.
    - split: honest agents settled on two outcomes.
    - preferred: the outcome that most honest agents prefer at the start.
    - stated: the outcome that the stated evidence favours, without proven agents.
    - margin: the mean of that evidence, as a share of the cap.
    - settled: share of the honest agents.
    """

    rounds: int
    generations: int
    decided: bool
    outcome: int
    split: bool
    preferred: int
    stated: int
    margin: float
    settled: float


def average(
    genesis: Genesis,
    decision: Decision,
    openings: IntArray,
    byzantine: dict[int, type[Byzantine]],
    generation: int = 0,
    epoch: int = 1,
    most: int = 1 << 16,
) -> Averaging:
    """The rounds of one epoch and generation, at most `most`, from openings (agents,)."""
    model = _Generation(genesis, decision, openings, byzantine, generation, epoch)
    while model.count < min(most, genesis.rules.last(epoch)) and not model.over:
        model.advance()
    return model.ending()


class _Generation:
    """Arrays over the agents of the swarm; excluded agents keep their rows, and are never heard."""

    def __init__(
        self,
        genesis: Genesis,
        decision: Decision,
        openings: IntArray,
        byzantine: dict[int, type[Byzantine]],
        generation: int,
        epoch: int,
    ) -> None:
        self.rules, self.quorum, n = genesis.rules, decision.quorum, len(openings)
        drawn = draw(genesis, decision, epoch, generation)
        self.members = np.array([drawn.members >> one & 1 == 1 for one in range(n)])
        self.limit, self.count = self.rules.limit(epoch), 0
        self.kinds = byzantine
        self.ranks = {one: rank for rank, one in enumerate(sorted(byzantine))}
        self.gone = sum(generation >> one & 1 for one in byzantine)
        self.near = np.zeros((n, n), dtype=np.bool_)
        for agent, others in enumerate(drawn.lists):
            self.near[agent, list(others)] = True
        distances = _distances(self.near)
        self.diameter = int(distances.max())
        self.z = [np.where(self.members, openings, 0)]
        self.amplified = np.full(n, NEVER)
        self.streak = np.zeros(n, dtype=np.int64)
        self.settled = np.full(n, NEVER)
        self.known = np.where(np.eye(n, dtype=np.bool_), 0, NEVER)
        self.changed = 0  # the last round in which a list shrank
        self._reach, self._near_at = distances >= 0, -1
        self.lied = self._lies(0)

    @property
    def over(self) -> bool:
        """Whether a lie was told, or every member has settled."""
        watched = self.members & ~np.isin(np.arange(len(self.members)), list(self._silent()))
        return bool(self.lied.any() or np.all(self.settled[watched] >= 0))

    def advance(self) -> None:
        """One round of all agents that have not settled."""
        self.count += 1
        self._shrink()
        own = self.z[-1]
        places, there = _padded(self.near)
        # A settled agent's statement stands for all later rounds.
        seen = (
            np.maximum(
                self.known,
                np.max(
                    np.where(there[..., None], self.known[places], NEVER), axis=1, initial=NEVER
                ),
            )
            if places.shape[1]
            else self.known.copy()
        )
        open_ = self.members & (self.settled < 0)
        seen[np.arange(len(own)), np.arange(len(own))] = self.known.diagonal()
        self._test(seen, open_)
        r = np.zeros((len(own), 3), dtype=np.int64)
        r[:, 2] = own
        mean = rounds.mean(r, r[places], there, True, self.rules.f)
        results = own.copy()
        high = self.rules.kappa.bit_length() - 1 if self.rules.amplify == "purify" else None
        for amplify in (False, True):
            some = open_ & ((self.amplified >= 0) == amplify)
            part = rounds.Fraction(
                mean.numerator[some],
                mean.denominator[some],
                mean.saturated[some],
                mean.vanished[some],
            )
            if amplify and high is None:
                other = rounds.settle(part, 0, self.rules.f)[0]
                met = rounds.interfere(r[some], other, self.rules.f)
                results[some] = rounds.settle(met, 0, self.rules.f)[0][:, 2]
            else:
                squarings = high if amplify and high is not None else 0
                results[some] = rounds.settle(part, squarings, self.rules.f)[0][:, 2]
        certain = open_ & (self.amplified >= 0) & (np.abs(results) >= self.rules.certain)
        self.streak = np.where(certain, self.streak + 1, np.where(open_, 0, self.streak))
        self.settled[open_ & (self.streak >= self.rules.beta)] = self.count
        self.z.append(results)
        self.known = seen
        self.known[np.arange(len(own))[open_], np.arange(len(own))[open_]] = self.count
        self.lied = self._lies(self.count)

    def ending(self) -> Averaging:
        """Everything until now."""
        return Averaging(np.array(self.z), self.amplified, self.settled, self.lied, self.diameter)

    def _test(self, known: IntArray, open_: BoolArray) -> None:
        """The frontier test of all agents that do not amplify yet."""
        if self._near_at < self.changed:
            self._reach, self._near_at = _distances(self.near) >= 0, self.changed
        last = np.where(self.settled >= 0, 1 << 30, 0)  # a settled statement stands
        stands = known == np.where(self.settled >= 0, self.settled, -2)[None, :]
        latest = np.where(stands, last[None, :], known)
        reached = np.min(np.where(self._reach, latest, 1 << 30), axis=1)
        reached = np.minimum(reached, self.count - 1)
        present = self._reach.sum(axis=1)
        signs = dict[tuple[int, bytes], int]()
        for agent in np.nonzero(open_ & (self.amplified < 0) & (present >= self.quorum))[0]:
            at = int(reached[agent])
            sign = 0
            if at >= self.changed:
                key = at, self._reach[agent].tobytes()
                if key not in signs:
                    z = self.z[at][self._reach[agent]]
                    signs[key] = 1 if z.min() > 0 else -1 if z.max() < 0 else 0
                sign = signs[key]
            if sign or self.count >= self.limit:
                self.amplified[agent] = self.count

    def _shrink(self) -> None:
        """Leave out agents that are silent, and those that do not list their listener."""
        before = self.near
        near = before.copy()
        silent = self._silent()
        near[:, list(silent)] = False
        if self.count == 1:
            for agent, one in self.kinds.items():
                if one.deaf:
                    honest = [a for a in np.nonzero(near[agent])[0] if a not in self.kinds]
                    near[agent, honest[1:]] = False
        if self.count > 1:  # the list of round r − 1 says whom its author hears
            near &= before.T
        if not np.array_equal(near, before):
            self.near, self.changed = near, self.count

    def _silent(self) -> set[int]:
        return {
            agent
            for agent, one in self.kinds.items()
            if one.silent_from is not None and self.count > one.silent_from
        }

    def _lies(self, count: int) -> BoolArray:
        found = np.zeros(len(self.members), dtype=np.bool_)
        for agent, one in self.kinds.items():
            if self.members[agent]:
                amplified = bool(self.amplified[agent] >= 0)
                found[agent] = one.lies(count, amplified, self.ranks[agent], self.gone)
        return found


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
    keys, _ = KeySet.simulated(n, seed)
    rules = scenario.swarm_rules(f)
    genesis = Genesis(keys, scenario.declared, links_of(mesh), rules)
    decision = Decision(b"swarm", (1 << n) - 1, scenario.declared, ("0", "1"))
    belief = scenario.beliefs(rng, byzantine, np.ones(n, dtype=np.bool_))
    wanted = rival(belief, ~byzantine)
    for agent, one in kinds.items():
        belief[agent] = one.believe(belief[agent].tolist(), wanted)
    z = np.rint((belief[:, 0] - belief[:, 1]) * rules.one).astype(np.int64)
    openings = np.clip(z, -rules.most, rules.most)
    generation, total, generations = 0, 0, 0
    while True:
        generations += 1
        ended = average(genesis, decision, openings, kinds, generation, most=most - total)
        total += ended.rounds
        if not ended.lied.any() or total >= most:
            break
        # What they have told meanwhile is proven with it.
        total = min(most, total + ended.diameter)
        generation |= sum(1 << agent for agent in np.nonzero(ended.lied)[0].tolist())
    legal = np.array([not generation >> agent & 1 for agent in range(n)]) & ~ended.lied
    settled = ended.settled >= 0
    side = np.where(settled, (ended.z[-1] < 0).astype(np.int64), -1)
    votes = np.bincount(side[settled & legal], minlength=2)
    honest = np.bincount(side[settled & ~byzantine], minlength=2)
    mean = float(openings[legal].mean()) / rules.most
    return Ending(
        rounds=total,
        generations=generations,
        decided=bool(votes.max() >= decision.quorum),
        outcome=int(np.argmax(honest)) if honest.any() else -1,
        split=bool(np.all(honest > 0)),
        preferred=preferred(belief, ~byzantine),
        stated=int(mean < 0),
        margin=abs(mean),
        settled=float(np.mean(settled[~byzantine])),
    )


def _padded(near: BoolArray) -> tuple[IntArray, BoolArray]:
    """Neighbours (agents, most), and which of these entries are there."""
    degree = near.sum(axis=1)
    most = int(degree.max(initial=0))
    places = np.argsort(~near, axis=1, kind="stable")[:, :most]
    return places, np.arange(most)[None, :] < degree[:, None]


def _distances(near: BoolArray) -> IntArray:
    """Links on the shortest path along lists (agents, agents), −1 where there is none."""
    n = len(near)
    lists = [sum(1 << int(one) for one in np.nonzero(some)[0]) for some in near]
    found = np.full((n, n), -1)
    for agent in range(n):
        seen = front = 1 << agent
        hops = 0
        while front:
            reached = 0
            for one in bits(front):
                found[agent, one] = hops
                reached |= lists[one]
            front = reached & ~seen
            seen |= front
            hops += 1
    return found
