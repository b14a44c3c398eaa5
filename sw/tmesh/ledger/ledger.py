"""The directed acyclic hypergraph of signed events: who saw what, mergeable in any order."""

import contextlib
import dataclasses
import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Self

import cbor2

from tmesh.errors import CorruptJournal, InvalidEvent, InvalidInput
from tmesh.ledger.event import Event, Kind, Reference
from tmesh.ledger.journal import Journal
from tmesh.ledger.keys import KeySet, Signer

#: Events whose parents are missing wait, at most so many; the oldest go first.
WAITING = 1 << 12


class Admission(enum.Enum):
    """What became of an event: `ADMITTED`, already `KNOWN`, or `WAITING` for its parents."""

    ADMITTED = enum.auto()
    KNOWN = enum.auto()
    WAITING = enum.auto()


@dataclasses.dataclass(frozen=True)
class Equivocation:
    """Proof that an author lies: two of his events, signed, with one number."""

    first: Event
    second: Event

    def verify(self, keys: KeySet) -> bool:
        """Whether it proves that; needs nothing but the keys."""
        a, b = self.first, self.second
        if (a.author, a.seq) != (b.author, b.seq) or a.id == b.id:
            return False
        return all(keys.verify(event.author, event.body, event.signature) for event in (a, b))

    @property
    def encoded(self) -> bytes:
        """The bytes that travel."""
        return cbor2.dumps([self.first.encoded, self.second.encoded], canonical=True)

    @classmethod
    def decode(cls, data: bytes) -> "Equivocation":
        """From its bytes. Raises `InvalidEvent` for any that are no two events."""
        try:
            first, second = cbor2.loads(data)
            proof = cls(Event.decode(first), Event.decode(second))
        except InvalidEvent:
            raise
        except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError):
            raise InvalidEvent("a proof is an array of two events") from None
        if proof.encoded != data:
            raise InvalidEvent("the encoding is not canonical")
        return proof


class Ledger:
    """A set of events that is closed: with each event it has those that the event used.

    Merging is the union, so it is commutative, associative and idempotent; both sides of an
    equivocation stay in, as evidence. An event that comes before its parents waits for them.

    Parameters
    ----------
    keys: of all agents.
    check: says what is wrong with the payload of an event, or None. It must depend on nothing but
        the event, or agents will not agree on what is valid.
    journal: where admitted events are kept; those that are in it are read first, and checked.

    Raises `InvalidEvent` where the journal holds an event that is not valid or lacks its parents,
    `CorruptJournal` where it holds something else.
    """

    def __init__(
        self,
        keys: KeySet,
        check: Callable[[Event], str | None] | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.keys = keys
        self._check = check
        self._events: dict[bytes, Event] = {}
        self._places: dict[tuple[int, int], list[bytes]] = {}
        self._forks: set[tuple[int, int]] = set()
        self._last: dict[int, int] = {}
        self._waiting: dict[bytes, tuple[Event, Reference]] = {}  # and the first that it lacks
        self._wanted: dict[bytes, set[bytes]] = {}
        self._floors: dict[int, int] = {}
        self._journal: Journal | None = None
        if journal is not None:
            if journal.records:
                self._restore(journal)
            else:
                journal.append(_floors(self._floors))
            self._journal = journal

    def append(self, event: Event) -> Admission:
        """Take in one event, and those that waited for it.

        Raises `InvalidEvent` with the reason where it is not signed by its author and witnesses,
        contradicts the events that it cites, or fails the check; the ledger is then as before.
        With a journal the event is on disk when this returns. Raises ``OSError`` where it cannot
        be written; then it is not in the ledger, unless one that waited for it could not be.
        """
        if event.id in self._events or self._below(event.reference):
            return Admission.KNOWN
        return self._take(event)

    def next(
        self,
        signer: Signer,
        kind: Kind,
        decision: bytes,
        used: Iterable[Event] = (),
        payload: bytes = b"",
    ) -> Event:
        """Sign the next event of one's own chain, from the events that it `used`, in any order,
        and append it: with a journal it can be sent when this returns.

        Raises as `append` does, and ``ValueError`` where an event that it used is not here.
        """
        parents = {event.reference for event in used if event.author != signer.author}
        for parent in parents:
            if parent.id not in self._events:
                raise InvalidInput(f"used: {parent.id.hex()} is not in the ledger")
        last = self.head(signer.author)
        seq, previous = (last.seq + 1, last.id) if last else (0, b"")
        event = Event(signer.author, seq, kind, decision, previous, tuple(sorted(parents)), payload)
        signed = event.signed(signer)
        self.append(signed)
        return signed

    def merge(self, other: Iterable[Event]) -> int:
        """The union with another ledger, or with any events; how many of them are new.

        Raises `InvalidEvent` at the first that is not valid; those before it are then in.
        """
        before = len(self)
        for event in other:
            self.append(event)
        return len(self) - before

    def missing(self) -> set[bytes]:
        """Ids of events to fetch: those that others, which wait, have used."""
        cited = (cited for event, _ in self._waiting.values() for cited in _cited(event))
        return {one.id for one in cited if not self._known(one)} - set(self._waiting)

    def equivocators(self) -> dict[int, Equivocation]:
        """A proof for every author who signed two events with one number."""
        proofs: dict[int, Equivocation] = {}
        for author, seq in sorted(self._forks):
            if author not in proofs:
                first, second = sorted(self._places[author, seq])[:2]
                proofs[author] = Equivocation(self._events[first], self._events[second])
        return proofs

    def order(self) -> list[Event]:
        """All events, causes first: by length of the longest chain before them, author, number and
        id, so that equal sets have equal orders."""
        generations: dict[bytes, int] = {}
        for event in self:
            above = (generations.get(cited.id, 0) for cited in _cited(event))
            generations[event.id] = 1 + max(above, default=0)
        return sorted(
            self, key=lambda event: (generations[event.id], event.author, event.seq, event.id)
        )

    def verify(self) -> None:
        """Check everything again. Raises `InvalidEvent` with the first thing that is wrong."""
        seen: dict[bytes, Event] = {}
        for event in self:
            if Event.decode(event.encoded) != event:
                raise InvalidEvent(f"event {event.id.hex()} is not what its bytes say")
            self._valid(event)
            for cited in _cited(event):
                # Those that it cites came before it, so there is no cycle.
                if cited.id not in seen and not self._below(cited):
                    raise InvalidEvent(f"event {event.id.hex()} lacks {cited.id.hex()}")
            _fits(event, seen)
            seen[event.id] = event

    def head(self, author: int) -> Event | None:
        """The last event of an author; the one of the smallest id if he signed several."""
        if author not in self._last:
            return None
        return self._events[min(self._places[author, self._last[author]])]

    def chain(self, author: int) -> list[Event]:
        """All events of an author by number and id, both sides of his equivocations too."""
        own = (event for event in self if event.author == author)
        return sorted(own, key=lambda event: (event.seq, event.id))

    def prune(self, floors: Mapping[int, int], keep: Iterable[bytes] = ()) -> int:
        """Forget the events of each author below his floor, a number, except equivocations and
        those to `keep`, also of what earlier calls kept; how many are gone. A journal is rewritten
        to what is left.

        Floors only rise, and the event at a new one must be here. Below it an author's events
        count as known whatever their ids: later ones may cite them, and they are not taken in
        again, so who equivocates below a floor is no longer found out. Raises ``ValueError`` for a
        floor that is not here, ``OSError`` where the journal cannot be rewritten; nothing is
        forgotten then.
        """
        for author, floor in floors.items():
            if floor > self._floors.get(author, 0) and (author, floor) not in self._places:
                raise InvalidInput(f"floors: event {floor} of agent {author} is not here")
        before = self._floors
        self._floors = _highest(before, floors)
        kept = set(keep).union(*(self._places[fork] for fork in self._forks))
        left = [event for event in self if event.id in kept or not self._below(event.reference)]
        if self._journal is not None:
            try:
                records = [event.encoded for event in left]
                self._journal.rewrite([_floors(self._floors), *records])
            except OSError:
                self._floors = before
                raise
        gone = len(self) - len(left)
        self._events, self._places = {}, {}
        for event in left:
            self._enter(event)
        waiting = [event for event, _ in self._waiting.values()]
        self._waiting, self._wanted = {}, {}
        for event in waiting:  # some lack no longer what they waited for
            with contextlib.suppress(InvalidEvent):
                self.append(event)
        return gone

    def get(self, name: bytes) -> Event | None:
        """The event with this id."""
        return self._events.get(name)

    @property
    def ids(self) -> set[bytes]:
        """Ids of all events."""
        return set(self._events)

    @property
    def floors(self) -> dict[int, int]:
        """The numbers below which events of an author have been pruned."""
        return dict(self._floors)

    def __contains__(self, name: bytes) -> bool:
        return name in self._events

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[Event]:
        """In the order of admission, so parents before children."""
        return iter(list(self._events.values()))

    def copy(self) -> Self:
        """Another ledger with the same events and floors, without the journal."""
        other = type(self)(self.keys, self._check)
        other._floors = self.floors
        for event in self:
            other._enter(event)
        return other

    def _restore(self, journal: Journal) -> None:
        floors, *events = journal.records
        self._floors = _decoded_floors(journal, floors)
        for record in events:
            event = Event.decode(record)
            if self._take(event) is not Admission.ADMITTED:
                raise InvalidEvent(f"{journal.path}: event {event.id.hex()} lacks its parents")

    def _known(self, cited: Reference) -> bool:
        return cited.id in self._events or self._below(cited)

    def _below(self, cited: Reference) -> bool:
        return cited.seq < self._floors.get(cited.author, 0)

    def _valid(self, event: Event) -> None:
        event.verify(self.keys)
        reason = self._check(event) if self._check else None
        if reason:
            raise InvalidEvent(reason)

    def _take(self, event: Event) -> Admission:
        self._valid(event)
        if self._wait(event):
            return Admission.WAITING
        _fits(event, self._events)
        self._admit(event)
        try:
            self._release(event.id)
        except OSError:
            self._waiting, self._wanted = {}, {}  # they come again when ledgers are reconciled
            raise
        return Admission.ADMITTED

    def _release(self, name: bytes) -> None:
        """Admit those that waited for an event, and those that waited for them."""
        ready = sorted(self._wanted.pop(name, ()))
        while ready:
            event, _ = self._waiting.pop(ready.pop())
            if self._wait(event):
                continue
            try:
                _fits(event, self._events)
            except InvalidEvent:
                continue  # it waited in vain: it says of its parents what is not true
            self._admit(event)
            ready += sorted(self._wanted.pop(event.id, ()))

    def _admit(self, event: Event) -> None:
        if self._journal is not None:
            self._journal.append(event.encoded)
        self._enter(event)

    def _enter(self, event: Event) -> None:
        self._events[event.id] = event
        place = self._places.setdefault((event.author, event.seq), [])
        place.append(event.id)
        if len(place) > 1:
            self._forks.add((event.author, event.seq))
        self._last[event.author] = max(event.seq, self._last.get(event.author, 0))

    def _wait(self, event: Event) -> bool:
        """Whether it lacks something that it cites; then it waits for that."""
        lacking = next((cited for cited in _cited(event) if not self._known(cited)), None)
        if lacking is None:
            return False
        if event.id not in self._waiting:
            if len(self._waiting) >= WAITING:
                oldest = next(iter(self._waiting))
                _, wanted = self._waiting.pop(oldest)
                self._wanted[wanted.id].remove(oldest)
                if not self._wanted[wanted.id]:
                    del self._wanted[wanted.id]
            self._waiting[event.id] = event, lacking
            self._wanted.setdefault(lacking.id, set()).add(event.id)
        return True


def _cited(event: Event) -> list[Reference]:
    """The events that it stands on, its own chain first."""
    own = [Reference(event.author, event.seq - 1, event.previous)] if event.seq else []
    return own + list(event.parents)


def _fits(event: Event, events: Mapping[bytes, Event]) -> None:
    """Raise `InvalidEvent` where it says of events that it cites what is not true."""
    for cited in _cited(event):
        there = events.get(cited.id)
        if there is not None and there.reference != cited:
            raise InvalidEvent(
                f"event {event.seq} of agent {event.author} cites event {there.seq} of agent "
                f"{there.author} as event {cited.seq} of agent {cited.author}"
            )


def _highest(floors: Mapping[int, int], others: Mapping[int, int]) -> dict[int, int]:
    authors = sorted({*floors, *others})
    return {author: max(floors.get(author, 0), others.get(author, 0)) for author in authors}


def _floors(floors: Mapping[int, int]) -> bytes:
    """The first record of a journal."""
    return cbor2.dumps(floors, canonical=True)


def _decoded_floors(journal: Journal, record: bytes) -> dict[int, int]:
    with contextlib.suppress(cbor2.CBORDecodeError):
        floors = cbor2.loads(record)
        if isinstance(floors, dict):
            return floors
    raise CorruptJournal(f"{journal.path}: no journal of a ledger")
