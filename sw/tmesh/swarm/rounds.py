"""The round model: all agents make each round at once, and nothing is late or lost.

It has the drawn links, rounds, frontier test, proofs and generations of the agent, and no messages,
signatures or time, so a swarm of a thousand agents takes seconds. A run of messages in which nobody
falls silent has the same opinions, bit for bit (tests/sw/test_round_model.py).

Each listener finds a false statement, and its proof reaches everybody within the drawn graph's
diameter. So a lie in round r ends the generation at round r + diameter. At level `off` nobody finds
it. At level `sampled` agents that launder are left out by those whose walks meet a hidden one.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from tmesh.adversaries import Byzantine
from tmesh.agent.coin import Coin
from tmesh.agent.draw import draw
from tmesh.agent.statement import Place
from tmesh.finality import Decision
from tmesh.genesis import Genesis
from tmesh.golden import rounds
from tmesh.numbers import BoolArray, IntArray

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


def withheld(coin: Coin) -> int:
    """A coin that its leader withholds."""
    return 0


@dataclasses.dataclass(frozen=True)
class Crowd:
    """The Byzantine agents of a run by their numbers, the outcome that they want, and coins.

    fall: the side on which a coin falls, 1 or −1, or 0 if its leader withholds it.
    """

    kinds: dict[int, type[Byzantine]] = dataclasses.field(default_factory=dict)
    wanted: int = 1
    fall: Callable[[Coin], int] = withheld


def average(
    genesis: Genesis,
    decision: Decision,
    openings: IntArray,
    crowd: Crowd | None = None,
    place: Place | None = None,
    most: int = 1 << 16,
) -> Averaging:
    """The rounds of one place (default: the first), at most `most`, from openings (agents,)."""
    place = place or Place(decision.id, 1, 0)
    model = _Generation(genesis, decision, openings, crowd or Crowd(), place)
    while model.count < min(most, genesis.rules.last(place.epoch)) and not model.over:
        model.advance()
    return model.ending()


class _Generation:
    """Arrays over the agents of the swarm; excluded agents keep their rows, and are never heard."""

    def __init__(
        self,
        genesis: Genesis,
        decision: Decision,
        openings: IntArray,
        crowd: Crowd,
        place: Place,
    ) -> None:
        self.rules, self.quorum, n = genesis.rules, decision.quorum, len(openings)
        _, epoch, generation = place
        drawn = draw(genesis, decision, epoch, generation)
        self.coin, self.faults = Coin.of(self.rules, drawn, place), decision.faults
        self.side = crowd.fall(self.coin) if self.coin.leader is not None else 0
        self.members = np.array([drawn.members >> one & 1 == 1 for one in range(n)])
        self.limit, self.count = self.rules.limit(epoch), 0
        self.kinds = crowd.kinds
        self.claim = self.rules.one if crowd.wanted == 0 else -self.rules.one
        self.ranks = {one: rank for rank, one in enumerate(sorted(self.kinds))}
        self.gone = sum(generation >> one & 1 for one in self.kinds)
        self.near = np.zeros((n, n), dtype=np.bool_)
        for agent, others in enumerate(drawn.lists):
            self.near[agent, list(others)] = True
        self.diameter = _diameter(self.near)
        self.z = [np.where(self.members, openings, 0)]
        self.amplified = np.full(n, NEVER)
        self.streak = np.zeros(n, dtype=np.int64)
        self.settled = np.full(n, NEVER)
        self.known = np.where(np.eye(n, dtype=np.bool_), 0, NEVER)
        self.changed = 0  # the last round in which a list shrank
        self._reach, self._near_at = self.near, -1
        self.checked = self.rules.level != "off"
        self.launders = np.array(
            [one in self.kinds and self.kinds[one].launders for one in range(n)]
        )
        odd = [one for one, rank in self.ranks.items() if rank % 2]
        self.hidden = self.launders & np.isin(np.arange(n), odd)
        self._rng = np.random.default_rng(list(genesis.id + bytes([epoch % 256])))
        self._sight: _Sight | None = None
        if self.rules.level == "sampled":
            self._sight = _Sight(self.rules.horizon, self.z[0])
        self.lied = self._lies(0)

    @property
    def over(self) -> bool:
        """Whether a lie was told, or every member has settled."""
        watched = (
            self.members
            & ~self.launders
            & ~np.isin(np.arange(len(self.members)), list(self._silent()))
        )
        return bool(self.lied.any() or np.all(self.settled[watched] >= 0))

    def advance(self) -> None:
        """One round of all agents that have not settled."""
        self.count += 1
        self._shrink()
        own = self.z[-1]
        places, there = _padded(self.near)
        open_ = self.members & (self.settled < 0)
        seen = self.known if self._sight is not None else self._past(places, there)
        if self._sight is not None:
            self._sight.advance(self.near & open_[:, None], own)
        tossing = self._tosses(self._test(seen, open_), seen)
        r = np.zeros((len(own), 3), dtype=np.int64)
        r[:, 2] = own
        heard = r[places]
        r[tossing] = self._tossed(r[tossing])
        heard[tossing] = self._tossed(heard[tossing])
        mean = rounds.mean(r, heard, there, True, self.rules.f)
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
        self._claim(results)
        certain = open_ & (self.amplified >= 0) & (np.abs(results) >= self.rules.certain)
        self.streak = np.where(certain, self.streak + 1, np.where(open_, 0, self.streak))
        self.settled[open_ & (self.streak >= self.rules.beta)] = self.count
        self.z.append(results)
        self.known = seen
        self.known[np.arange(len(own))[open_], np.arange(len(own))[open_]] = self.count
        self.lied = self._lies(self.count)

    def _past(self, places: IntArray, there: BoolArray) -> IntArray:
        """The last rounds that each agent knows of each other one. A settled agent's statement
        stands for all later rounds."""
        seen: IntArray = _heard(np.maximum, self.known, places, there)
        seen[np.arange(len(seen)), np.arange(len(seen))] = self.known.diagonal()
        return seen

    def _claim(self, results: IntArray) -> None:
        """Put lies that nobody checks in the place of true opinions."""
        for agent, one in self.kinds.items():
            amplified = bool(self.amplified[agent] >= 0)
            lies = one.lies(self.count, amplified, self.ranks[agent], self.gone)
            if self.hidden[agent] or (lies and not self.checked):
                results[agent] = one.claims(int(results[agent]), self.claim)

    def ending(self) -> Averaging:
        """Everything until now."""
        return Averaging(np.array(self.z), self.amplified, self.settled, self.lied, self.diameter)

    def _tosses(self, begun: BoolArray, known: IntArray) -> BoolArray:
        """The agents that toss the coin, of those that have just begun to amplify at the limit."""
        leader = self.coin.leader
        if not self.side or leader is None or self.count != self.coin.tossed or not begun.any():
            return np.zeros_like(begun)
        amplifies = (self.amplified >= 0) & (self.amplified < self.count)
        seen = np.any(amplifies & (known >= self.amplified), axis=1)
        sides = [self._reach @ (self.z[0] * sign > 0).astype(np.int64) for sign in (1, -1)]
        tied = np.minimum(*sides) > self.faults
        return begun & (known[:, leader] >= self.coin.stated) & ~seen & tied

    def _tossed(self, r: IntArray) -> IntArray:
        """Opinions (..., 3) with the coin's sign."""
        found = r.copy()
        found[..., 2] = self.side * np.maximum(np.abs(r[..., 2]), 1)
        return found

    def _test(self, known: IntArray, open_: BoolArray) -> BoolArray:
        """The frontier test of all agents that do not amplify yet. Returns those that begin to
        amplify without passing it."""
        untested = np.zeros_like(open_)
        if self._sight is not None:
            self._test_sight(self._sight, open_)
            return untested
        if self._near_at < self.changed:
            self._reach, self._near_at = _reached(self.near), self.changed
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
                untested[agent] = not sign
        return untested

    def _test_sight(self, sight: "_Sight", open_: BoolArray) -> None:
        present, signs = sight.frontier()
        some = open_ & (self.amplified < 0) & (present >= self.quorum)
        if self.count < self.limit:
            some &= signs != 0
        # An author that amplifies by the test counted the agents that it lists as present.
        stated = np.where(self.settled >= 0, self.settled, self.count - 1)
        amplifies = (self.amplified >= 0) & (self.amplified < self.count) & (stated < self.limit)
        some |= open_ & (self.amplified < 0) & np.any(self.near & amplifies, axis=1)
        self.amplified[some] = self.count

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
        if self.hidden.any() and self._sight is not None:
            keepers = ~np.isin(np.arange(len(near)), list(self.kinds))
            near[np.ix_(keepers, self.hidden)] = False
            if self.count > 1:
                near &= ~(self._refused(before) & keepers[:, None])
        if self.count > 1:  # the list of round r − 1 says whom its author hears
            near &= before.T
        if not np.array_equal(near, before):
            self.near, self.changed = near, self.count

    def _refused(self, near: BoolArray) -> BoolArray:
        """The neighbours (agents, agents) whose walks an agent cannot follow: one of them picks
        a hidden agent among the citations."""
        # How likely one walk behind an agent's statement is to meet a hidden one. Half of the walks
        # go on behind the first citation; an honest agent's citations have shown everything.
        cites = (near | np.eye(len(near), dtype=np.bool_)) & self.launders[:, None]
        cites &= ~self.hidden[:, None]
        weights = cites / np.maximum(cites.sum(axis=1, keepdims=True), 1)
        met = self.hidden.astype(np.float64)
        for _ in range(self.rules.horizon):
            met = weights @ np.where(self.hidden, 1.0, met / 2)
        caught = 1 - (1 - met) ** self.rules.spot
        found: BoolArray = self._rng.random(near.shape) < caught[None, :]
        return found

    def _silent(self) -> set[int]:
        found = {
            agent
            for agent, one in self.kinds.items()
            if one.silent_from is not None
            and self.count > one.silent_from + one.staggered * self.ranks[agent]
        }
        leader = self.coin.leader
        if leader in self.kinds and not self.side and self.count > self.coin.stated:
            found.add(leader)
        return found

    def _lies(self, count: int) -> BoolArray:
        found = np.zeros(len(self.members), dtype=np.bool_)
        for agent, one in self.kinds.items():
            if self.members[agent] and self.checked:
                amplified = bool(self.amplified[agent] >= 0)
                lies = one.lies(count, amplified, self.ranks[agent], self.gone)
                # At level `closure` its fellows pass a hidden agent's statements on.
                shown = self.hidden[agent] and self._sight is None and count > 0
                found[agent] = lies or shown
        return found


class _Sight:
    """The sights of all agents at level `sampled`: arrays over agents, one for each level."""

    def __init__(self, horizon: int, z: IntArray) -> None:
        self._horizon = horizon
        self._low, self._high = [z], [z]
        self._authors = [np.packbits(np.eye(len(z), dtype=np.bool_), axis=1)]

    def advance(self, near: BoolArray, z: IntArray) -> None:
        """One round: each agent hears itself and these neighbours; a settled one only itself."""
        self._low[0] = self._high[0] = z
        places, there = _padded(near)
        keep = min(len(self._low), self._horizon)
        low = [_heard(np.minimum, one, places, there) for one in self._low[:keep]]
        high = [_heard(np.maximum, one, places, there) for one in self._high[:keep]]
        authors = [_heard(np.bitwise_or, one, places, there) for one in self._authors[:keep]]
        self._low, self._high = [z, *low], [z, *high]
        self._authors = [self._authors[0], *authors]

    def frontier(self) -> tuple[IntArray, IntArray]:
        """How many authors are in each agent's last level, and the sign that their opinions have in
        it, 0 where the test fails."""
        low, high, authors = self._low[-1], self._high[-1], self._authors
        signs = np.where(low > 0, 1, np.where(high < 0, -1, 0))
        whole = len(authors) > self._horizon and np.all(authors[-1] == authors[-2], axis=1)
        present = np.unpackbits(authors[-1], axis=1).sum(axis=1, dtype=np.int64)
        return present, np.where(whole, signs, 0)


def _heard(join: np.ufunc, values: Any, places: IntArray, there: BoolArray) -> Any:
    """Each agent's value (agents, …) joined with those of its neighbours (agents, most)."""
    found = values.copy()
    for column in range(places.shape[1]):
        rows = there[:, column]
        found[rows] = join(found[rows], values[places[rows, column]])
    return found


def _padded(near: BoolArray) -> tuple[IntArray, BoolArray]:
    """Neighbours (agents, most), and which of these entries are there."""
    degree = near.sum(axis=1)
    most = int(degree.max(initial=0))
    places = np.argsort(~near, axis=1, kind="stable")[:, :most]
    return places, np.arange(most)[None, :] < degree[:, None]


def _diameter(near: BoolArray) -> int:
    """The most links between two agents that a path connects."""
    places, there = _padded(near)
    reached, links = np.packbits(np.eye(len(near), dtype=np.bool_), axis=1), 0
    while True:
        further = _heard(np.bitwise_or, reached, places, there)
        if np.array_equal(further, reached):
            return links
        reached, links = further, links + 1


def _reached(near: BoolArray) -> BoolArray:
    """The agents (agents, agents) that lists lead to, each also to itself."""
    places, there = _padded(near)
    reached = np.packbits(np.eye(len(near), dtype=np.bool_), axis=1)
    while True:
        further = _heard(np.bitwise_or, reached, places, there)
        if np.array_equal(further, reached):
            return np.unpackbits(reached, axis=1, count=len(near)).astype(np.bool_)
        reached = further
