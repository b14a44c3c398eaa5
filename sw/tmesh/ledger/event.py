"""A signed event: one hyperedge of the history, from the events that it used to its author."""

import dataclasses
import enum
import hashlib
import itertools
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, Self

import cbor2

from tmesh.errors import InvalidEvent, InvalidSignature
from tmesh.ledger.keys import SIGNATURE_BYTES, KeySet, Signer

#: First in everything that is signed, so that no signature means something elsewhere.
DOMAIN = "tmesh event 1"

ID_BYTES = 32

#: An event has at most so many bytes, and an author so many events.
LARGEST, LONGEST = 1 << 16, 1 << 32

#: Events of at most so many bytes are decoded once for all that read them.
SHARED = 1 << 10


class Kind(enum.IntEnum):
    """What an event is about."""

    STATEMENT = 1  # an agent's opinions, after it used its parents
    MEETING = 2  # statements that all their authors use together
    ATTESTATION = 3
    COMMIT = 4
    CERTIFICATE = 5
    PROPOSAL = 6


class Reference(NamedTuple):
    """An event by its place in its author's chain and its id."""

    author: int
    seq: int
    id: bytes


@dataclasses.dataclass(frozen=True)
class Event:
    """Event number `seq` of `author`, who used `parents`, events of others in order, and whose
    event before it has the id `previous` (empty for the first).

    `decision` has 32 bytes, `payload` any that fit. `witnesses` are signatures of the same body by
    authors of parents of a meeting, in order. The id is the SHA-256 of the body, not of any
    signature: signed twice, or by more witnesses, it is the same event. Two events of the same
    author and number with different ids are an equivocation.
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

    def witnessed(self, signer: Signer) -> Self:
        """The event with the signature of another member of its meeting."""
        others = [one for one in self.witnesses if one[0] != signer.author]
        witnesses = sorted([*others, (signer.author, signer.sign(self.body))])
        return dataclasses.replace(self, witnesses=tuple(witnesses))

    @cached_property
    def encoded(self) -> bytes:
        """The bytes that travel: body, signature and witnesses."""
        witnesses = [list(witness) for witness in self.witnesses]
        return cbor2.dumps([self.body, self.signature, witnesses], canonical=True)

    @classmethod
    def decode(cls, data: bytes) -> "Event":
        """From its bytes, exactly those that `encoded` gives.

        Raises `InvalidEvent` for any others; the signatures are checked by `verify`.
        """
        return _shared(bytes(data)) if len(data) <= SHARED else _decoded(bytes(data))

    def verify(self, keys: KeySet) -> None:
        """Raise `InvalidEvent` unless its author and witnesses, some of `keys`, signed it, it
        cites events of such agents, and its bytes could be decoded."""
        _ = self._sound
        for author in (self.author, *(parent.author for parent in self.parents)):
            if author >= len(keys):
                raise InvalidEvent(f"there is no agent {author}")
        if len(self.encoded) > LARGEST:
            raise InvalidEvent(f"{len(self.encoded)} bytes are more than {LARGEST}")
        for member, signature in ((self.author, self.signature), *self.witnesses):
            if not keys.verify(member, self.body, signature):
                raise InvalidSignature(
                    f"agent {member} did not sign event {self.seq} of agent {self.author}"
                )

    @cached_property
    def _sound(self) -> bool:
        """True; raises `InvalidEvent` for fields of other types, sizes or ranges."""
        _number("author", self.author)
        _number("seq", self.seq)
        if self.kind not in _KINDS:
            raise InvalidEvent(f"there is no kind {_shown(self.kind)}")
        _bytes("decision", self.decision, ID_BYTES)
        _bytes("previous", self.previous, ID_BYTES if self.seq else 0)
        for parent in self.parents:
            _number("parent: author", parent.author)
            _number("parent: seq", parent.seq)
            _bytes("parent: id", parent.id, ID_BYTES)
        authors = {parent.author for parent in self.parents}
        if self.author in authors:
            raise InvalidEvent("a parent is the author's own")
        if any(a >= b for a, b in itertools.pairwise(self.parents)):
            raise InvalidEvent("parents are not in order, or twice")
        _bytes("payload", self.payload, None)
        _bytes("signature", self.signature, SIGNATURE_BYTES if self.signature else 0)
        for member, signature in self.witnesses:
            _number("witness", member)
            _bytes("witness: signature", signature, SIGNATURE_BYTES)
            if self.kind != Kind.MEETING or member not in authors:
                raise InvalidEvent(f"agent {member} has no part in it to witness")
        if any(a[0] >= b[0] for a, b in itertools.pairwise(self.witnesses)):
            raise InvalidEvent("witnesses are not in order, or twice")
        return True


def _decoded(data: bytes) -> Event:
    if len(data) > LARGEST:
        raise InvalidEvent(f"{len(data)} bytes are more than {LARGEST}")
    body, signature, witnesses = _array("event", _loaded(data), 3)
    _bytes("body", body, None)
    _bytes("signature", signature, SIGNATURE_BYTES)
    domain, author, seq, kind, decision, previous, parents, payload = _array(
        "body", _loaded(body), 8
    )
    if domain != DOMAIN:
        raise InvalidEvent(f"the body is of {_shown(domain)}, not of {DOMAIN!r}")
    _number("kind", kind)
    if kind not in _KINDS:
        raise InvalidEvent(f"there is no kind {kind}")
    event = Event(
        author,
        seq,
        Kind(kind),
        decision,
        previous,
        tuple(Reference(*_array("parent", one, 3)) for one in _array("parents", parents, None)),
        payload,
        signature,
        tuple(_witness(one) for one in _array("witnesses", witnesses, None)),
    )
    if not event._sound or event.encoded != data:
        raise InvalidEvent("the encoding is not canonical")
    return event


# Many replicas in one process read the same events, and hold them once.
_shared = lru_cache(maxsize=1 << 15)(_decoded)

_KINDS = frozenset(Kind)


def _loaded(data: bytes) -> Any:
    try:
        return cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError) as error:
        raise InvalidEvent(f"no CBOR: {str(error).splitlines()[0][:80]}") from None


def _array(name: str, value: Any, size: int | None) -> list[Any]:
    if not isinstance(value, list) or size not in (None, len(value)):
        raise InvalidEvent(f"{name}: no array{'' if size is None else f' of {size}'}")
    return value


def _witness(value: Any) -> tuple[int, bytes]:
    member, signature = _array("witness", value, 2)
    return member, signature


def _number(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < LONGEST:
        raise InvalidEvent(f"{name}: {_shown(value)} is no number below 2³²")


def _bytes(name: str, value: Any, size: int | None) -> None:
    if not isinstance(value, bytes) or size not in (None, len(value)):
        raise InvalidEvent(f"{name}: not {'' if size is None else f'{size} '}bytes")


def _shown(value: Any) -> str:
    """Short, whatever it is: Python refuses to print a very long number."""
    if isinstance(value, int) and value.bit_length() > 64:
        return "a huge number"
    return repr(value)[:40] if isinstance(value, int | str | bytes) else type(value).__name__
