"""One agent of a swarm: messages, timers and results in, effects out."""

from collections.abc import Callable, Iterable, Sequence

import cbor2

from tmesh.agent import message as messages
from tmesh.agent.context import Context, Memo
from tmesh.agent.deliberation import Deliberation
from tmesh.agent.effects import Effect, Persist, Send
from tmesh.agent.message import Bundle, Exposure, Request
from tmesh.agent.opinion import tree
from tmesh.agent.proof import Proof
from tmesh.agent.records import Record, RecordKind
from tmesh.errors import InvalidInput, InvalidProof
from tmesh.finality import Certificate, Decision
from tmesh.finality.encoding import bits
from tmesh.genesis import Genesis
from tmesh.ledger import Signer
from tmesh.ledger.encoding import array, loaded, number

#: Decisions that one agent opens for another at the same time.
OPEN = 64

#: The most bytes of a record of an opening.
LARGEST = 1 << 20

#: Evidence about a decision: probabilities of its outcomes, in the order of its labels.
Evidence = Callable[[Decision], Sequence[float]]


def undecided(decision: Decision) -> list[float]:
    """The same probability for every outcome."""
    return [1 / len(decision.labels)] * len(decision.labels)


class Agent:
    """The agent of `signer` in the swarm of `genesis`.

    It has no clock, socket, disk or device. Each call returns a list of effects, and the host
    carries them out in order (`tmesh.agent.effects`). Messages that break a rule change nothing and
    are counted in `refused`.

    evidence: the agent's belief about a decision that another agent opened; default undecided.
    memo: shared by honest agents of one process, for speed. records: of an earlier life, for an
    agent that restarts.
    """

    def __init__(
        self,
        genesis: Genesis,
        signer: Signer,
        evidence: Evidence = undecided,
        *,
        self_check: bool = True,
        memo: Memo | None = None,
        records: Iterable[bytes] = (),
    ) -> None:
        if genesis.signer(signer.author, signer.secret).swarm != signer.swarm:
            signer = signer.within(genesis.id)
        self._context = Context(genesis, signer, memo or Memo(), self_check)
        self._evidence = evidence
        self._open: dict[bytes, Deliberation] = {}
        self._opener: dict[bytes, int] = {}
        self._records = [Record.decode(one) for one in records]
        self._generation = 0
        for record in self._records:
            if record.kind == RecordKind.PROOF:
                proof = Proof.decode(record.body)
                proof.verify(genesis)
                self._context.proofs[proof.author] = proof

    @property
    def me(self) -> int:
        """The agent's number."""
        return self._context.me

    @property
    def excluded(self) -> int:
        """The agents with a proof against them, as the bits of a number."""
        return self._context.generation

    @property
    def proofs(self) -> dict[int, Proof]:
        """One proof for each of them."""
        return dict(self._context.proofs)

    @property
    def refused(self) -> int:
        """Messages, statements and votes that broke a rule, and that it left out."""
        return self._context.refused

    @property
    def deliberations(self) -> dict[bytes, Deliberation]:
        """The state of each decision, by its id."""
        return dict(self._open)

    @property
    def certificates(self) -> dict[bytes, Certificate]:
        """The final certificates, by the ids of their decisions."""
        return {
            name: one.certificate for name, one in self._open.items() if one.certificate is not None
        }

    def start(self) -> list[Effect]:
        """Open again all decisions of the records; nothing for a new agent."""
        for record in self._records:
            if record.kind == RecordKind.OPENING and record.decision not in self._open:
                fields, z = array("opening", loaded(record.body, LARGEST), 2)
                self._begin(Decision.read(fields), _opening(z), self.me)
        return self._done()

    def open(self, decision: Decision, evidence: Sequence[float] | None = None) -> list[Effect]:
        """Open a decision with own evidence, the probabilities of its outcomes.

        An agent states evidence once: for a decision that is open it has no effect. Raises
        `InvalidInput` for a decision without labels, or in which the agent has no part.
        """
        if decision.id not in self._open:
            self._join(decision, evidence, self.me)
        return self._done()

    def receive(self, message: bytes) -> list[Effect]:
        """Act on a message."""
        try:
            self._receive(messages.decode(message))
        except InvalidInput:
            self._context.refused += 1
        return self._done()

    def expire(self, timer: tuple[bytes, int]) -> list[Effect]:
        """Act on a timer."""
        decision, number = timer
        if decision in self._open:
            self._open[decision].expire(number)
        return self._done()

    def computed(self, token: bytes, results: Sequence[int]) -> list[Effect]:
        """Act on the results of a `Compute`."""
        decision, name = token[:32], token[32:]
        if decision in self._open:
            self._open[decision].computed(name, tuple(results))
        return self._done()

    def _receive(self, message: messages.Message) -> None:
        match message:
            case Bundle(sender, decision, description):
                if decision not in self._open:
                    if description is None:
                        return
                    if self._opened_by(sender) >= OPEN:
                        raise InvalidInput(f"decision: agent {sender} opened {OPEN}")
                    self._join(description, None, sender)
                self._open[decision].hear(message)
            case Request(sender, decision, _, generation):
                for author in bits(self.excluded & ~generation):
                    exposure = Exposure(self.me, self._context.proofs[author])
                    self._context.do(Send(sender, exposure.encoded))
                if decision in self._open:
                    self._open[decision].answer(message)
            case Exposure(sender, proof):
                try:
                    self._context.expose(proof, sender)
                except InvalidProof:
                    self._context.refused += 1

    def _opened_by(self, sender: int) -> int:
        """How many open decisions an agent brought here."""
        return sum(
            opener == sender and self._open[name].certificate is None
            for name, opener in self._opener.items()
        )

    def _join(self, decision: Decision, evidence: Sequence[float] | None, opener: int) -> None:
        if len(decision.labels) < 2:
            raise InvalidInput("decision: it has no labels")
        if not decision.agents >> self.me & 1:
            raise InvalidInput(f"decision: agent {self.me} has no part in it")
        if decision.agents >> len(self._context.genesis.keys):
            raise InvalidInput("decision: it is of agents without keys")
        some = self._evidence(decision) if evidence is None else evidence
        z = tree(len(decision.labels)).opening(some, self._context.genesis.rules)
        body = cbor2.dumps([decision.fields, list(z)], canonical=True)
        self._context.do(Persist(Record(RecordKind.OPENING, decision.id, body).encoded))
        self._begin(decision, z, opener)

    def _begin(self, decision: Decision, z: tuple[int, ...], opener: int) -> None:
        if len(z) != len(tree(len(decision.labels)).branchings):
            raise InvalidInput(f"opening: {len(z)} opinions of {len(decision.labels)} outcomes")
        records = [one for one in self._records if one.decision == decision.id]
        self._opener[decision.id] = opener
        self._open[decision.id] = self._deliberation(decision, z, records)

    def _deliberation(
        self, decision: Decision, z: tuple[int, ...], records: list[Record]
    ) -> Deliberation:
        return Deliberation(self._context, decision, z, records)

    def _done(self) -> list[Effect]:
        """Let every decision know of new proofs, and hand over the effects."""
        while self._generation != self.excluded:
            self._generation = self.excluded
            for deliberation in self._open.values():
                deliberation.exclude()
        self._context.memo.trim()
        effects = self._context.effects.copy()
        self._context.effects.clear()
        return effects


def _opening(z: object) -> tuple[int, ...]:
    limit = 1 << 16
    return tuple(number("z", one, least=-limit, below=limit + 1) for one in array("opening", z))
