"""One agent's part in one decision: the rules, with keys, signatures and a journal."""

import dataclasses
from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

import cbor2

from tmesh.errors import InvalidInput
from tmesh.finality.certificate import Certificate, Decision
from tmesh.finality.encoding import (
    LARGEST,
    bits,
    fields,
    loaded,
    number,
    octets,
    packed,
    unpacked,
)
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
from tmesh.ledger import Journal, KeySet, Signer
from tmesh.ledger.journal import LARGEST as LARGEST_RECORD
from tmesh.ledger.keys import SIGNATURE_BYTES


class Signed(NamedTuple):
    """A vote with its author and his signature."""

    author: int
    vote: Vote
    signature: bytes


def pack(votes: Iterable[Signed]) -> bytes:
    """The bytes of votes on air: each vote once, ascending, with its authors as a bitmap and their
    signatures in order."""
    by_vote: dict[Vote, dict[int, bytes]] = {}
    for author, vote, signature in votes:
        by_vote.setdefault(vote, {})[author] = signature
    parts = []
    for vote, signed in sorted(by_vote.items()):
        signatures = b"".join(signed[author] for author in sorted(signed))
        parts.append([*map(int, vote), packed(sum(1 << author for author in signed)), signatures])
    return cbor2.dumps(parts, canonical=True)


def unpack(data: bytes) -> list[Signed]:
    """Votes from their bytes, exactly those that `pack` gives. Raises ``ValueError`` for others."""
    votes = []
    for one in loaded(data):
        act, epoch, outcome, authors, signatures = fields(one, 5)
        vote, signers = Vote(Act(number(act)), number(epoch), number(outcome)), unpacked(authors)
        if len(octets(signatures)) != SIGNATURE_BYTES * signers.bit_count():
            raise InvalidInput(f"{signers.bit_count()} signers, but {len(signatures)} bytes")
        for place, author in enumerate(bits(signers)):
            first = place * SIGNATURE_BYTES
            votes.append(Signed(author, vote, signatures[first : first + SIGNATURE_BYTES]))
    if pack(votes) != data:
        raise InvalidInput("the encoding is not canonical")
    return votes


@dataclasses.dataclass(frozen=True)
class Summary:
    """What an agent knows: signers of each vote, as the bits of a number."""

    known: tuple[tuple[Vote, int], ...]

    def has(self, vote: Vote) -> int:
        """Agents whose signature of a vote it has, or one that says as much: that they are in a
        later epoch."""
        there = 0
        for known, signers in self.known:
            if known == vote or (known.act == vote.act == Act.ENTER and known.epoch > vote.epoch):
                there |= signers
        return there

    @cached_property
    def encoded(self) -> bytes:
        """Its bytes on air: deterministic CBOR."""
        parts = [[*map(int, vote), packed(signers)] for vote, signers in self.known]
        return cbor2.dumps(parts, canonical=True)

    @classmethod
    def decode(cls, data: bytes) -> "Summary":
        """From its bytes. Raises ``ValueError`` for others."""
        known = []
        for one in loaded(data):
            act, epoch, outcome, signers = fields(one, 4)
            vote = Vote(Act(number(act)), number(epoch), number(outcome))
            known.append((vote, unpacked(signers)))
        return cls(tuple(known))


class Voter:
    """Runs `Rules` for the agent of `signer`, keeps everyone's signatures, and counts none that
    does not verify.

    Replies are left in `replies` for who drives it: `Begin`, `Start` and `Final`. An own signature
    is in the `journal` before anyone can ask for it; who starts again with the same journal goes on
    where it was, with what it has signed and nothing else. A journal is of one decision.
    """

    def __init__(
        self,
        decision: Decision,
        keys: KeySet,
        signer: Signer,
        outcomes: int = 2,
        journal: Journal | None = None,
    ) -> None:
        self.decision, self._keys, self._signer, self._journal = decision, keys, signer, journal
        self.me, self._outcomes = signer.author, outcomes
        if not decision.agents >> self.me & 1:
            raise InvalidInput(f"signer: agent {self.me} has no part in the decision")
        if journal is not None and decision.quorum * SIGNATURE_BYTES > LARGEST_RECORD // 2:
            raise InvalidInput(f"journal: {decision.quorum} signatures do not fit into a record")
        self._rules = Rules(self.me, decision.agents, decision.faults)
        self._signatures: dict[Vote, dict[int, bytes]] = {}
        self._said: dict[tuple[int, Act, int], set[int]] = {}
        self.certificate: Certificate | None = None
        self.replies: list[Reply] = []
        own = self._restored()
        self.state, replies = self._rules.resume(own)
        self._act(replies)
        self._forget_entries()
        if self.certificate is not None:
            self.state = dataclasses.replace(self.state, final=self.certificate.vote)
            self.replies.clear()

    @property
    def epoch(self) -> int:
        """The epoch that the agent is in."""
        return self.state.epoch

    @property
    def tombstones(self) -> list[Vote]:
        """Its own attestations of what has lost, once a decision is final; they stay signed."""
        final = self.state.final
        if final is None:
            return []
        return sorted(
            vote
            for vote, signed in self._signatures.items()
            if vote.act == Act.ATTEST and vote.outcome != final.outcome and self.me in signed
        )

    def collapsed(self, outcome: int) -> None:
        """The agent's opinion settled on an outcome, in its present epoch."""
        self._step(Collapsed(self.epoch, outcome))

    def expired(self, epoch: int) -> None:
        """The clock of an epoch has run out."""
        self._step(Expired(epoch))

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
                new.setdefault(vote, {})[author] = signature
            else:
                refused += 1
        for vote, signed in sorted(new.items()):
            if len(signed) < self.decision.quorum:
                signed = {author: one for author, one in signed.items() if self._room(author, vote)}
            near = vote.act == Act.ENTER or vote.epoch <= self.epoch + HORIZON
            if near or len(signed) >= self.decision.quorum:
                self._store(vote, signed)
            self._step(Heard(vote, sum(1 << author for author in signed)))
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
        return Summary(self.state.tallies)

    def lacking(self, summary: Summary, limit: int | None = None) -> list[Signed]:
        """Signatures that the author of a summary does not have, at most `limit` of them, those of
        epochs near one's own first, one's own before those of others; once all is final, only those
        that make it so, and all of them."""
        if self.certificate is not None:
            vote, has = self.certificate.vote, summary.has(self.certificate.vote)
            signed = self.certificate.signed
            return [
                Signed(author, vote, signed[author]) for author in signed if not has >> author & 1
            ]

        def urgency(vote: Vote) -> tuple[int, int]:
            return abs(vote.epoch - self.epoch), -vote.act

        missing, everyone = list[Signed](), self.decision.agents.bit_length()
        for vote in sorted(self._signatures, key=urgency):
            signed, has = self._signatures[vote], summary.has(vote)
            authors = [author for author in signed if not has >> author & 1]
            authors.sort(key=lambda author: (author - self.me) % everyone)
            missing += [Signed(author, vote, signed[author]) for author in authors]
            if limit is not None and len(missing) >= limit:
                return missing[:limit]
        return missing

    # The rules' replies

    def _sensible(self, vote: Vote) -> bool:
        outcomes = 1 if vote.act == Act.ENTER else self._outcomes
        return 0 < vote.epoch < LARGEST and 0 <= vote.outcome < outcomes

    def _room(self, author: int, vote: Vote) -> bool:
        """Whether to keep another vote of this act and epoch by an author: two outcomes show that
        he lies, and the honest need none of his."""
        if vote.act == Act.ENTER:
            return True
        said = self._said.setdefault((author, vote.act, vote.epoch), set())
        if len(said) < 2:
            said.add(vote.outcome)
        return vote.outcome in said

    def _store(self, vote: Vote, signed: dict[int, bytes]) -> None:
        if signed:
            self._signatures.setdefault(vote, {}).update(signed)

    def _forget_entries(self) -> None:
        """Of who entered which epoch, keep the signatures that the rules still count."""
        for vote in [one for one in self._signatures if one.act == Act.ENTER]:
            signers = self.state.signers(vote)
            signed = self._signatures.pop(vote)
            kept = {author: one for author, one in signed.items() if signers >> author & 1}
            if kept:
                self._signatures[vote] = kept

    def _step(self, message: Message) -> None:
        self.state, replies = self._rules.step(self.state, message)
        self._act(replies)
        self._forget_entries()

    def _act(self, replies: Iterable[Reply]) -> None:
        for reply in replies:
            match reply:
                case Sign(vote):
                    signature = self.decision.sign(self._signer, vote)
                    self._keep([int(vote.act), vote.epoch, vote.outcome, signature])
                    self._store(vote, {self.me: signature})
                case Final(vote):
                    signed = self._signatures[vote]
                    self.certificate = Certificate.of(self.decision, vote, signed)
                    self._keep(self.certificate.encoded)
                    self.replies.append(reply)
                case _:
                    self.replies.append(reply)

    def _keep(self, record: list[int | bytes] | bytes) -> None:
        if self._journal is not None:
            self._journal.append(cbor2.dumps(record, canonical=True))

    def _restored(self) -> list[Vote]:
        """Own votes and the final certificate from the journal. Raises ``ValueError`` for one of
        another decision, or another agent."""
        own = []
        for record in self._journal.records if self._journal is not None else ():
            value = cbor2.loads(record)
            if isinstance(value, bytes):
                self.certificate = Certificate.decode(value)
                if self.certificate.decision != self.decision:
                    raise InvalidInput("journal: it is of another decision")
            else:
                act, epoch, outcome, signature = value
                vote = Vote(Act(act), epoch, outcome)
                if not self.decision.verify(self._keys, self.me, vote, signature):
                    raise InvalidInput("journal: it is of another decision, or of another agent")
                self._store(vote, {self.me: signature})
                own.append(vote)
        return own
