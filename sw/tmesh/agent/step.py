"""The rules by which statements of one place follow from those that they cite."""

import dataclasses
from collections.abc import Sequence
from functools import cached_property

from tmesh.agent.coin import Coin, tossed
from tmesh.agent.draw import Draw, draw
from tmesh.agent.opinion import Tree, Work, evaluate, tree, updated, updates
from tmesh.agent.sight import Frontier, Level, Sight, frontier, joined
from tmesh.agent.statement import Place, Statement
from tmesh.finality import Decision
from tmesh.genesis import Genesis, SwarmRules


@dataclasses.dataclass(frozen=True)
class PlaceRules:
    """Everything that a fraud proof of one place can show.

    An agent makes its statements by these functions, others check them, and proofs are verified by
    them. `cited` is always a statement's own author's last one, then those of its list, ascending.
    """

    genesis: Genesis
    decision: Decision
    place: Place

    @cached_property
    def rules(self) -> SwarmRules:
        """The rules of the swarm."""
        return self.genesis.rules

    @cached_property
    def sampled(self) -> bool:
        """Whether statements carry a sight."""
        return self.rules.level == "sampled"

    @cached_property
    def tree(self) -> Tree:
        """The branchings of the decision."""
        return tree(len(self.decision.labels))

    @cached_property
    def draw(self) -> Draw:
        """The links of the place."""
        return draw(self.genesis, self.decision, self.place.epoch, self.place.generation)

    @cached_property
    def coin(self) -> Coin:
        """The coin of the place."""
        return Coin.of(self.rules, self.draw, self.place)

    def stands(self, statement: Statement) -> bool:
        """Whether a statement's settled opinions lead to one outcome."""
        return self.tree.outcome(statement.opinions, self.rules) is not None

    def opening_fault(self, statement: Statement) -> str | None:
        """The fault of a statement of round 0, None for a good one."""
        z = statement.opinions.z
        if statement.lock:
            outcomes = range(self.tree.outcomes)
            if not any(z == self.tree.certain(outcome, self.rules) for outcome in outcomes):
                return "it cites a lock, and states no outcome"
        elif any(abs(one) > self.rules.most for one in z):
            return f"it states more than the cap, {self.rules.most}"
        return None

    def step_fault(self, statement: Statement, cited: Sequence[Statement]) -> str | None:
        """The fault of a statement of a later round, None for a good one; its numbers are left to
        `number_fault`."""
        before, heard = cited[0], cited[1:]
        rules, count = self.rules, statement.round
        fault = self.coin.fault(statement.author, count, statement.toss, self.genesis.keys)
        if fault is not None:
            return fault
        if self.stands(before):
            return "its author's opinions were settled"
        if not set(statement.heard(self.draw)) <= set(before.heard(self.draw)):
            return "its list grew"
        for one in heard:
            if statement.author not in one.heard(self.draw):
                return f"agent {one.author} does not list its author"
        if statement.sight != self.sight(cited, count):
            return "its sight is not that of its citations"
        amplified, earlier = statement.opinions.amplified, before.opinions.amplified
        if earlier & ~amplified:
            return "it no longer amplifies"
        if self.sampled and amplified != self.caught(cited, statement.sight, count):
            return "it amplifies too early or too late"
        if statement.toss.branchings & (earlier | ~amplified):
            return "it tosses a coin where it amplified before, or does not amplify"
        _, results = self.claims(statement, cited)
        if updated(before.opinions, results, amplified, rules) != statement.opinions:
            return "it changes a settled opinion, or counts wrongly"
        return None

    def number_fault(self, statement: Statement, cited: Sequence[Statement]) -> str | None:
        """The fault in the numbers of a statement, recomputed on the integer model."""
        works, claimed = self.claims(statement, cited)
        for result, claim in zip(evaluate(works, self.rules.f), claimed, strict=True):
            if result != claim:
                return f"it claims {claim}, and its update gives {result}"
        return None

    def claims(
        self, statement: Statement, cited: Sequence[Statement]
    ) -> tuple[list[Work], list[int]]:
        """The updates behind a statement, and the results that it claims for them."""
        before, *heard = (tossed(one.opinions, statement.toss) for one in cited)
        works = updates(before, heard, statement.opinions.amplified, self.rules)
        beta = self.rules.beta
        open_ = [place for place, streak in enumerate(before.streak) if streak < beta]
        return works, [statement.opinions.z[place] for place in open_]

    def amplified(self, before: int, seen: Frontier, count: int) -> int:
        """The branchings that an author amplifies in round `count`, from those of `before` and the
        result of its frontier test."""
        if seen.present.bit_count() >= self.decision.quorum:
            limit = self.rules.limit(self.place.epoch)
            for place, sign in enumerate(seen.signs):
                if sign or count >= limit:
                    before |= 1 << place
        return before

    def caught(self, cited: Sequence[Statement], sight: Sight, count: int) -> int:
        """The branchings that an author amplifies in round `count` at level `sampled`: as
        `amplified` says, and those that somebody amplifies in `cited`. That author has passed the
        test, and counted this one as present, for it lists it."""
        found = self.amplified(cited[0].opinions.amplified, self.frontier(sight), count)
        limit = self.rules.limit(self.place.epoch)
        for one in cited:
            found |= one.opinions.amplified if one.round < limit else 0
        return found

    def frontier(self, sight: Sight) -> Frontier:
        """The frontier test on the sight of a statement of round 1 or later."""
        return frontier(sight, self.rules.horizon, len(self.tree.branchings))

    def sight(self, cited: Sequence[Statement], count: int) -> Sight:
        """The sight of a statement of round `count`; empty unless the level is `sampled`."""
        if not self.sampled:
            return ()
        return tuple(
            joined(_level(one, back, count - 1 - one.round) for one in cited)
            for back in range(min(self.rules.horizon, count))
        )


def _level(statement: Statement, back: int, late: int) -> Level:
    """A level of a statement that stands for as many later rounds as it is `late`: in these its
    author hears itself alone."""
    if late < back <= late + len(statement.sight):
        return statement.sight[back - late - 1]
    z = statement.opinions.z
    return Level(z, z, 1 << statement.author)
