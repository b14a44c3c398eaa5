"""A signed event: one hyperedge of the history, from the events that it used to its author."""

import dataclasses
import enum
import hashlib
import itertools
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, Self

import cbor2

from tmesh.errors import InvalidEvent, InvalidInput, InvalidSignature
from tmesh.ledger.encoding import array, loaded, number, octets, shown
from tmesh.ledger.keys import SIGNATURE_BYTES, KeySet, Signer

#: First in everything that is signed, so that no signature means something elsewhere.
DOMAIN = "tmesh event 1"

ID_BYTES = 32

#: The most bytes of an event.
LARGEST = 1 << 16

#: Events of at most this size in bytes are decoded once for all readers.
SHARED = 1 << 10


class Kind(enum.IntEnum):
    """The subject of an event. Votes and certificates are no events: they travel by themselves."""

    STATEMENT = 1  # an agent's opinions, after it used its parents
    MEETING = 2  # statements that all their authors use together
    PROPOSAL = 6  # an outcome that the agents did not know


class Reference(NamedTuple):
    """An event by its place in its author's chain and its id."""

    author: int
    seq: int
    id: bytes


@dataclasses.dataclass(frozen=True)
class Event:
    """Event number `seq` of `author`, which used `parents`, events of others in order; its
    event before it has the id `previous` (empty for the first).

    `decision` has 32 bytes, `payload` any that fit. `witnesses` are signatures of the same body by
    authors of parents of a meeting, in order. The id is the SHA-256 of the body, not of any
    signature: signed twice, or by more witnesses, it is the same event. Two events of the same
    author and number with different ids are an equivocation.

    Raises `InvalidEvent` for fields that `decode` would refuse, so before anything is signed.
    """

    author: int
    seq: int
    kind: Kind
    decision: bytes
    previous: bytes
    parents: tuple[Reference, ...]
    payload: bytes
    signature: bytes = b""
    witnesses: tuple[tuple[int, bytes], ...] = ()

    def __post_init__(self) -> None:
        try:
            self._check()
        except InvalidInput as error:
            raise InvalidEvent(str(error)) from None

    @cached_property
    def body(self) -> bytes:
        """The bytes that are signed: deterministic CBOR (RFC 8949, 4.2.1)."""
        fields = [DOMAIN, self.author, self.seq, int(self.kind), self.decision, self.previous]
        fields += [[list(parent) for parent in self.parents], self.payload]
        return cbor2.dumps(fields, canonical=True)

    @cached_property
    def id(self) -> bytes:
        """SHA-256 of the body, 32 bytes."""
        return hashlib.sha256(self.body).digest()

    @property
    def reference(self) -> Reference:
        """Author, number and id, by which others cite it."""
        return Reference(self.author, self.seq, self.id)

    @cached_property
    def cited(self) -> tuple[Reference, ...]:
        """The events that it stands on, its author's own one first."""
        own = (Reference(self.author, self.seq - 1, self.previous),) if self.seq else ()
        return own + self.parents

    def signed(self, signer: Signer) -> Self:
        """The event with its author's signature."""
        return dataclasses.replace(self, signature=signer.sign(self.body))

    def witnessed(self, signer: Signer) -> Self:
        """The event with the signature of another member of its meeting."""
        others = [one for one in self.witnesses if one[0] != signer.author]
        witnesses = sorted([*others, (signer.author, signer.sign(self.body))])
        return dataclasses.replace(self, witnesses=tuple(witnesses))

    @cached_property
    def encoded(self) -> bytes:
        """The bytes that travel: body, signature and witnesses. Raises `InvalidEvent` for an event
        without its author's signature."""
        if not self.signature:
            raise InvalidEvent(f"event {self.seq} of agent {self.author} is not signed")
        return self._encoded(self.signature)

    @classmethod
    def decode(cls, data: bytes) -> "Event":
        """From its bytes, exactly those that `encoded` gives.

        Raises `InvalidEvent` for any others; the signatures are checked by `verify`.
        """
        if not isinstance(data, bytes):
            raise InvalidEvent(f"event: {shown(data)} is not bytes")
        return _shared(data) if len(data) <= SHARED else _decoded(data)

    def verify(self, keys: KeySet) -> None:
        """Raise `InvalidEvent` unless its author and witnesses, some of `keys`, signed it, and it
        cites events of such agents."""
        for author in (self.author, *(parent.author for parent in self.parents)):
            if author >= len(keys):
                raise InvalidEvent(f"there is no agent {author}")
        for member, signature in ((self.author, self.signature), *self.witnesses):
            if not keys.verify(member, self.body, signature):
                raise InvalidSignature(
                    f"agent {member} did not sign event {self.seq} of agent {self.author}"
                )

    def _encoded(self, signature: bytes) -> bytes:
        witnesses = [list(witness) for witness in self.witnesses]
        return cbor2.dumps([self.body, signature, witnesses], canonical=True)

    def _check(self) -> None:
        """Raise `InvalidInput` for fields of other types, sizes or ranges, and give them exactly
        the types that they are declared with."""
        seq, kind = number("seq", self.seq), number("kind", self.kind)
        if kind not in _KINDS:
            raise InvalidInput(f"there is no kind {kind}")
        fields = {
            "author": number("author", self.author),
            "seq": seq,
            "kind": Kind(kind),
            "decision": octets("decision", self.decision, ID_BYTES),
            "previous": octets("previous", self.previous, ID_BYTES if seq else 0),
            "parents": tuple(_reference(one) for one in array("parents", self.parents)),
            "payload": octets("payload", self.payload, most=LARGEST),
            "signature": octets(
                "signature", self.signature, SIGNATURE_BYTES if self.signature else 0
            ),
            "witnesses": tuple(_witness(one) for one in array("witnesses", self.witnesses)),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        authors = {parent.author for parent in self.parents}
        if self.author in authors:
            raise InvalidInput("parents: one is an event of the author")
        if any(a >= b for a, b in itertools.pairwise(self.parents)):
            raise InvalidInput("parents: they must ascend, each once")
        for member, _ in self.witnesses:
            if self.kind != Kind.MEETING or member not in authors:
                raise InvalidInput(f"witness {member} is not the author of a parent of a meeting")
        if any(a[0] >= b[0] for a, b in itertools.pairwise(self.witnesses)):
            raise InvalidInput("witnesses: they must ascend, each once")
        size = len(self._encoded(bytes(SIGNATURE_BYTES)))
        if size > LARGEST:
            raise InvalidInput(f"{size} bytes are more than {LARGEST}")


def _decoded(data: bytes) -> Event:
    try:
        body, signature, witnesses = array("event", loaded(data, LARGEST), 3)
        octets("signature", signature, SIGNATURE_BYTES)
        domain, author, seq, kind, decision, previous, parents, payload = array(
            "body", loaded(octets("body", body), LARGEST), 8
        )
    except InvalidInput as error:
        raise InvalidEvent(str(error)) from None
    if domain != DOMAIN:
        raise InvalidEvent(f"the body is of {shown(domain)}, not of {DOMAIN!r}")
    event = Event(author, seq, kind, decision, previous, parents, payload, signature, witnesses)
    if event.encoded != data:
        raise InvalidEvent("the encoding is not canonical")
    return event


# Many replicas in one process read the same events, and hold them once.
_shared = lru_cache(maxsize=1 << 15)(_decoded)

_KINDS = frozenset(Kind)


def _reference(value: Any) -> Reference:
    author, seq, name = array("parent", value, 3)
    return Reference(
        number("parent: author", author),
        number("parent: seq", seq),
        octets("parent: id", name, ID_BYTES),
    )


def _witness(value: Any) -> tuple[int, bytes]:
    member, signature = array("witness", value, 2)
    return number("witness", member), octets("witness: signature", signature, SIGNATURE_BYTES)
