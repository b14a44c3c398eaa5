"""Checks the statements of one place before the agent uses or cites them."""

import dataclasses
from collections.abc import Callable, Sequence

from tmesh.agent.coin import NO_TOSS, Coin, Toss
from tmesh.agent.context import Context
from tmesh.agent.effects import Compute
from tmesh.agent.history import Frontier, History
from tmesh.agent.opinion import Tree
from tmesh.agent.proof import Kind, Proof
from tmesh.agent.statement import Statement, digest
from tmesh.agent.step import claims, opening_fault, step_fault
from tmesh.errors import InvalidInput
from tmesh.finality import Decision


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
        decision: Decision,
        tree: Tree,
        history: History,
        openings: dict[int, Statement],
        locked: Callable[[int, int], bool],
    ) -> None:
        self._context, self._decision, self._tree = context, decision, tree
        self._rules, self.history = context.genesis.rules, history
        self._openings, self._locked = openings, locked
        self._auditing: dict[bytes, Statement] = {}
        self._invalid = set[bytes]()
        self.coin = Coin.of(self._rules, history.draw, history.place)

    def offer(self, statement: Statement, found: Checked) -> None:
        """A statement of this place, signed by its author. Raises `InvalidInput` for one that
        cannot be of it."""
        if statement.round > self._rules.last(self.history.place.epoch):
            raise InvalidInput(f"round: {statement.round} is after the last one")
        rival = self.history.offer(statement)
        if rival is not None:
            self._prove(Kind.EQUIVOCATION, _in_order(rival, statement), found)
        elif self.history.waiting(statement.author, statement.round) is not None:
            self._run([statement], found)

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
        if statement is not None:
            self._run([statement], found)

    def add(self, statement: Statement, found: Checked) -> None:
        """The agent's own new statement, which needs no check. Others still check it: its result is
        in no memo."""
        self.history.admit(statement)
        found.admitted.append(statement)
        self._run(list(self.history.followers(statement)), found)

    def turn(self, before: int, author: int, count: int, heard: Sequence[int]) -> tuple[int, Toss]:
        """The branchings that an author amplifies in round `count`, from those of `before`, and the
        coin that it tosses or states."""
        frontier = self.history.frontier(author, count, heard)
        amplified = before
        if frontier.present.bit_count() >= self._decision.quorum:
            limit = self._rules.limit(self.history.place.epoch)
            for place, sign in enumerate(frontier.signs):
                if sign or count >= limit:
                    amplified |= 1 << place
        return amplified, self._toss(amplified & ~before, author, count, heard, frontier)

    def _toss(
        self, begun: int, author: int, count: int, heard: Sequence[int], frontier: Frontier
    ) -> Toss:
        """The toss in branchings of those that an author has just begun to amplify."""
        coin = self.coin
        if coin.leader is None or count != coin.tossed or not begun:
            return NO_TOSS
        cited = self.history.past(author, count, heard)
        stated = self.history.at(coin.leader, coin.stated)
        if stated is None or max(one.known[coin.leader] for one in cited) < coin.stated:
            return NO_TOSS
        begun &= self.history.tied(frontier.present, self._decision.faults)
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
        if self._rules.level == "off" or statement.id in self._context.memo.entries:
            return True
        keys, draw = self._context.genesis.keys, self.history.draw
        fault = self.coin.fault(statement.author, statement.round, statement.toss, keys)
        if fault or step_fault(statement, cited, draw, self._tree, self._rules):
            self._prove(Kind.STEP, (statement, *cited), found)
            return False
        valid = self._context.memo.audits.get(statement.id)
        if valid is None:
            self._audit(statement, cited)
            return False
        if not valid:
            self._prove(Kind.STEP, (statement, *cited), found)
            return False
        return self._amplifies_rightly(statement, cited[0])

    def _check_opening(self, statement: Statement, found: Checked) -> bool:
        if opening_fault(statement, self._tree, self._rules):
            self._prove(Kind.OPENING, (statement,), found)
            return False
        if statement.lock:
            outcomes = range(self._tree.outcomes)
            z = statement.opinions.z
            (outcome,) = (one for one in outcomes if self._tree.certain(one, self._rules) == z)
            return self._locked(outcome, statement.lock)
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
        stated = self.coin.due(statement.author, statement.round)
        if amplified != statement.opinions.amplified or not (stated or toss == statement.toss):
            self._invalid.add(statement.id)
            return False
        return True

    def _audit(self, statement: Statement, cited: list[Statement]) -> None:
        if statement.id in self._auditing:
            return
        works, claimed = claims(statement, cited, self._rules)
        self._auditing[statement.id] = statement
        token = self._decision.id + statement.id
        self._context.do(Compute(token, tuple(works), tuple(claimed)))

    def _prove(self, kind: Kind, statements: tuple[Statement, ...], found: Checked) -> None:
        found.proofs.append(Proof(kind, self._decision, statements))


def _in_order(one: Statement, other: Statement) -> tuple[Statement, Statement]:
    return (one, other) if one.id < other.id else (other, one)
