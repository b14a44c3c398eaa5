"""One agent's part in one decision: stages of rounds, votes, and messages about both."""

import itertools
from collections.abc import Iterable, Sequence

from tmesh.agent.context import Context, VoterJournal
from tmesh.agent.double_votes import DoubleVotes
from tmesh.agent.effects import Decided, Send, SetTimer
from tmesh.agent.message import DOUBTS, Bundle, Request
from tmesh.agent.opinion import Opinions, tree
from tmesh.agent.patience import Patience
from tmesh.agent.proof import Kind, Proof
from tmesh.agent.records import Record, RecordKind
from tmesh.agent.stage import Stage, StageParts
from tmesh.agent.statement import Place, Statement
from tmesh.finality import Certificate, Decision, Signed, Summary, Voter
from tmesh.finality.encoding import bits
from tmesh.finality.rules import Begin, Final, Lock, Start

#: The most statements and votes of one reply.
STATEMENTS, VOTES = 48, 128

#: An agent asks for missing statements and votes in every fourth beat. While it makes no statement
#: it asks in each beat, for at most 32 beats; beyond the grace it asks all that it waits for.
UNPROMPTED, HASTE = 4, 32

#: Statements of later epochs and generations that an agent keeps, for each author.
EARLY = 4

#: Timers of a decision: the beat, and one to send queued votes. Epochs are timers from 1 on.
BEAT, FLUSH = 0, -1


class Deliberation:
    """State of one decision. Calls append to `context.effects`.

    opening: the agent's evidence, z of each branching. records: of an earlier life. `stage` is None
    once the decision is final and the neighbours have been told; `starts` counts its stages.
    """

    def __init__(
        self,
        context: Context,
        decision: Decision,
        opening: tuple[int, ...],
        records: Iterable[Record] = (),
    ) -> None:
        self.decision, self._context, self._opening = decision, context, opening
        self._rules, self._tree = context.genesis.rules, tree(len(decision.labels))
        some = list(records)
        head = Record(RecordKind.VOTES, decision.id, b"").encoded
        votes = [one.body for one in some if one.kind == RecordKind.VOTES]
        journal = VoterJournal(context, head, votes)
        self.voter = Voter(decision, context.genesis.keys, context.signer, journal)
        statements = [one.body for one in some if one.kind == RecordKind.STATEMENT]
        self._own = [Statement.decode(one) for one in statements]
        self.stage: Stage | None = None
        self._opinions = Opinions.opening(opening)
        self.starts = 0
        self._openings: dict[int, Statement] = {}
        self._early: dict[int, list[Statement]] = {}
        self._epoch, self._begins = 1, tuple[int, ...]()
        self._patience = Patience(context.me, self._rules.grace, self._rules.patience)
        self._locks, self._told, self._acquainted = tuple[Lock, ...](), Summary(()), 0
        self._double_votes = DoubleVotes()
        self._beats = self._quiet = 0
        self._turn = itertools.count(context.me)
        self._advanced = self._flushing = False
        self._answered = set[int]()
        near = context.genesis.neighbours[context.me] & decision.agents
        self._near = list(bits(near & ~(1 << context.me)))
        self._wake(self._rules.beat, BEAT)
        self._follow()

    @property
    def certificate(self) -> Certificate | None:
        """The final certificate, None as long as there is none."""
        return self.voter.certificate

    @property
    def round(self) -> int:
        """The round of the agent's next statement."""
        return self.stage.round if self.stage is not None else 0

    @property
    def opinions(self) -> Opinions:
        """The agent's last stated opinions, of its evidence before it stated any."""
        last = self.stage.history.last(self._context.me) if self.stage else None
        return last.statement.opinions if last else self._opinions

    @property
    def epoch(self) -> int:
        """The epoch that the agent is in."""
        return self.voter.epoch

    @property
    def outcome(self) -> int | None:
        """The outcome that the agent's settled opinions lead to; it is provisional."""
        return self._tree.outcome(self.opinions, self._rules)

    @property
    def settled(self) -> bool:
        """Whether there is such an outcome."""
        return self.outcome is not None

    # Inputs

    def hear(self, bundle: Bundle) -> None:
        """Statements and votes."""
        self._acquainted |= 1 << bundle.sender
        if self.certificate is None:
            for statement in bundle.statements:
                if statement.verify(self._context.genesis.keys):
                    self._sort(statement)
                else:
                    self._context.refused += 1
            if bundle.votes:
                self._context.refused += self.voter.hear(bundle.votes)
                self._compare(bundle.votes)
        self._follow()

    def answer(self, request: Request) -> None:
        """Send the statements and votes that the author of a request lacks."""
        self._acquainted |= 1 << request.sender
        votes, statements = self.voter.lacking(request.summary, VOTES), list[Statement]()
        stage = self.stage if self.certificate is None else None
        if stage is not None and (request.epoch, request.generation) == stage.place[1:]:
            heights, doubts = request.heights, request.doubts
            statements = stage.lacking(request.sender, heights, doubts, STATEMENTS)
            if stage.sampled and not statements and request.sender not in self._answered:
                # Nobody else can tell the asker that this agent itself waits, and for whom.
                self._answered.add(request.sender)
                self._ask(stage, request.sender)
        if statements or votes:
            self._send(request.sender, statements, votes)

    def expire(self, timer: int) -> None:
        """A timer has run out."""
        if timer == BEAT:
            self._beat()
        elif timer == FLUSH:
            self._flushing = False
            self._flush()
        else:
            self.voter.expired(timer)
        self._follow()

    def computed(self, name: bytes, results: tuple[int, ...]) -> None:
        """Results of the device, for the id of a statement or for the own next one."""
        if self.stage is not None and self.certificate is None:
            statement = self.stage.computed(name, results)
            if statement is not None:
                self._state(self.stage, statement)
        self._follow()

    def exclude(self) -> None:
        """The agent holds more proofs than before."""
        self._follow()

    # State

    def _follow(self) -> None:
        """Act on the new state, after each input."""
        while self.voter.replies:
            match self.voter.replies.pop(0):
                case Begin(epoch, outcomes):
                    self._epoch, self._begins = epoch, outcomes
                    me, rules = self._context.me, self._rules
                    self._patience = Patience(me, rules.grace, rules.patience)
                    self._double_votes.trim(epoch)
                case Start(epoch):
                    self._wake(self._rules.beat * self._rules.epoch_beats * epoch, epoch)
                case Final():
                    assert self.certificate is not None
                    self._context.do(Decided(self.certificate))
        if self.certificate is None:
            stage = self._present()
            if self.voter.state.locks != self._locks:
                self._locks = self.voter.state.locks
                stage.retry()
            stage.advance()
            for other in sorted(stage.questions()):
                self._ask(stage, other)
        self._share_votes()

    def _present(self) -> Stage:
        """The stage of the present epoch and generation, begun if it is new."""
        generation = self._context.generation & self.decision.agents
        place = Place(self.decision.id, self._epoch, generation)
        if self.stage is not None and self.stage.place == place:
            return self.stage
        stage = self.stage = self._stage(place)
        self.starts += 1
        self._context.drawn[self.decision.id] = stage.spread.neighbours
        early, self._early = self._early, {}
        for statement in itertools.chain(*early.values()):
            self._sort(statement)
        if not stage.started and stage.takes_part:
            self._state(stage, self._first(place))
        return stage

    def _stage(self, place: Place) -> Stage:
        return Stage(*self._parts(place))

    def _parts(self, place: Place) -> StageParts:
        """The arguments of a stage."""
        context, decision, patience = self._context, self.decision, self._patience
        return context, decision, place, patience, self._openings, self._locked, self._own

    def _first(self, place: Place) -> Statement:
        """The statement of round 0: the own evidence, or the one outcome that is locked."""
        z, lock = self._opening, 0
        if len(self._begins) == 1:
            (outcome,) = self._begins
            last = max(one.epoch for one in self.voter.state.locks if one.outcome == outcome)
            if last < place.epoch:
                z, lock = self._tree.certain(outcome, self._rules), last
        return Statement(place, self._context.me, 0, 0, b"", Opinions.opening(z), lock)

    def _state(self, stage: Stage, statement: Statement) -> None:
        """Make a statement, and attest the outcome that it settles."""
        stage.state(statement)
        self._advanced = True
        outcome = self._tree.outcome(statement.opinions, self._rules)
        if outcome is not None and self.voter.epoch == statement.place.epoch:
            self.voter.collapsed(outcome)
        self._flush()

    def _sort(self, statement: Statement) -> None:
        """Hand a signed statement to the present stage, or keep it for later."""
        mine, place = self.stage, statement.place
        if mine is None:
            return
        if place == mine.place:
            mine.hear([statement])
        elif place.epoch >= mine.place.epoch and not mine.place.generation & ~place.generation:
            early = self._early.setdefault(statement.author, [])
            early.append(statement)
            del early[:-EARLY]

    def _compare(self, votes: Iterable[Signed]) -> None:
        """Prove that authors voted twice."""
        keys = self._context.genesis.keys
        for vote in votes:
            if self.decision.verify(keys, *vote):
                first = self._double_votes.add(vote, self.voter.epoch)
                if first is not None:
                    both = tuple(sorted([first, vote], key=lambda one: one.vote))
                    self._context.accuse(Proof(Kind.VOTES, self.decision, votes=both))

    def _locked(self, outcome: int, epoch: int) -> bool:
        locks = self.voter.state.locks
        return any(one.outcome == outcome and one.epoch >= epoch for one in locks)

    # Messages

    def _beat(self) -> None:
        stage = self.stage
        if self.certificate is not None or stage is None:
            return
        self._wake(self._rules.beat, BEAT)
        waits = stage.beat()
        self._beats += 1
        self._quiet = 0 if self._advanced else self._quiet + 1
        due = 0 < self._quiet <= HASTE or self._beats % UNPROMPTED == 0
        if self._near and due:
            turn = next(self._turn)
            asked = {self._near[turn % len(self._near)]}
            if waits:
                urgent = stage.sampled or self._quiet > self._rules.grace
                asked |= set(waits) if urgent else {waits[turn % len(waits)]}
            for other in sorted(asked):
                self._ask(stage, other)
        self._advanced = False
        self._answered.clear()
        self._flush()

    def _ask(self, stage: Stage, other: int) -> None:
        history = stage.history
        request = Request(
            self._context.me,
            *stage.place,
            tuple(history.heights(len(self._context.genesis.keys))),
            tuple(stage.doubts(other)[:DOUBTS]),
            self.voter.summary,
        )
        self._context.do(Send(other, request.encoded))

    def _share_votes(self) -> None:
        """Queue new votes for the neighbours, to be sent soon."""
        summary = self.voter.summary
        if self.stage is None or summary.known == self._told.known:
            return
        self.stage.spread.add_votes(self.voter.lacking(self._told))
        self._told = summary
        if not self._flushing:
            self._flushing = True
            self._wake(self._rules.beat / 8, FLUSH)

    def _flush(self) -> None:
        if self.stage is not None:
            for other, statements, votes in self.stage.spread.take():
                self._send(other, statements, votes)
            if self.certificate is not None and not self._flushing:
                self._forget()

    def _forget(self) -> None:
        """The certificate stands for everything that led to it."""
        self._opinions, self.stage = self.opinions, None
        self._openings.clear()
        self._early.clear()
        self._context.drawn.pop(self.decision.id, None)

    def _send(self, other: int, statements: Sequence[Statement], votes: Sequence[Signed]) -> None:
        known = self._acquainted >> other & 1
        bundle = Bundle(
            self._context.me,
            self.decision.id,
            None if known else self.decision,
            tuple(statements),
            tuple(votes),
        )
        self._context.do(Send(other, bundle.encoded))

    def _wake(self, seconds: float, timer: int) -> None:
        self._context.do(SetTimer(seconds, (self.decision.id, timer)))
