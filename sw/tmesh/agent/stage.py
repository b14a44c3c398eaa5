"""One agent's rounds in one epoch and generation."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable

from tmesh.agent.checker import Checked, Checker
from tmesh.agent.coin import NO_TOSS, Coin, Toss, tossed
from tmesh.agent.context import Context
from tmesh.agent.effects import Compute, Persist
from tmesh.agent.history import History
from tmesh.agent.opinion import Work, evaluate, updated, updates
from tmesh.agent.patience import Patience, Wait
from tmesh.agent.records import Record, RecordKind
from tmesh.agent.sight import Sight
from tmesh.agent.spread import Spread
from tmesh.agent.statement import Place, Statement, digest, mark
from tmesh.agent.step import PlaceRules
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
    sight: Sight
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
        self._rules = PlaceRules(context.genesis, decision, place)
        self.history = History(self._rules, context.me)
        self._checker = Checker(context, self._rules, self.history, openings, locked)
        self.spread = Spread(context.me, self._rules.draw)
        self._reported: dict[int, tuple[int, ...]] = {}
        self._questions = set[tuple[int, bytes]]()
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
    def sampled(self) -> bool:
        """Whether the agent has only the last steps of its neighbours, not the whole past."""
        return self._rules.sampled

    @property
    def coin(self) -> Coin:
        """The coin of the place."""
        return self._rules.coin

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
        self._checker.resume(found)
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
        if self._context.self_check and tuple(evaluate(works, self._rules.rules.f)) != results:
            self._context.fail(f"round {self.round}: the device computes wrong bits")
            return None
        last = making.cited[0]
        opinions = updated(last.opinions, results, making.amplified, self._rules.rules)
        return Statement(
            self.place,
            self._context.me,
            last.round + 1,
            making.list_,
            making.cites,
            opinions,
            toss=making.toss,
            sight=making.sight,
        )

    def state(self, statement: Statement) -> None:
        """Sign a statement, write it, and only then use it."""
        if self._context.failed:
            return
        signed, found = statement.signed(self._context.signer), Checked()
        record = Record(RecordKind.STATEMENT, self.decision.id, signed.encoded)
        self._context.do(Persist(record.encoded))
        self._signed = signed.round
        self._checker.add(signed, found)
        self._use(found)

    def advance(self) -> None:
        """Ask for the updates of the next statement, if all of the list is there."""
        me, last = self._context.me, self.history.last(self._context.me)
        if self._context.failed:
            return
        if self._making is not _NONE or last is None or last.stands or self.round <= self._signed:
            return
        if self.round > self._rules.rules.last(self.place.epoch):
            return
        heard = self.listen(last.heard)
        if heard is None or not (heard or self.decision.quorum == 1):
            return
        entries = [self.history.at(one, self.round - 1) for one in (me, *heard)]
        cited = [entry.statement for entry in entries if entry is not None]
        before, sight = last.statement.opinions.amplified, self._rules.sight(cited, self.round)
        if self._rules.sampled:
            amplified, toss = self._rules.caught(cited, sight, self.round), NO_TOSS
        else:
            amplified, toss = self._checker.turn(before, me, self.round, heard)
        if self.coin.due(me, self.round):
            toss = Toss(self.coin.sign(self._context.signer))
        cites = digest(one.id for one in cited)
        list_ = mark(self.history.draw, me, heard)
        self._making = _Making(cites, cited, amplified, toss, sight, list_)
        works = tuple(self._updates(self._making))
        self._context.do(Compute(self.decision.id + cites, works))

    def listen(self, before: tuple[int, ...]) -> list[int] | None:
        """The list of the next statement, from the last one; None as long as the agent waits for
        some of it."""
        heard = list[int]()
        for other in before:
            entry = self.history.at(other, self.round - 1)
            if entry is None:
                if not self._patience.exhausted(self._context.me, other):
                    return None
            elif entry.list_ >> self._context.me & 1:
                heard.append(other)
        return heard

    def beat(self) -> list[int]:
        """One beat passed. Returns the neighbours that the agent waits for."""
        last = self.history.last(self._context.me)
        if self._making is not _NONE or last is None or last.stands:
            return []
        self._patience.beat(self._waits())
        return self._missing(self._context.me)

    def lacking(
        self, other: int, heights: tuple[int, ...], doubts: Iterable[tuple[int, int]], most: int
    ) -> list[Statement]:
        """Checked statements that another agent lacks, from these rounds on, at most `most`; and
        all that doubted statements, given by author and round, cite. At level `sampled` it needs
        those that it hears, and everything that they cite."""
        found = list[Statement]()
        if len(heights) == len(self._context.genesis.keys) and other < len(heights):
            self._reported[other] = heights
            wanted = self._rules.draw
            authors = wanted.neighbours[other] if self._rules.sampled else wanted.members
            found += itertools.islice(self.history.beyond(heights, authors), most)
            if self._rules.sampled:
                cited = [self.history.cited(one) or [] for one in found if one.round]
                found = [*itertools.chain(*cited), *found]
        for author, count in doubts:
            statement = self.history.signed(author, count)
            if statement is not None:
                found += self.history.cited(statement) or []
        return list({one.id: one for one in found}.values())

    def doubts(self, other: int) -> list[tuple[int, int]]:
        """Authors and rounds of statements whose citations another agent is asked for."""
        behind = [one for author, one in self._checker.spots.missing() if author == other]
        doubtful = self.history.doubtful() + behind
        return list(dict.fromkeys((one.author, one.round) for one in doubtful))

    def questions(self) -> set[int]:
        """Authors with something new to show."""
        missing = {(author, one.id) for author, one in self._checker.spots.missing()}
        new, self._questions = missing - self._questions, missing
        return {author for author, _ in new}

    def _waits(self) -> list[Wait]:
        """The waits that this agent's next statement depends on, its own and those of others."""
        me = self._context.me
        found, seen, left = list[Wait](), {me}, [me]
        while left:
            listener = left.pop()
            for author in self._missing(listener):
                if not self._missing(author):
                    found.append(Wait(listener, author, self.history.height(author)))
                if author not in seen:
                    seen.add(author)
                    left.append(author)
        return found

    def _missing(self, listener: int) -> list[int]:
        """The authors whose statements a listener's next one lacks, as far as this agent knows."""
        last = self.history.last(listener)
        return [
            author
            for author in (last.heard if last is not None else ())
            if not self._has(listener, author) and not self._patience.exhausted(listener, author)
        ]

    def _has(self, one: int, other: int) -> bool:
        """Whether an author has what its next statement cites of another, as far as this agent
        knows: it has that itself, or at level `sampled` it was not told otherwise."""
        count = self.history.height(one)
        if not self._rules.sampled or one == self._context.me:
            return self.history.at(other, count - 1) is not None
        heights = self._reported.get(one)
        return heights is None or heights[one] != count or heights[other] >= count

    def _updates(self, making: _Making) -> list[Work]:
        own, *heard = (tossed(one.opinions, making.toss) for one in making.cited)
        return updates(own, heard, making.amplified, self._rules.rules)

    def _offer(self, statement: Statement, found: Checked) -> None:
        try:
            self._checker.offer(statement, found)
        except InvalidInput:
            return  # signed by its author, and of no use to anybody

    def _use(self, found: Checked) -> None:
        """Pass on what was checked, and expose what is false."""
        for statement in found.admitted:
            if not self._rules.sampled:
                self.spread.add(statement)
            elif statement.author == self._context.me:
                self.spread.add_own(statement, self.history.cited(statement) or [])
        for proof in found.proofs:
            self._context.accuse(proof)


_NONE = _Making(b"", [], 0, NO_TOSS, (), 0)
