"""A signed event: one hyperedge of the history, from the events that it used to its author."""

import dataclasses
import enum
import hashlib
import itertools
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, Self

import cbor2

from tmesh.ledger.keys import KeySet, Signer

#: First in everything that is signed, so that no signature means something elsewhere.
DOMAIN = "tmesh event 1"

ID_BYTES, SIGNATURE_BYTES = 32, 64

#: An event has at most so many bytes, and an author so many events.
LARGEST, LONGEST = 1 << 16, 1 << 32


class InvalidEvent(ValueError):
    """An event that no honest agent signed, or that says nothing."""


class Kind(enum.IntEnum):
    """What an event is about."""

    STATEMENT = 1  # an agent's opinions, after it used its parents
    MEETING = 2  # statements that all their authors use together
    ATTESTATION = 3
    COMMIT = 4
    CERTIFICATE = 5


class Reference(NamedTuple):
    """An event by its place in its author's chain and its id."""

    author: int
    seq: int
    id: bytes


@dataclasses.dataclass(frozen=True)
class Event:
    """Event number `seq` of `author`, who used `parents`, events of others in order, and whose
    event before it has the id `previous` (empty for the first).

    `decision` has 32 bytes, `payload` any that fit. The id is the SHA-256 of the signed bytes, not
    of the signature: signed twice it is the same event. Two events of the same author and number
    with different ids are an equivocation.
    """

    author: int
    seq: int
    kind: Kind
    decision: bytes
    previous: bytes
    parents: tuple[Reference, ...]
    payload: bytes
    signature: bytes = b""

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
        """What others cite it by."""
        return Reference(self.author, self.seq, self.id)

    def signed(self, signer: Signer) -> Self:
        """The event with its author's signature."""
        return dataclasses.replace(self, signature=signer.sign(self.body))

    @cached_property
    def encoded(self) -> bytes:
        """The bytes that travel: body and signature."""
        return cbor2.dumps([self.body, self.signature], canonical=True)

    @classmethod
    def decode(cls, data: bytes) -> "Event":
        """From its bytes, exactly those that `encoded` gives.

        Raises `InvalidEvent` for any others; the signature is checked by `verify`.
        """
        return _decoded(bytes(data))

    def verify(self, keys: KeySet) -> None:
        """Raise `InvalidEvent` unless its author, one of `keys`, signed it."""
        if self.author >= len(keys):
            raise InvalidEvent(f"there is no agent {self.author}")
        if not keys.verify(self.author, self.body, self.signature):
            raise InvalidEvent(f"agent {self.author} did not sign event {self.seq}")


# Many replicas in one process read the same events.
@lru_cache(maxsize=1 << 16)
def _decoded(data: bytes) -> Event:
    if len(data) > LARGEST:
        raise InvalidEvent(f"{len(data)} bytes are more than {LARGEST}")
    body, signature = _array("event", _loaded(data), 2)
    _bytes("body", body, None)
    domain, author, seq, kind, decision, previous, parents, payload = _array(
        "body", _loaded(body), 8
    )
    if domain != DOMAIN:
        raise InvalidEvent(f"the body is of {domain!r}, not of {DOMAIN!r}")
    _number("author", author)
    _number("seq", seq)
    if not isinstance(kind, int) or kind not in set(Kind):
        raise InvalidEvent(f"there is no kind {kind!r}")
    _bytes("decision", decision, ID_BYTES)
    _bytes("previous", previous, ID_BYTES if seq else 0)
    _bytes("payload", payload, None)
    _bytes("signature", signature, SIGNATURE_BYTES)
    if not isinstance(parents, list):
        raise InvalidEvent("parents: no array")
    references = []
    for parent in parents:
        who, number, name = _array("parent", parent, 3)
        _number("parent: author", who)
        _number("parent: seq", number)
        _bytes("parent: id", name, ID_BYTES)
        if who == author:
            raise InvalidEvent("a parent is the author's own")
        references.append(Reference(who, number, name))
    if any(a >= b for a, b in itertools.pairwise(references)):
        raise InvalidEvent("parents are not in order, or twice")
    event = Event(
        author, seq, Kind(kind), decision, previous, tuple(references), payload, signature
    )
    if event.encoded != data:
        raise InvalidEvent("the encoding is not canonical")
    return event


def _loaded(data: bytes) -> Any:
    try:
        return cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError) as error:
        raise InvalidEvent(f"no CBOR: {str(error).splitlines()[0]}") from None


def _array(name: str, value: Any, size: int) -> list[Any]:
    if not isinstance(value, list) or len(value) != size:
        raise InvalidEvent(f"{name}: no array of {size}")
    return value


def _number(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < LONGEST:
        raise InvalidEvent(f"{name}: {value!r} is no number below 2³²")


def _bytes(name: str, value: Any, size: int | None) -> None:
    if not isinstance(value, bytes) or size not in (None, len(value)):
        raise InvalidEvent(f"{name}: not {'' if size is None else f'{size} '}bytes")
