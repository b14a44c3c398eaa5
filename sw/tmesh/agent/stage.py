"""One agent's rounds in one epoch and generation."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable

from tmesh.agent.checker import Checked, Checker
from tmesh.agent.coin import NO_TOSS, Coin, Toss, tossed
from tmesh.agent.context import Context
from tmesh.agent.draw import draw
from tmesh.agent.effects import Compute, Persist
from tmesh.agent.history import History
from tmesh.agent.opinion import Work, evaluate, tree, updated, updates
from tmesh.agent.patience import Patience
from tmesh.agent.records import Record, RecordKind
from tmesh.agent.spread import Spread
from tmesh.agent.statement import Place, Statement, digest, mark
from tmesh.errors import InvalidInput
from tmesh.finality import Decision

#: The arguments of a `Stage`.
StageParts = tuple[
    Context,
    Decision,
    Place,
    Patience,
    dict[int, Statement],
    Callable[[int, int], bool],
    Iterable[Statement],
]


@dataclasses.dataclass(frozen=True)
class _Making:
    """The statement that waits for its results. cited: the own last statement, then the list's."""

    cites: bytes
    cited: list[Statement]
    amplified: int
    toss: Toss
    list_: int


class Stage:
    """The rounds of one `place`. It ends when an epoch or a generation begins.

    The next statement is made in two steps: `advance` asks for its updates once the whole list is
    there, and `computed` signs their results. patience: of the whole epoch. openings: the first
    opening of each author. locked: whether a lock of (outcome, epoch) is known. own: statements of
    an earlier life.
    """

    def __init__(
        self,
        context: Context,
        decision: Decision,
        place: Place,
        patience: Patience,
        openings: dict[int, Statement],
        locked: Callable[[int, int], bool],
        own: Iterable[Statement],
    ) -> None:
        self.place, self.decision, self._context = place, decision, context
        self._rules, self._tree = context.genesis.rules, tree(len(decision.labels))
        drawn = draw(context.genesis, decision, place.epoch, place.generation)
        self.history = History(place, drawn, len(self._tree.branchings), self._stands)
        self._checker = Checker(context, decision, self._tree, self.history, openings, locked)
        self.spread = Spread(context.me, drawn)
        self._patience, self._making = patience, _NONE
        # The agent makes no statement of a round up to this one: it signed another life's.
        self._signed = -1
        found = Checked()
        for statement in own:
            if statement.place == place:
                self._signed = max(self._signed, statement.round)
                self._offer(statement, found)
        self._use(found)
        patience.begin()

    @property
    def takes_part(self) -> bool:
        """Whether the agent is not excluded itself."""
        return self.history.draw.members >> self._context.me & 1 == 1

    @property
    def coin(self) -> Coin:
        """The coin of the place."""
        return self._checker.coin

    @property
    def started(self) -> bool:
        """Whether the agent has signed a statement of this place."""
        return self._signed >= 0

    @property
    def round(self) -> int:
        """The round of the agent's next statement."""
        return self.history.height(self._context.me)

    def hear(self, statements: Iterable[Statement]) -> None:
        """Signed statements of this place."""
        found = Checked()
        for statement in statements:
            self._offer(statement, found)
        self._use(found)

    def retry(self) -> None:
        """Check openings again: a new lock is known."""
        found = Checked()
        self._checker.retry(found)
        self._use(found)

    def computed(self, name: bytes, results: tuple[int, ...]) -> Statement | None:
        """Results for the own next statement, which is returned, or of an audit."""
        if name != self._making.cites:
            found = Checked()
            self._checker.audited(name, all(results), found)
            self._use(found)
            return None
        making, self._making = self._making, _NONE
        works = self._updates(making)
        if self._context.self_check and tuple(evaluate(works, self._rules.f)) != results:
            self._context.fail(f"round {self.round}: the device computes wrong bits")
            return None
        last = making.cited[0]
        opinions = updated(last.opinions, results, making.amplified, self._rules)
        return Statement(
            self.place,
            self._context.me,
            last.round + 1,
            making.list_,
            making.cites,
            opinions,
            toss=making.toss,
        )

    def state(self, statement: Statement) -> None:
        """Sign a statement, write it, and only then use it."""
        if self._context.failed:
            return
        signed, found = statement.signed(self._context.signer), Checked()
        record = Record(RecordKind.STATEMENT, self.decision.id, signed.encoded)
        self._context.do(Persist(record.encoded))
        self._signed = signed.round
        self._patience.begin()
        self._checker.add(signed, found)
        self._use(found)

    def advance(self) -> None:
        """Ask for the updates of the next statement, if all of the list is there."""
        me, last = self._context.me, self.history.last(self._context.me)
        if self._making is not _NONE or last is None or last.stands or self.round <= self._signed:
            return
        if self.round > self._rules.last(self.place.epoch):
            return
        heard = self.listen(last.heard)
        if heard is None or not (heard or self.decision.quorum == 1):
            return
        entries = [self.history.at(one, self.round - 1) for one in (me, *heard)]
        cited = [entry.statement for entry in entries if entry is not None]
        amplified, toss = self._checker.turn(
            last.statement.opinions.amplified, me, self.round, heard
        )
        if self.coin.due(me, self.round):
            toss = Toss(self.coin.sign(self._context.signer))
        cites = digest(one.id for one in cited)
        self._making = _Making(cites, cited, amplified, toss, mark(self.history.draw, me, heard))
        works = tuple(self._updates(self._making))
        self._context.do(Compute(self.decision.id + cites, works))

    def listen(self, before: tuple[int, ...]) -> list[int] | None:
        """The list of the next statement, from the last one; None as long as the agent waits for
        some of it."""
        heard = list[int]()
        for other in before:
            entry = self.history.at(other, self.round - 1)
            if entry is None:
                if not self._patience.exhausted(other):
                    return None
            elif entry.list_ >> self._context.me & 1:
                heard.append(other)
        return heard

    def beat(self) -> list[int]:
        """One beat passed. Returns the neighbours that the agent waits for."""
        last = self.history.last(self._context.me)
        if self._making is not _NONE or last is None or last.stands:
            return []
        waits = [one for one in last.heard if self.history.at(one, self.round - 1) is None]
        causes = {other: self._causes(other) for other in waits}
        silent = [other for other in waits if other in causes[other]]
        self._patience.beat(silent, set().union(*causes.values()))
        return waits

    def lacking(
        self, heights: tuple[int, ...], doubts: Iterable[tuple[int, int]], most: int
    ) -> list[Statement]:
        """Checked statements from these rounds on, at most `most`; and all that doubted statements,
        given by author and round, cite."""
        found = list[Statement]()
        if len(heights) == len(self._context.genesis.keys):
            found += itertools.islice(self.history.beyond(heights), most)
        for author, count in doubts:
            entry = self.history.at(author, count)
            if entry is not None and entry.statement.round == count:
                found += self.history.cited(entry.statement) or []
        return list({one.id: one for one in found}.values())

    def _causes(self, author: int) -> set[int]:
        """The agents that an author's next statement waits for, as far as this agent knows: itself
        if it has all that it must cite, else the causes of the missing statements."""
        found, seen, left = set[int](), {author}, [author]
        while left:
            one = left.pop()
            last = self.history.last(one)
            missing = {
                other
                for other in (last.heard if last is not None else ())
                if self.history.at(other, self.history.height(one) - 1) is None
                and self._patience.excuses(other)
            }
            found |= set() if missing else {one}
            left += missing - seen
            seen |= missing
        return found

    def _updates(self, making: _Making) -> list[Work]:
        own, *heard = (tossed(one.opinions, making.toss) for one in making.cited)
        return updates(own, heard, making.amplified, self._rules)

    def _stands(self, statement: Statement) -> bool:
        return self._tree.outcome(statement.opinions, self._rules) is not None

    def _offer(self, statement: Statement, found: Checked) -> None:
        try:
            self._checker.offer(statement, found)
        except InvalidInput:
            return  # signed by its author, and of no use to anybody

    def _use(self, found: Checked) -> None:
        """Pass on what was checked, and expose what is false."""
        for statement in found.admitted:
            self.spread.add(statement)
        for proof in found.proofs:
            self._context.accuse(proof)


_NONE = _Making(b"", [], 0, NO_TOSS, 0)
