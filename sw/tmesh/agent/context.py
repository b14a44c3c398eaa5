"""State that the parts of one agent share: its swarm, its key, its proofs."""

import dataclasses
from pathlib import Path

from tmesh.agent.effects import Effect, Exposed, Failed, Persist, Send
from tmesh.agent.history import Entry
from tmesh.agent.message import Exposure
from tmesh.agent.proof import Proof
from tmesh.agent.records import Record, RecordKind
from tmesh.errors import InvalidProof
from tmesh.genesis import Genesis
from tmesh.ledger import Signer

#: Verdicts and entries are forgotten, all together, beyond so many.
REMEMBERED = 1 << 16


@dataclasses.dataclass
class Memo:
    """Results about statements that depend on their bytes alone, by the statement's id.

    Many agents in one process share a memo, so that each statement is checked once for all. An
    agent that runs by itself has its own.
    """

    audits: dict[bytes, bool] = dataclasses.field(default_factory=dict)
    entries: dict[bytes, Entry] = dataclasses.field(default_factory=dict)

    def trim(self) -> None:
        """Forget everything if it became too much: it only costs time."""
        if len(self.entries) > REMEMBERED:
            self.audits.clear()
            self.entries.clear()


@dataclasses.dataclass
class Context:
    """State that the parts of one agent share.

    - effects: for its host, in order. The agent hands them over at the end of each call.
    - proofs: one for each agent that it excludes.
    - drawn: its drawn neighbours in each open decision.
    - failed: whether its device was found broken.
    - refused: messages, statements and votes that broke a rule.
    """

    genesis: Genesis
    signer: Signer
    memo: Memo
    self_check: bool = True
    effects: list[Effect] = dataclasses.field(default_factory=list)
    proofs: dict[int, Proof] = dataclasses.field(default_factory=dict)
    drawn: dict[bytes, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    failed: bool = False
    refused: int = 0

    @property
    def me(self) -> int:
        """The agent's number."""
        return self.signer.author

    @property
    def generation(self) -> int:
        """The excluded agents, as the bits of a number."""
        return sum(1 << author for author in self.proofs)

    def do(self, effect: Effect) -> None:
        """One more effect."""
        self.effects.append(effect)

    def expose(self, proof: Proof, source: int | None = None) -> None:
        """Exclude the author of a proof, and send the proof over all drawn links but that to its
        `source`. Agents beyond ask for it when they see the generation in a request.

        Raises `InvalidProof` for one that shows nothing. If this agent made it, its device is
        wrong; see `fail`.
        """
        if proof.author in self.proofs:
            return
        proof.verify(self.genesis)
        self.proofs[proof.author] = proof
        self.do(Persist(Record(RecordKind.PROOF, proof.decision.id, proof.encoded).encoded))
        self.do(Exposed(proof))
        message = Exposure(self.me, proof).encoded
        for other in sorted(set().union(*self.drawn.values()) - {source, proof.author}):
            self.do(Send(other, message))

    def accuse(self, proof: Proof) -> None:
        """`expose` an own proof. An audit that the integer model contradicts shows a broken device
        of this agent."""
        try:
            self.expose(proof)
        except InvalidProof as error:
            self.fail(f"an audit was wrong: {error}")

    def fail(self, reason: str) -> None:
        """The device is broken: make no more statements."""
        if not self.failed:
            self.failed = True
            self.do(Failed(reason))


class VoterJournal:
    """A voter's journal within an agent's: `records` from before, and new ones as effects."""

    path = Path("journal of an agent")

    def __init__(self, context: Context, head: bytes, records: list[bytes]) -> None:
        self._context, self._head, self.records = context, head, records

    def append(self, record: bytes) -> None:
        """Write one record."""
        self._context.do(Persist(self._head + record))
