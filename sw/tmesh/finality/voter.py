"""One agent's part in one decision: the rules, with keys, signatures and a journal."""

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

import cbor2

from tmesh.finality.certificate import Certificate, Decision, bits, packed
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
from tmesh.ledger.keys import SIGNATURE_BYTES


class Signed(NamedTuple):
    """A vote with its author and his signature."""

    author: int
    vote: Vote
    signature: bytes


def pack(votes: Iterable[Signed]) -> bytes:
    """The bytes of votes on air: each vote once, with its authors as a bitmap and their signatures
    in order."""
    by_vote: dict[Vote, dict[int, bytes]] = {}
    for author, vote, signature in votes:
        by_vote.setdefault(vote, {})[author] = signature
    fields = [
        [
            *map(int, vote),
            packed(sum(1 << author for author in signed)),
            b"".join(signed[author] for author in sorted(signed)),
        ]
        for vote, signed in by_vote.items()
    ]
    return cbor2.dumps(fields, canonical=True)


def unpack(data: bytes) -> list[Signed]:
    """Votes from their bytes. Raises ``ValueError`` for others."""
    votes = []
    try:
        for act, epoch, outcome, authors, signatures in cbor2.loads(data):
            vote = Vote(Act(act), int(epoch), int(outcome))
            for place, author in enumerate(bits(int.from_bytes(authors, "little"))):
                one = signatures[place * SIGNATURE_BYTES : (place + 1) * SIGNATURE_BYTES]
                votes.append(Signed(author, vote, bytes(one)))
    except (cbor2.CBORDecodeError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"no votes: {str(error)[:80]}") from None
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

    @property
    def size(self) -> int:
        """Bytes on air."""
        fields = [(*map(int, vote), packed(signers)) for vote, signers in self.known]
        return len(cbor2.dumps(fields, canonical=True))


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
            raise ValueError(f"signer: agent {self.me} has no part in the decision")
        self._rules = Rules(self.me, decision.agents, decision.faults)
        self._signatures: dict[Vote, dict[int, bytes]] = {}
        self.certificate: Certificate | None = None
        self.replies: list[Reply] = []
        own = self._restored()
        if self.certificate is None:
            self.state, replies = self._rules.resume(own)
            self._act(replies)
        else:
            final = self.certificate.vote
            self.state = dataclasses.replace(self._rules.begin()[0], epoch=final.epoch, final=final)

    @property
    def epoch(self) -> int:
        """The epoch that the agent is in."""
        return self.state.epoch

    @property
    def attested(self) -> bool:
        """Whether it has attested an outcome in its epoch, or needs none any more."""
        return self.state.final is not None or any(
            vote.act == Act.ATTEST and vote.epoch == self.epoch and signers >> self.me & 1
            for vote, signers in self.state.tallies
        )

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
        refused, new = 0, dict[Vote, dict[int, bytes]]()
        for author, vote, signature in heard:
            if author in self._signatures.get(vote, ()):
                continue
            if self._sensible(vote) and self.decision.verify(self._keys, author, vote, signature):
                new.setdefault(vote, {})[author] = signature
            else:
                refused += 1
        for vote, signed in sorted(new.items()):
            near = vote.act == Act.ENTER or vote.epoch <= self.epoch + HORIZON
            if near or len(signed) >= self.decision.quorum:
                self._store(vote, signed)
            self._step(Heard(vote, sum(1 << author for author in signed)))
        return refused

    def settle(self, certificate: Certificate) -> None:
        """Take over what others have made final.

        Raises `InvalidCertificate` if it does not hold, ``ValueError`` if it is another decision's.
        """
        certificate.verify(self._keys)
        if certificate.decision.id != self.decision.id:
            raise ValueError("certificate: it is of another decision")
        vote = certificate.vote
        self.hear(Signed(author, vote, one) for author, one in certificate.signed.items())

    @property
    def summary(self) -> Summary:
        """Whose signatures it has."""
        return Summary(self.state.tallies)

    def lacking(self, summary: Summary, limit: int | None = None) -> list[Signed]:
        """Signatures that the author of a summary does not have, at most `limit` of them; once all
        is final, only those that make it so."""
        missing, final = list[Signed](), self.state.final
        for vote, signed in sorted(self._signatures.items(), reverse=True):
            if final is None or vote == final:
                has = summary.has(vote)
                authors = sorted(author for author in signed if not has >> author & 1)
                missing += [Signed(author, vote, signed[author]) for author in authors]
        return missing if limit is None else missing[:limit]

    # The rules' replies

    def _sensible(self, vote: Vote) -> bool:
        outcomes = 1 if vote.act == Act.ENTER else self._outcomes
        return vote.epoch > 0 and 0 <= vote.outcome < outcomes

    def _store(self, vote: Vote, signed: dict[int, bytes]) -> None:
        """Keep signatures; of who entered which epoch the last of each is enough."""
        if vote.act == Act.ENTER:
            for other, there in self._signatures.items():
                if other.act == Act.ENTER and other.epoch > vote.epoch:
                    signed = {author: signed[author] for author in signed.keys() - there.keys()}
            for other, there in self._signatures.items():
                if other.act == Act.ENTER and other.epoch < vote.epoch:
                    for author in signed.keys() & there.keys():
                        del there[author]
        self._signatures.setdefault(vote, {}).update(signed)

    def _step(self, message: Message) -> None:
        self.state, replies = self._rules.step(self.state, message)
        self._act(replies)

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
        """Own votes and the final certificate from the journal."""
        own = []
        for record in self._journal.records if self._journal is not None else ():
            value = cbor2.loads(record)
            if isinstance(value, bytes):
                self.certificate = Certificate.decode(value)
                signed = self._signatures.setdefault(self.certificate.vote, {})
                signed.update(self.certificate.signed)
            else:
                act, epoch, outcome, signature = value
                vote = Vote(Act(act), epoch, outcome)
                self._store(vote, {self.me: signature})
                own.append(vote)
        return own
