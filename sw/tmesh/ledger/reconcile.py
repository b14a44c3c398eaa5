"""Finding what two sets of ids do not share, in bytes that grow with the difference.

Range-based set reconciliation (Meyer, "Range-Based Set Reconciliation", SRDS 2023): the sorted ids
are cut into ranges; a range whose fingerprints agree is left alone, another is cut again, and a
small one is listed. An answer needs nothing from before, so an agent keeps no state of an exchange.
"""

import bisect
import dataclasses
import hashlib
import itertools
from collections.abc import Iterable
from typing import Any

import cbor2

from tmesh.errors import InvalidEvent, InvalidMessage
from tmesh.ledger.event import ID_BYTES, Event
from tmesh.ledger.ledger import Ledger

#: A range is cut into so many, and listed when it holds at most so many ids.
CUTS, LISTED = 16, 4

#: A message has at most so many ranges; what it has no room for, the next exchange finds.
RANGES = 1 << 14

_LAST = b"\xff" * (ID_BYTES + 1)  # above all ids


class Reconciler:
    """One side of an exchange, about the ids (32 bytes) that it has.

    A fingerprint is the SHA-256 of the number of ids and their sum modulo 2²⁵⁶, cut to 16 bytes.
    Who signs tens of thousands of events can find two sets of them with one sum (Wagner 2002) and
    give one to each side: these look equal for as long as all else does. An event that cites one
    of them still has it asked for by `Ledger.missing`.
    """

    def __init__(self, ids: Iterable[bytes]) -> None:
        self._ids = sorted(ids)
        self._sums = [0]
        for one in self._ids:
            self._sums.append((self._sums[-1] + int.from_bytes(one)) % (1 << 256))

    def open(self) -> bytes:
        """The first message: the whole range."""
        return _encoded([self._described(b"", _LAST)])

    def answer(self, message: bytes) -> tuple[bytes | None, set[bytes], set[bytes]]:
        """The next message, None at the end; the ids that the other lacks, and that this one lacks,
        as far as they come out here.

        Raises `InvalidMessage` for bytes that are no message.
        """
        reply: list[list[Any]] = []
        they, we = set[bytes](), set[bytes]()
        for low, high, fingerprint, ids, final in _decoded(message):
            first, last = (bisect.bisect_left(self._ids, bound) for bound in (low, high))
            mine = set(self._ids[first:last])
            if ids is not None:
                they |= mine - set(ids)
                we |= set(ids) - mine
                if not final and mine != set(ids):
                    reply.append([low, high, b"", sorted(mine), True])
            elif fingerprint != self._fingerprint(first, last):
                reply += self._cut(low, high, first, last)
            if len(reply) > RANGES - CUTS:
                break
        return (_encoded(reply) if reply else None), they, we

    def _cut(self, low: bytes, high: bytes, first: int, last: int) -> list[list[Any]]:
        if last - first <= LISTED:
            return [[low, high, b"", self._ids[first:last], False]]
        step = -(-(last - first) // CUTS)
        inside = (_between(*self._ids[at - 1 : at + 1]) for at in range(first + step, last, step))
        bounds = [low, *inside, high]
        return [self._described(a, b) for a, b in itertools.pairwise(bounds)]

    def _described(self, low: bytes, high: bytes) -> list[Any]:
        first, last = (bisect.bisect_left(self._ids, bound) for bound in (low, high))
        return [low, high, self._fingerprint(first, last), None, False]

    def _fingerprint(self, first: int, last: int) -> bytes:
        total = (self._sums[last] - self._sums[first]) % (1 << 256)
        data = (last - first).to_bytes(8) + total.to_bytes(32)
        return hashlib.sha256(data).digest()[:16]


@dataclasses.dataclass(frozen=True)
class Exchange:
    """What it took to make two ledgers equal.

    rounds: whole exchanges, the last of which finds nothing more to move. messages, message_bytes:
    of reconcilers. events, event_bytes: that were moved. refused: the reason for each event, by
    its id, that was not let in.
    """

    rounds: int
    messages: int
    message_bytes: int
    events: int
    event_bytes: int
    refused: dict[bytes, str]


def reconcile(a: Ledger, b: Ledger) -> Exchange:
    """Give each ledger the events of the other, in bytes, as far as it lets them in.

    Events below the floors of either, which one has forgotten, are left alone.
    """
    rounds = messages = events = event_bytes = 0
    size = len(cbor2.dumps(a.floors)) + len(cbor2.dumps(b.floors))
    refused: dict[bytes, str] = {}
    before = -1
    while len(a) + len(b) > before:
        before, rounds = len(a) + len(b), rounds + 1
        ends = [Reconciler(_above(one, other)) for one, other in ((a, b), (b, a))]
        lacking: tuple[set[bytes], set[bytes]] = set(), set()
        message: bytes | None = ends[0].open()
        for turn in itertools.cycle((1, 0)):
            if message is None:
                break
            messages, size = messages + 1, size + len(message)
            message, found, _ = ends[turn].answer(message)
            lacking[turn].update(found)
        for source, target, names in ((a, b, lacking[0]), (b, a, lacking[1])):
            names -= refused.keys()
            sent = set[bytes]()
            while names:
                for event in [event for event in source if event.id in names]:  # causes first
                    events, event_bytes = events + 1, event_bytes + len(event.encoded)
                    try:
                        target.append(Event.decode(event.encoded))
                    except InvalidEvent as error:
                        refused[event.id] = str(error)
                # Where the messages had no room for what these stand on, it is asked for by id.
                sent |= names
                names = (target.missing() & source.ids) - sent - refused.keys()
                size += ID_BYTES * len(names)
    return Exchange(rounds, messages, size, events, event_bytes, refused)


def _above(one: Ledger, other: Ledger) -> set[bytes]:
    floors = other.floors, one.floors
    return {
        event.id for event in one if all(event.seq >= some.get(event.author, 0) for some in floors)
    }


def _between(a: bytes, b: bytes) -> bytes:
    """The shortest bound above a and not above b."""
    size = next(n for n in range(1, ID_BYTES + 1) if a[:n] != b[:n])
    return b[:size]


def _encoded(ranges: list[list[Any]]) -> bytes:
    return cbor2.dumps(ranges, canonical=True)


def _decoded(message: bytes) -> list[list[Any]]:
    try:
        ranges = cbor2.loads(message)
    except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError) as error:
        raise InvalidMessage(f"no CBOR: {str(error).splitlines()[0][:80]}") from None
    if not isinstance(ranges, list) or not 0 < len(ranges) <= RANGES:
        raise InvalidMessage(f"no array of 1 to {RANGES} ranges")
    end = b""
    for entry in ranges:
        if not isinstance(entry, list) or len(entry) != 5:
            raise InvalidMessage("a range has five fields")
        low, high, fingerprint, ids, final = entry
        if not all(isinstance(field, bytes) for field in (low, high, fingerprint)):
            raise InvalidMessage("bounds and fingerprint are bytes")
        if not isinstance(final, bool) or low >= high:
            raise InvalidMessage("a range is empty, or its flag is none")
        if low < end:
            raise InvalidMessage("ranges are not in order, or overlap")
        end = high
        if ids is not None and not (
            isinstance(ids, list)
            and all(isinstance(one, bytes) and len(one) == ID_BYTES for one in ids)
            and all(low <= one < high for one in ids)
        ):
            raise InvalidMessage("ids are not in their range")
    return ranges
