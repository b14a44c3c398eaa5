"""Checks the statements of one place before the agent uses or cites them."""

import dataclasses
from collections.abc import Callable, Sequence

from tmesh.agent.coin import NO_TOSS, Toss
from tmesh.agent.context import Context
from tmesh.agent.effects import Compute
from tmesh.agent.history import History
from tmesh.agent.proof import Kind, Proof
from tmesh.agent.sight import Frontier
from tmesh.agent.spots import Spots
from tmesh.agent.statement import Statement, digest
from tmesh.agent.step import PlaceRules
from tmesh.errors import InvalidInput


@dataclasses.dataclass
class Checked:
    """New results of checks, in order: statements that are in the history now, and proofs."""

    admitted: list[Statement] = dataclasses.field(default_factory=list)
    proofs: list[Proof] = dataclasses.field(default_factory=list)


class Checker:
    """Moves statements from waiting to checked, as their citations arrive.

    A statement is checked, waits for citations or for its audit, is proven false, or is invalid:
    only its past shows that it amplifies or tosses too early or too late. openings: the first
    opening of each author, in any place. locked: whether a lock of (outcome, epoch) is known.
    """

    def __init__(
        self,
        context: Context,
        rules: PlaceRules,
        history: History,
        openings: dict[int, Statement],
        locked: Callable[[int, int], bool],
    ) -> None:
        self._context, self._rules, self.history = context, rules, history
        self._openings, self._locked = openings, locked
        self._auditing: dict[bytes, Statement] = {}
        self._invalid = set[bytes]()
        self.spots = Spots(history, rules.rules.spot)

    def offer(self, statement: Statement, found: Checked) -> None:
        """A statement of this place, signed by its author. Raises `InvalidInput` for one that
        cannot be of it."""
        if statement.round > self._rules.rules.last(self._rules.place.epoch):
            raise InvalidInput(f"round: {statement.round} is after the last one")
        rival = self.history.offer(statement)
        if rival is not None:
            self._prove(Kind.EQUIVOCATION, _in_order(rival, statement), found)
        elif self.history.waiting(statement.author, statement.round) is not None:
            self._run([statement], found)
        elif self._cited(statement) and (statement.round or self._opening_holds(statement, found)):
            self._run(list(self.history.followers(statement)), found)

    def _cited(self, statement: Statement) -> bool:
        """Whether only other agents cite it. Its opening is checked all the same: that costs
        nothing."""
        height = self.history.height(statement.author)
        return self._rules.sampled and height <= statement.round

    def resume(self, found: Checked) -> None:
        """Go on with walks after new citations."""
        if self._rules.sampled:
            self._run(self.spots.waiting(), found)

    def retry(self, found: Checked) -> None:
        """Check openings that wait for a lock again."""
        openings = [
            self.history.waiting(agent, 0) for agent in range(len(self._context.genesis.keys))
        ]
        self._run([one for one in openings if one is not None], found)

    def audited(self, name: bytes, valid: bool, found: Checked) -> None:
        """The result of an audit, by the id of the statement."""
        self._context.memo.audits[name] = valid
        statement = self._auditing.pop(name, None)
        if statement is None:
            return
        cited = None if valid else self.history.cited(statement)
        if cited is not None:
            self._prove(Kind.STEP, (statement, *cited), found)
        else:
            self._run([statement], found)

    def add(self, statement: Statement, found: Checked) -> None:
        """The agent's own new statement, which needs no check. Others still check it: its result is
        in no memo."""
        self.history.admit(statement)
        found.admitted.append(statement)
        self._run(list(self.history.followers(statement)), found)

    def turn(self, before: int, author: int, count: int, heard: Sequence[int]) -> tuple[int, Toss]:
        """The branchings that an author amplifies in round `count`, from those of `before`, and the
        coin that it tosses."""
        frontier = self.history.frontier(author, count, heard)
        amplified = self._rules.amplified(before, frontier, count)
        return amplified, self._toss(amplified & ~before, author, count, heard, frontier)

    def _toss(
        self, begun: int, author: int, count: int, heard: Sequence[int], frontier: Frontier
    ) -> Toss:
        """The toss in branchings of those that an author has just begun to amplify."""
        coin = self._rules.coin
        if coin.leader is None or count != coin.tossed or not begun:
            return NO_TOSS
        cited = self.history.past(author, count, heard)
        stated = self.history.at(coin.leader, coin.stated)
        if stated is None or max(one.known[coin.leader] for one in cited) < coin.stated:
            return NO_TOSS
        begun &= self.history.tied(frontier.present, self._rules.decision.faults)
        for place, sign in enumerate(frontier.signs):
            if sign:
                begun &= ~(1 << place)
        for one in cited:
            begun &= ~one.amplified
        return Toss(stated.statement.toss.signature, begun) if begun else NO_TOSS

    def _run(self, statements: list[Statement], found: Checked) -> None:
        while statements:
            statement = statements.pop()
            if self._check(statement, found):
                self._admit(statement, found)
                statements += self.history.followers(statement)

    def _admit(self, statement: Statement, found: Checked) -> None:
        known = self._context.memo.entries.get(statement.id)
        entry = self.history.admit(statement, known)
        self._context.memo.entries[statement.id] = entry
        found.admitted.append(statement)

    def _check(self, statement: Statement, found: Checked) -> bool:
        """Whether a statement may be used now."""
        if self.history.height(statement.author) != statement.round:
            return False
        if not statement.round:
            return self._check_opening(statement, found)
        cited = self.history.cited(statement)
        if cited is None or digest(one.id for one in cited) != statement.cites:
            return False
        sampled, off = self._rules.sampled, self._rules.rules.level == "off"
        if off or (statement.id in self._context.memo.entries and not sampled):
            return True
        if not self._step_holds(statement, cited, found):
            return False
        if not sampled:
            return self._amplifies_rightly(statement, cited[0])
        passed = self.spots.passed(statement)
        for one, behind in self.spots.take():
            self._step_holds(one, behind, found)
        return passed

    def _step_holds(self, statement: Statement, cited: list[Statement], found: Checked) -> bool:
        """Whether a step is known to be true. If not, it is audited or proven false."""
        memo = self._context.memo
        if statement.id in memo.entries:
            return True
        if statement.id not in memo.audits and not self._rules.step_fault(statement, cited):
            self._audit(statement, cited)
            return False
        if memo.audits.get(statement.id, False):
            return True
        self._prove(Kind.STEP, (statement, *cited), found)
        return False

    def _check_opening(self, statement: Statement, found: Checked) -> bool:
        if not self._opening_holds(statement, found):
            return False
        if statement.lock:
            tree, z = self._rules.tree, statement.opinions.z
            outcomes = range(tree.outcomes)
            (outcome,) = (one for one in outcomes if tree.certain(one, self._rules.rules) == z)
            return self._locked(outcome, statement.lock)
        return True

    def _opening_holds(self, statement: Statement, found: Checked) -> bool:
        """Whether a statement of round 0 breaks no rule; its lock may still be unknown here."""
        if self._rules.opening_fault(statement):
            self._prove(Kind.OPENING, (statement,), found)
            return False
        if statement.lock:
            return True
        first = self._openings.setdefault(statement.author, statement)
        if first.opinions != statement.opinions:
            self._prove(Kind.SECOND_OPENING, _in_order(first, statement), found)
            return False
        return True

    def _amplifies_rightly(self, statement: Statement, before: Statement) -> bool:
        """Only the past shows this, so a statement that fails is left unused, and no proof."""
        if statement.id in self._invalid:
            return False
        heard = statement.heard(self.history.draw)
        amplified, toss = self.turn(
            before.opinions.amplified, statement.author, statement.round, heard
        )
        stated = self._rules.coin.due(statement.author, statement.round)
        if amplified != statement.opinions.amplified or not (stated or toss == statement.toss):
            self._invalid.add(statement.id)
            return False
        return True

    def _audit(self, statement: Statement, cited: list[Statement]) -> None:
        if statement.id in self._auditing:
            return
        works, claimed = self._rules.claims(statement, cited)
        self._auditing[statement.id] = statement
        token = self._rules.decision.id + statement.id
        self._context.do(Compute(token, tuple(works), tuple(claimed)))

    def _prove(self, kind: Kind, statements: tuple[Statement, ...], found: Checked) -> None:
        found.proofs.append(Proof(kind, self._rules.decision, statements))


def _in_order(one: Statement, other: Statement) -> tuple[Statement, Statement]:
    return (one, other) if one.id < other.id else (other, one)
