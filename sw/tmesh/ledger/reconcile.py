"""Finding what two sets of ids do not share, in bytes that grow with the difference.

Range-based set reconciliation (Meyer, SRDS 2023) cuts the sorted ids into ranges. A range whose
fingerprints agree is left alone, another is cut again, and a small one is listed. An answer needs
nothing from before, so an agent keeps no state of an exchange.
"""

import bisect
import dataclasses
import hashlib
import itertools
import operator
from collections.abc import Iterable
from typing import Any, NamedTuple

import cbor2

from tmesh.errors import InvalidEvent, InvalidInput, InvalidMessage
from tmesh.ledger.encoding import array, loaded, octets
from tmesh.ledger.event import ID_BYTES, Event
from tmesh.ledger.ledger import Ledger

#: A range is cut into `CUTS`, and listed if it holds at most `LISTED` ids.
CUTS, LISTED = 16, 4

#: The most ranges, ids and bytes of a message; the next exchange finds the rest. `BYTES` hold the
#: most ranges and ids.
RANGES, IDS, BYTES = 1 << 14, 1 << 16, 1 << 22

_LAST = b"\xff" * (ID_BYTES + 1)  # above all ids
_FINGERPRINT_BYTES = 16


class _Range(NamedTuple):
    """Ids from `low` on and below `high`: their fingerprint, or a list of them. A final list
    answers another list, and needs no answer."""

    low: bytes
    high: bytes
    fingerprint: bytes
    ids: list[bytes] | None
    final: bool


class Reconciler:
    """One side of an exchange, about the ids (32 bytes) that it has.

    A fingerprint is the SHA-256 of the number of ids and their sum modulo 2²⁵⁶, cut to 16 bytes.
    An author of tens of thousands of events can find two sets of them with one sum (Wagner 2002)
    and give one to each side. Both sides look equal for as long as all else does. An event that
    cites one of them still has it asked for by `Ledger.missing`.
    """

    def __init__(self, ids: Iterable[bytes]) -> None:
        self._ids = sorted(set(_ids("id", list(ids))))
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
        reply, listed = list[_Range](), 0
        they, we = set[bytes](), set[bytes]()
        for low, high, fingerprint, ids, final in _decoded(message):
            first, last = (bisect.bisect_left(self._ids, bound) for bound in (low, high))
            if ids is not None:
                mine = set(self._ids[first:last])
                they |= mine - set(ids)
                we |= set(ids) - mine
                # A list that is too long is left out: the other side gets these events, and then
                # finds the remaining difference in shorter ranges.
                if not final and mine != set(ids) and listed + len(mine) <= IDS:
                    reply.append(_Range(low, high, b"", sorted(mine), True))
                    listed += len(mine)
            elif fingerprint != self._fingerprint(first, last):
                reply += self._cut(low, high, first, last)
                listed += len(reply[-1].ids or ())
            if len(reply) > RANGES - CUTS or listed > IDS - LISTED:
                break
        return (_encoded(reply) if reply else None), they, we

    def _cut(self, low: bytes, high: bytes, first: int, last: int) -> list[_Range]:
        if last - first <= LISTED:
            return [_Range(low, high, b"", self._ids[first:last], False)]
        step = -(-(last - first) // CUTS)
        inside = (_between(*self._ids[at - 1 : at + 1]) for at in range(first + step, last, step))
        bounds = [low, *inside, high]
        return [self._described(a, b) for a, b in itertools.pairwise(bounds)]

    def _described(self, low: bytes, high: bytes) -> _Range:
        first, last = (bisect.bisect_left(self._ids, bound) for bound in (low, high))
        return _Range(low, high, self._fingerprint(first, last), None, False)

    def _fingerprint(self, first: int, last: int) -> bytes:
        total = (self._sums[last] - self._sums[first]) % (1 << 256)
        data = (last - first).to_bytes(8) + total.to_bytes(32)
        return hashlib.sha256(data).digest()[:_FINGERPRINT_BYTES]


@dataclasses.dataclass(frozen=True)
class Exchange:
    """The cost of making two ledgers equal.

    rounds: whole exchanges; the last one finds nothing more to move. messages, message_bytes: of
    reconcilers. events, event_bytes: moved events. refused: for each refused event, by its id, the
    reason.
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
                # If the messages had no room for events that these cite, ask for them by id.
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


def _encoded(ranges: list[_Range]) -> bytes:
    return _dumped([_checked(one) for one in ranges])


def _dumped(ranges: list[_Range]) -> bytes:
    return cbor2.dumps([list(one) for one in ranges], canonical=True)


def _decoded(message: bytes) -> list[_Range]:
    try:
        ranges = [_checked(one) for one in array("message", loaded(message, BYTES))]
        if not 0 < len(ranges) <= RANGES:
            raise InvalidInput(f"message: {len(ranges)} ranges, not 1 to {RANGES}")
        if any(a.high > b.low for a, b in itertools.pairwise(ranges)):
            raise InvalidInput("message: ranges are not in order, or overlap")
        if sum(len(one.ids or ()) for one in ranges) > IDS:
            raise InvalidInput(f"message: more than {IDS} ids")
        if _dumped(ranges) != message:
            raise InvalidInput("message: the encoding is not canonical")
    except InvalidInput as error:
        raise InvalidMessage(str(error)) from None
    return ranges


def _checked(value: Any) -> _Range:
    """A range with fields that `Reconciler` can make. Raises `InvalidInput` for any others."""
    low, high, fingerprint, ids, final = array("range", value, 5)
    octets("range: low", low, most=len(_LAST))
    octets("range: high", high, most=len(_LAST))
    octets("range: fingerprint", fingerprint, _FINGERPRINT_BYTES if ids is None else 0)
    if low >= high or not isinstance(final, bool) or (final and ids is None):
        raise InvalidInput("range: it is empty, or `final` is not a flag of a list")
    if ids is not None:
        ids = _ids("range: id", array("range: ids", ids))
        if any(map(operator.ge, ids, ids[1:])):
            raise InvalidInput("range: ids are not in order, or twice")
        if ids and not low <= ids[0] <= ids[-1] < high:
            raise InvalidInput("range: ids are not in their range")
    return _Range(low, high, fingerprint, ids, final)


def _ids(name: str, values: list[Any]) -> list[bytes]:
    """Ids. Messages have thousands, so a look at one by one is only for the reason."""
    if not (set(map(type, values)) <= {bytes} and set(map(len, values)) <= {ID_BYTES}):
        values = [octets(name, one, ID_BYTES) for one in values]
    return values
