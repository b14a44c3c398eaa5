"""One agent's part in one decision: the rules, with keys, signatures and a journal."""

import dataclasses
import itertools
from collections.abc import Container, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import cbor2

from tmesh.errors import CorruptJournal, InvalidInput
from tmesh.finality.certificate import Certificate, Decision
from tmesh.finality.encoding import AGENTS, BYTES, bitmap, bits, packed, unpacked
from tmesh.finality.rules import (
    HORIZON,
    Act,
    Collapsed,
    Expired,
    Final,
    Heard,
    Message,
    Reply,
    Rules,
    Sign,
    Vote,
)
from tmesh.ledger import KeySet, Signer
from tmesh.ledger.encoding import array, loaded, number, octets
from tmesh.ledger.journal import LARGEST as LARGEST_RECORD
from tmesh.ledger.keys import SIGNATURE_BYTES

#: Different votes that a voter counts at once: one record of a journal has room for their effects.
TOGETHER = 32


class VoteJournal(Protocol):
    """The part of a journal that a voter needs: `tmesh.ledger.Journal`, or a part of an agent's."""

    path: Path
    records: list[bytes]

    def append(self, record: bytes) -> None:
        """Write a record, so that it is on disk before anything else that the caller does."""


class Signed(NamedTuple):
    """A vote with its author and its author's signature."""

    author: int
    vote: Vote
    signature: bytes


def pack(votes: Iterable[Signed]) -> bytes:
    """The bytes of votes on air: each vote once, ascending, with its authors as a bitmap and their
    signatures in order. Raises ``ValueError`` for votes that `unpack` would refuse."""
    by_vote: dict[Vote, dict[int, bytes]] = {}
    for author, vote, signature in votes:
        author = number("author", author, below=AGENTS)
        signature = octets("signature", signature, SIGNATURE_BYTES)
        by_vote.setdefault(Vote.checked(*vote), {})[author] = signature
    parts = []
    for vote, signed in sorted(by_vote.items()):
        signatures = b"".join(signed[author] for author in sorted(signed))
        parts.append([*map(int, vote), packed(bitmap(signed)), signatures])
    return octets("votes", cbor2.dumps(parts, canonical=True), most=BYTES)


def unpack(data: bytes) -> list[Signed]:
    """Votes from their bytes, exactly those that `pack` gives. Raises ``ValueError`` for others."""
    votes = []
    for one in array("votes", loaded(data, BYTES)):
        *vote, authors, signatures = array("vote", one, 5)
        signers = unpacked("authors", authors)
        octets("signatures", signatures, SIGNATURE_BYTES * signers.bit_count())
        for place, author in enumerate(bits(signers)):
            first = place * SIGNATURE_BYTES
            signature = signatures[first : first + SIGNATURE_BYTES]
            votes.append(Signed(author, Vote.checked(*vote), signature))
    if pack(votes) != data:
        raise InvalidInput("votes: the encoding is not canonical")
    return votes


@dataclasses.dataclass(frozen=True)
class Summary:
    """The signers of each vote that an agent knows, as the bits of a number; votes ascend. Raises
    ``ValueError`` for fields that `decode` would refuse."""

    known: tuple[tuple[Vote, int], ...]

    def __post_init__(self) -> None:
        known = []
        for one in array("summary", self.known):
            vote, signers = array("summary", one, 2)
            signers = number("signers", signers, least=1, below=1 << AGENTS)
            known.append((Vote.checked(*array("vote", vote, 3)), signers))
        if any(a[0] >= b[0] for a, b in itertools.pairwise(known)):
            raise InvalidInput("summary: votes are not in order, or twice")
        object.__setattr__(self, "known", tuple(known))

    def has(self, vote: Vote) -> int:
        """Agents whose signature of a vote it has, or one that says as much: that they are in a
        later epoch."""
        if vote.act == Act.ENTER:
            return self.reached([vote.epoch], acts=(Act.ENTER,))[vote.epoch]
        return self._signers.get(vote, 0)

    def reached(
        self, epochs: Iterable[int], agents: int = -1, acts: Container[Act] = tuple(Act)
    ) -> dict[int, int]:
        """For each of some epochs those `agents` of which it has a vote of that epoch or a later
        one, an act of `acts`. It takes one pass for all epochs."""
        there, reached = 0, dict[int, int]()
        left = self._falling
        place = 0
        for epoch in sorted(epochs, reverse=True):
            while place < len(left) and left[place][0].epoch >= epoch:
                vote, signers = left[place]
                if vote.act in acts:
                    there |= signers & agents
                place += 1
            reached[epoch] = there
        return reached

    @cached_property
    def _signers(self) -> dict[Vote, int]:
        return dict(self.known)

    @cached_property
    def _falling(self) -> list[tuple[Vote, int]]:
        return sorted(self.known, key=lambda one: one[0].epoch, reverse=True)

    @cached_property
    def encoded(self) -> bytes:
        """Its bytes on air: deterministic CBOR."""
        parts = [[*map(int, vote), packed(signers)] for vote, signers in self.known]
        return cbor2.dumps(parts, canonical=True)

    @classmethod
    def decode(cls, data: bytes) -> "Summary":
        """From its bytes, exactly those that `encoded` gives. Raises ``ValueError`` for others."""
        known = []
        for one in array("summary", loaded(data, BYTES)):
            *vote, signers = array("summary", one, 4)
            known.append((Vote(*vote), unpacked("signers", signers)))
        summary = cls(tuple(known))
        if summary.encoded != data:
            raise InvalidInput("summary: the encoding is not canonical")
        return summary


class Voter:
    """Runs `Rules` for the agent of `signer`, keeps the signatures of all agents, and
    counts none that does not verify.

    The caller acts on the replies in `replies`: `Begin`, `Start` and `Final`. An own signature
    is in the `journal` before another agent can ask for it. An agent that starts again with the
    same journal has all that it signed, and the proof of its last commit. A journal is of one
    decision.

    A call computes its effects, writes them in one record, and only then changes anything. So if it
    raises ``OSError``, the voter is as before, and the same call works when the disk does again.
    `hear` does this for every 32 different votes; the same call continues after the last of them.
    """

    def __init__(
        self,
        decision: Decision,
        keys: KeySet,
        signer: Signer,
        journal: VoteJournal | None = None,
    ) -> None:
        self.decision, self._keys, self._signer, self._journal = decision, keys, signer, journal
        self.me = signer.author
        if not decision.agents >> self.me & 1:
            raise InvalidInput(f"signer: agent {self.me} has no part in the decision")
        if decision.agents >> len(keys):
            raise InvalidInput(f"decision: agents without keys, there are {len(keys)}")
        if keys[self.me] != signer.public:
            raise InvalidInput(f"signer: its key is not that of agent {self.me}")
        if keys.swarm != signer.swarm:
            raise InvalidInput("signer: it signs for another swarm")
        proof = decision.quorum * SIGNATURE_BYTES + len(packed(decision.agents))
        proof += len(cbor2.dumps(decision.fields))
        if journal is not None and proof > LARGEST_RECORD // 2:  # the other half is for votes
            raise InvalidInput(f"journal: a proof of {proof} bytes does not fit into a record")
        self._rules = Rules(self.me, decision.agents, decision.faults)
        self._signatures: dict[Vote, dict[int, bytes]] = {}
        self.certificate: Certificate | None = None
        self.replies: list[Reply] = []
        own, certificates = self._restored()
        self.state, replies = self._rules.resume(own)
        self._summary = self.state, Summary(self.state.tallies)  # of the state at hand
        final = next((one for one in certificates if one.final), None)
        if final is not None:
            self._end(final)
            return
        draft = _Draft(self)
        draft.act(replies)
        for lock in certificates:
            draft.hear(lock.vote, lock.signed)
        self._adopt(draft)

    @property
    def epoch(self) -> int:
        """The epoch that the agent is in."""
        return self.state.epoch

    @property
    def tombstones(self) -> list[Vote]:
        """Its own attestations of outcomes that lost, once a decision is final. They stay signed;
        those of epochs far from the last one are left out."""
        final = self.state.final
        if final is None:
            return []
        return sorted(
            vote
            for vote, signed in self._signatures.items()
            if vote.act == Act.ATTEST and vote.outcome != final.outcome and self.me in signed
        )

    def collapsed(self, outcome: int) -> None:
        """The agent's opinion settled on an outcome, in its present epoch. Raises ``ValueError``
        for an outcome that this decision cannot have."""
        vote = self.decision.checked((Act.ATTEST, self.epoch, outcome))
        self._step(Collapsed(vote.epoch, vote.outcome))

    def expired(self, epoch: int) -> None:
        """The clock of an epoch has run out."""
        self._step(Expired(number("epoch", epoch)))

    def hear(self, heard: Iterable[Signed]) -> int:
        """Count votes of others; how many were refused, as they say nothing or their signatures do
        not hold."""
        if self.state.final is not None:
            return 0
        refused, new = 0, dict[Vote, dict[int, bytes]]()
        for author, vote, signature in heard:
            if author in self._signatures.get(vote, ()):
                continue
            if self._sensible(vote) and self.decision.verify(self._keys, author, vote, signature):
                new.setdefault(self.decision.checked(vote), {})[author] = signature
            else:
                refused += 1
        votes = sorted(new.items())
        for first in range(0, len(votes), TOGETHER):
            draft = _Draft(self)
            for vote, signed in votes[first : first + TOGETHER]:
                draft.hear(vote, signed)
            self._adopt(draft)
        return refused

    def settle(self, certificate: Certificate) -> None:
        """Take over what others have made final.

        Raises `InvalidCertificate` if it does not hold, ``ValueError`` if it is another decision's,
        or not final.
        """
        if certificate.decision != self.decision:
            raise InvalidInput("certificate: it is of another decision")
        if not (certificate.final and self._sensible(certificate.vote)):
            raise InvalidInput("certificate: it makes no outcome of this decision final")
        certificate.verify(self._keys)
        vote = certificate.vote
        self.hear(Signed(author, vote, one) for author, one in certificate.signed.items())

    @property
    def summary(self) -> Summary:
        """Whose signatures it has."""
        state, summary = self._summary
        if state is not self.state:
            summary = Summary(self.state.tallies)
            self._summary = self.state, summary
        return summary

    def lacking(self, summary: Summary, limit: int | None = None) -> list[Signed]:
        """Signatures that the author of a summary lacks, at most `limit` of them. First come those
        that show an agent in a later epoch than the summary does. Those of near epochs come before
        others, and an agent's own before those of others. Once the decision is final, these are
        the signatures of its certificate, all of them, or none if the other side has a certificate.
        The proof of an old lock goes as a whole, in addition: an agent that is far from its epoch
        counts no part of it."""
        if self.certificate is not None:
            return self._final_proof(self.certificate, summary)
        missing = self._old_proof(summary)
        proof = missing[0].vote if missing else None
        first, later = list[Signed](), list[Signed]()
        epochs, agents = {vote.epoch for vote in self._signatures}, self.decision.agents
        entered = summary.reached(epochs, agents, (Act.ENTER,))
        reached = summary.reached(epochs, agents)

        def urgency(vote: Vote) -> tuple[int, int]:
            return abs(vote.epoch - self.epoch), -vote.act

        for vote in sorted(self._signatures.keys() - {proof}, key=urgency):
            signed, known = self._signatures[vote], reached[vote.epoch]
            has = entered[vote.epoch] if vote.act == Act.ENTER else summary.has(vote)
            authors = [author for author in signed if not has >> author & 1]
            authors.sort(key=lambda author: (author - self.me) % agents.bit_length())
            for author in authors:
                # A far vote counts as entry, and no summary says that it is known. Sorted by
                # urgency alone, the same few votes would fill every message.
                some = later if known >> author & 1 else first
                some.append(Signed(author, vote, signed[author]))
        return missing + (first + later)[:limit]

    def _final_proof(self, certificate: Certificate, summary: Summary) -> list[Signed]:
        """The signatures of a final certificate that the other side lacks, none if it has one."""
        agents, quorum = self.decision.agents, self.decision.quorum
        for known, signers in summary.known:
            if known.act == Act.COMMIT and (signers & agents).bit_count() >= quorum:
                return []
        vote, has = certificate.vote, summary.has(certificate.vote)
        signed = certificate.signed
        return [Signed(author, vote, signed[author]) for author in signed if not has >> author & 1]

    def _old_proof(self, summary: Summary) -> list[Signed]:
        """The signatures of the highest lock, if it is old and the other side has no later one."""
        last = max(self.state.locks, default=None)
        if last is None or last.epoch > self.epoch - HORIZON // 2:
            return []
        vote = Vote(Act.ATTEST, *last)
        signed = self._signatures.get(vote, {})
        later = any(
            known.act == Act.ATTEST
            and known.epoch >= last.epoch
            and signers.bit_count() >= self.decision.quorum
            for known, signers in summary.known
        )
        if later or len(signed) < self.decision.quorum:
            return []
        return [Signed(author, vote, signed[author]) for author in sorted(signed)]

    def _sensible(self, vote: Vote) -> bool:
        try:
            self.decision.checked(vote)
        except InvalidInput:
            return False
        return True

    def _step(self, message: Message) -> None:
        draft = _Draft(self)
        draft.step(message)
        self._adopt(draft)

    def _adopt(self, draft: "_Draft") -> None:
        """Write what is new in a draft, and then let it be so. All that can fail comes before."""
        record, counted = draft.record(), draft.counted()
        if record is not None and self._journal is not None:
            self._journal.append(record)
        self.state, self.certificate = draft.state, draft.certificate
        self._signatures = counted
        self.replies += draft.replies

    def _end(self, final: Certificate) -> None:
        """Start again with a decision that was final."""
        tallies = dict(self.state.tallies)
        tallies[final.vote] = tallies.get(final.vote, 0) | final.signers
        known = tuple(sorted(tallies.items()))
        self.state = dataclasses.replace(self.state, tallies=known, final=final.vote)
        self.certificate = final
        draft = _Draft(self)
        draft.store(final.vote, final.signed)
        self._signatures = draft.counted()

    def _restored(self) -> tuple[list[Vote], list[Certificate]]:
        """Own votes and the certificates from the journal. Raises ``ValueError`` for one of another
        decision, or another agent."""
        own, certificates = [], []
        for record in self._journal.records if self._journal is not None else ():
            try:
                votes, proof = array("record", loaded(record, LARGEST_RECORD), 2)
                signed = [(self.decision.checked(one[:3]), one[3]) for one in votes]
                certificate = Certificate.decode(proof) if proof else None
            except (ValueError, TypeError, LookupError) as error:
                path = self._journal.path if self._journal is not None else ""
                raise CorruptJournal(f"{path}: no journal of a voter: {error}") from None
            for vote, signature in signed:
                if not self.decision.verify(self._keys, self.me, vote, signature):
                    raise InvalidInput("journal: it is of another decision, or of another agent")
                self._signatures.setdefault(vote, {})[self.me] = signature
                own.append(vote)
            if certificate is not None:
                if certificate.decision != self.decision:
                    raise InvalidInput("journal: it is of another decision")
                certificate.verify(self._keys)
                certificates.append(certificate)
        return own, certificates


class _Draft:
    """A voter's next state, until the journal has it.

    The record has the new signatures, and the proof of the last commit or of the final vote. A
    killed agent can still show that proof to agents that are bound to another lock.
    """

    def __init__(self, voter: Voter) -> None:
        self._voter, self._rules = voter, voter._rules
        self.state, self.certificate = voter.state, voter.certificate
        self.signatures = dict(voter._signatures)
        self.replies: list[Reply] = []
        self._votes: list[Sequence[int | bytes]] = []
        self._proof: Certificate | None = None

    def hear(self, vote: Vote, signed: dict[int, bytes]) -> None:
        """Count signatures that hold."""
        self.store(vote, signed)
        self.step(Heard(vote, bitmap(signed)))

    def store(self, vote: Vote, signed: dict[int, bytes]) -> None:
        """Keep signatures that hold."""
        self.signatures[vote] = {**self.signatures.get(vote, {}), **signed}

    def step(self, message: Message) -> None:
        """Follow the rules."""
        self.state, replies = self._rules.step(self.state, message)
        self.act(replies)

    def act(self, replies: Iterable[Reply]) -> None:
        """Sign votes, and collect the proof of each commit."""
        for reply in replies:
            match reply:
                case Sign(vote):
                    signature = self._voter.decision.sign(self._voter._signer, vote)
                    self._votes.append([*map(int, vote), signature])
                    self.store(vote, {self._voter.me: signature})
                    if vote.act == Act.COMMIT:
                        self._prove(vote._replace(act=Act.ATTEST))
                case Final(vote):
                    self.certificate = self._prove(vote)
                    self.replies.append(reply)
                case _:
                    self.replies.append(reply)

    def record(self) -> bytes | None:
        """The record for a journal, None if no vote or proof is new."""
        if not self._votes and self._proof is None:
            return None
        proof = b"" if self._proof is None else self._proof.encoded
        return cbor2.dumps([self._votes, proof], canonical=True)

    def counted(self) -> dict[Vote, dict[int, bytes]]:
        """The signatures that the rules count, and no others."""
        counted, tallies = {}, dict(self.state.tallies)
        for vote, signed in self.signatures.items():
            signers = tallies.get(vote, 0)
            if vote.act == Act.ENTER or signers.bit_count() != len(signed):
                signed = {author: one for author, one in signed.items() if signers >> author & 1}
            if signed:
                counted[vote] = signed
        return counted

    def _prove(self, vote: Vote) -> Certificate:
        proof = Certificate.of(self._voter.decision, vote, self.signatures[vote])
        self._proof = proof
        return proof
