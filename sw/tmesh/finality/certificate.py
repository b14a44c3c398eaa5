"""Signed votes, and certificates that anyone with the keys can check."""

import dataclasses
import hashlib
import itertools
from collections.abc import Mapping
from functools import cached_property

import cbor2

from tmesh.errors import InvalidCertificate, InvalidInput
from tmesh.finality.encoding import AGENTS, BYTES, bitmap, bits, packed, unpacked
from tmesh.finality.rules import Act, Vote, quorum, tolerated
from tmesh.ledger import KeySet, Signer
from tmesh.ledger.encoding import NUMBERS, array, loaded, octets, shown
from tmesh.ledger.encoding import number as integer
from tmesh.ledger.keys import SIGNATURE_BYTES

#: Domain tags: the first item of signed or hashed bytes.
VOTE, DECISION, CERTIFICATE = "tmesh vote 1", "tmesh decision 2", "tmesh certificate 2"

#: The most bytes of the name of a contested resource, and of a label; and the most labels.
RESOURCE_BYTES, LABEL_BYTES, LABELS = 1 << 10, 1 << 6, 1 << 10


@dataclasses.dataclass(frozen=True)
class Decision:
    """A conflict set: decision number `number` about one contested `resource`, bytes that name a
    token or a command slot.

    Outcome i has the i-th of `labels`, which ascend by their UTF-8 bytes; so one set of labels
    means one decision. Without labels the outcome is itself a number. `agents` decide, as the bits
    of a number, and `faults` of them may be Byzantine. Raises `InvalidInput` for fields of other
    types, sizes or ranges.
    """

    resource: bytes
    agents: int
    faults: int
    labels: tuple[str, ...] = ("no", "yes")
    number: int = 0

    def __post_init__(self) -> None:
        fields = {
            "resource": octets("resource", self.resource, most=RESOURCE_BYTES),
            "agents": _bitmap("agents", self.agents),
            "faults": integer("faults", self.faults),
            "labels": _labels(self.labels),
            "number": integer("number", self.number),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        if not self.agents:
            raise InvalidInput("agents: the bitmap is empty")
        quorum(self.agents.bit_count(), self.faults)

    @classmethod
    def of_all(
        cls,
        resource: bytes,
        agents: int,
        faults: int | None = None,
        labels: tuple[str, ...] = ("no", "yes"),
        number: int = 0,
    ) -> "Decision":
        """By agents 0 to `agents` − 1; faults: default ⌊(n − 1)/3⌋, the most there can be."""
        agents = integer("agents", agents, least=1, below=AGENTS + 1)
        faults = tolerated(agents) if faults is None else faults
        return cls(resource, (1 << agents) - 1, faults, labels, number)

    @cached_property
    def id(self) -> bytes:
        """32 bytes that depend on all of it."""
        return hashlib.sha256(cbor2.dumps([DECISION, *self.fields], canonical=True)).digest()

    @property
    def fields(self) -> list[object]:
        """The fields of a decision in a message; `read` is the inverse."""
        agents = packed(self.agents)
        return [self.resource, self.number, list(self.labels), agents, self.faults]

    @classmethod
    def read(cls, fields: object) -> "Decision":
        """From its fields in a message. Raises `InvalidInput` for anything else."""
        resource, number, labels, agents, faults = array("decision", fields, 5)
        labels = tuple(array("labels", labels))
        return cls(resource, unpacked("agents", agents), faults, labels, number)

    @property
    def quorum(self) -> int:
        """How many signatures make a certificate."""
        return quorum(self.agents.bit_count(), self.faults)

    def body(self, vote: Vote) -> bytes:
        """The bytes that are signed: deterministic CBOR (RFC 8949, 4.2.1). Raises `InvalidInput`
        for a vote that no agent may sign."""
        return cbor2.dumps([VOTE, self.id, *map(int, self.checked(vote))], canonical=True)

    def checked(self, vote: object) -> Vote:
        """A vote in this decision. Raises `InvalidInput` for anything else."""
        made = Vote.checked(*array("vote", vote, 3))
        integer("outcome", made.outcome, below=len(self.labels) or NUMBERS)
        return made

    def sign(self, signer: Signer, vote: Vote) -> bytes:
        """An agent's signature of a vote."""
        return signer.sign(self.body(vote))

    def verify(self, keys: KeySet, author: int, vote: Vote, signature: bytes) -> bool:
        """Whether `author`, an agent of this decision, signed the vote."""
        try:
            author, body = integer("author", author, below=AGENTS), self.body(vote)
            signature = octets("signature", signature, SIGNATURE_BYTES)
        except InvalidInput:
            return False
        return self.agents >> author & 1 == 1 and keys.verify(author, body, signature)


@dataclasses.dataclass(frozen=True)
class Certificate:
    """A quorum's signatures of one vote: of attestations a lock, of commits a final certificate.

    Its bytes and the key set prove it, for its `decision`. The reader checks that this is the
    expected decision, with the expected agents and faults. signatures: 64 bytes each, in the order
    of the agents.
    """

    decision: Decision
    vote: Vote
    signers: int
    signatures: bytes

    def __post_init__(self) -> None:
        if not isinstance(self.decision, Decision):
            raise InvalidInput(f"decision must be a Decision, not {shown(self.decision)}")
        fields = {
            "vote": self.decision.checked(self.vote),
            "signers": _bitmap("signers", self.signers),
            "signatures": octets("signatures", self.signatures),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, decision: Decision, vote: Vote, signed: Mapping[int, bytes]) -> "Certificate":
        """From the signatures of a quorum by author; of more the lowest authors are taken.

        Raises ``ValueError`` for fewer signatures, or for one by an agent that has no part.
        """
        authors = sorted(integer("author", author, below=AGENTS) for author in signed)
        authors = authors[: decision.quorum]
        if len(authors) < decision.quorum:
            raise InvalidInput(f"signed: {len(authors)} signatures, not {decision.quorum}")
        signers = bitmap(authors)
        for author in bits(signers & ~decision.agents):
            raise InvalidCertificate(f"agent {author} is not one of the decision's agents")
        signatures = [octets("signature", signed[one], SIGNATURE_BYTES) for one in authors]
        made = cls(decision, vote, signers, b"".join(signatures))
        if made.vote.act == Act.ENTER:
            raise InvalidInput("vote: signatures of enter prove nothing")
        return made

    @property
    def outcome(self) -> int:
        """The number of the outcome that is decided."""
        return self.vote.outcome

    @property
    def label(self) -> str:
        """The label of that outcome, its number if the decision has no labels."""
        labels = self.decision.labels
        return labels[self.outcome] if labels else str(self.outcome)

    @property
    def final(self) -> bool:
        """Whether it is one of commits."""
        return self.vote.act == Act.COMMIT

    @property
    def signed(self) -> dict[int, bytes]:
        """The signatures by author."""
        size, data = SIGNATURE_BYTES, self.signatures
        return {
            author: data[place * size : (place + 1) * size]
            for place, author in enumerate(bits(self.signers))
        }

    @cached_property
    def encoded(self) -> bytes:
        """Its bytes: deterministic CBOR, signers as a bitmap."""
        vote, signers = map(int, self.vote), packed(self.signers)
        parts = [CERTIFICATE, self.decision.fields, *vote, signers, self.signatures]
        return cbor2.dumps(parts, canonical=True)

    @classmethod
    def decode(cls, data: bytes) -> "Certificate":
        """From its bytes, exactly those that `encoded` gives; `verify` checks the signatures.

        Raises `InvalidCertificate` for any others.
        """
        try:
            kind, fields, *vote, signers, signatures = array("certificate", loaded(data, BYTES), 7)
            if kind != CERTIFICATE:
                raise InvalidInput(f"it is of {shown(kind)}, not of {CERTIFICATE!r}")
            decision = Decision.read(fields)
            certificate = cls(decision, Vote(*vote), unpacked("signers", signers), signatures)
            if certificate.encoded != data:
                raise InvalidInput("the encoding is not canonical")
        except ValueError as error:
            raise InvalidCertificate(f"no certificate: {str(error)[:80]}") from None
        return certificate

    def verify(self, keys: KeySet) -> None:
        """Raise `InvalidCertificate` unless a quorum of the decision's agents signed it."""
        count = self.signers.bit_count()
        if self.vote.act == Act.ENTER or count < self.decision.quorum:
            act = self.vote.act.name.lower()
            raise InvalidCertificate(f"{count} signatures of {act} prove nothing")
        if self.decision.agents >> len(keys):
            raise InvalidCertificate(f"there are no more than {len(keys)} agents")
        if len(self.signatures) != count * SIGNATURE_BYTES:
            raise InvalidCertificate(f"{count} signers, but {len(self.signatures)} bytes")
        for author, signature in self.signed.items():
            if not self.decision.verify(keys, author, self.vote, signature):
                raise InvalidCertificate(f"agent {author} did not sign it")


def _labels(labels: object) -> tuple[str, ...]:
    """Different texts in order."""
    some = array("labels", labels)
    if some:
        integer("labels", len(some), least=2, below=LABELS + 1)
    for label in some:
        if not isinstance(label, str):
            raise InvalidInput(f"labels: {shown(label)} is no text")
        octets("labels", _utf8(label), most=LABEL_BYTES)
    for a, b in itertools.pairwise(some):
        if _utf8(a) >= _utf8(b):
            raise InvalidInput(f"labels: {shown(b)} does not come after {shown(a)}")
    return tuple(some)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        raise InvalidInput(f"labels: {shown(text)} has no UTF-8") from None


def _bitmap(name: str, value: object) -> int:
    """A bitmap of agents, also one that does not fit into 64 bits."""
    return integer(name, value, below=1 << AGENTS)
