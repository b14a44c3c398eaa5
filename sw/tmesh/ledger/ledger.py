"""The directed acyclic hypergraph of signed events, which two agents can merge in any order."""

import contextlib
import dataclasses
import enum
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Self

import cbor2

from tmesh.errors import CorruptJournal, InvalidEvent, InvalidInput
from tmesh.ledger.encoding import array, loaded, number, octets
from tmesh.ledger.event import LARGEST as LARGEST_EVENT
from tmesh.ledger.event import Event, Kind, Reference
from tmesh.ledger.journal import LARGEST as LARGEST_RECORD
from tmesh.ledger.journal import Journal
from tmesh.ledger.keys import KeySet, Signer
from tmesh.ledger.waiting import Waiting

#: Events with one author and number that a ledger admits by themselves: two are the proof.
FORKS = 2


Get = Callable[[bytes], Event | None]


class Admission(enum.Enum):
    """The fate of an event: `ADMITTED`, already `KNOWN`, or `WAITING` for others."""

    ADMITTED = enum.auto()
    KNOWN = enum.auto()
    WAITING = enum.auto()


@dataclasses.dataclass(frozen=True)
class Equivocation:
    """Proof that an author is Byzantine: two of its events, signed, with one number."""

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
            first, second = array("proof", loaded(data, 2 * LARGEST_EVENT + 16), 2)
        except InvalidInput as error:
            raise InvalidEvent(str(error)) from None
        proof = cls(Event.decode(first), Event.decode(second))
        if proof.encoded != data:
            raise InvalidEvent("the encoding is not canonical")
        return proof


class Ledger:
    """A set of events that is closed: with each event it has those that the event used.

    Merging is the union, so it is commutative, associative and idempotent; both sides of an
    equivocation stay in, as evidence. An event that comes before its parents waits for them. A
    third event with one author and number proves no more: it waits until an event of another
    author stands on it.

    A call computes its changes, writes them, and only then changes anything. So if it raises
    ``OSError``, the ledger is as before, and the same call works when the disk does again. One
    record of the journal holds 128 KiB of events. A call that admits more takes several such
    steps, and the next call continues after the last one.

    Parameters
    ----------
    keys: of all agents.
    check: says what is wrong with the payload of an event, or None. It must depend on nothing but
        the event, or agents will not agree on the valid events.
    journal: where admitted events are kept; events in it are read first, and checked.

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
        self._waiting = Waiting()
        self._unblocked: list[Event] = []  # waiting events that lack only a working disk
        self._floors: dict[int, int] = {}
        self._journal: Journal | None = None
        if journal is not None:
            if journal.records:
                self._restore(journal)
            else:
                journal.append(_floors(self._floors))
            self._journal = journal

    def append(self, event: Event) -> Admission:
        """Take in one event, and the events that waited for it.

        Raises `InvalidEvent` with the reason if its author or a witness did not sign it, if it
        contradicts the events that it cites, or if it fails the check. The ledger is then as
        before. With a journal the event is on disk when this returns. Raises ``OSError`` where it
        cannot be written.
        """
        known = self._known(event.reference)
        self.merge([event])
        if known:
            return Admission.KNOWN
        return Admission.ADMITTED if event.id in self._events else Admission.WAITING

    def next(
        self,
        signer: Signer,
        kind: Kind,
        decision: bytes,
        used: Iterable[Event] = (),
        payload: bytes = b"",
    ) -> Event:
        """Sign the next event of the signer's chain, from the events that it `used`, in any order,
        and append it. With a journal it can be sent when this returns.

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
        before, draft = len(self), _Draft(self._events)
        try:
            for event in self._unblocked:
                if event.id in self._waiting:
                    self._consider(event, draft)
            for event in other:
                if not self._known(event.reference) and event.id not in draft.events:
                    self._valid(event)
                    self._consider(event, draft)
        finally:
            self._admit(list(draft.events.values()))
        return len(self) - before

    def missing(self) -> set[bytes]:
        """Ids of events to fetch, because waiting events cite them."""
        cited = {one.id: one for event in self._waiting for one in event.cited}
        return {
            name
            for name, one in cited.items()
            if name not in self._waiting and not self._known(one)
        }

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
            above = (generations.get(cited.id, 0) for cited in event.cited)
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
            for cited in event.cited:
                # The events that it cites came before it, so the graph has no cycle.
                if cited.id not in seen and not self._below(cited):
                    raise InvalidEvent(f"event {event.id.hex()} lacks {cited.id.hex()}")
            _fits(event, seen.get)
            seen[event.id] = event

    def head(self, author: int) -> Event | None:
        """The last event of an author; the one of the smallest id if it signed several."""
        if author not in self._last:
            return None
        return self._events[min(self._places[author, self._last[author]])]

    def chain(self, author: int) -> list[Event]:
        """All events of an author by number and id, both sides of its equivocations too."""
        own = (event for event in self if event.author == author)
        return sorted(own, key=lambda event: (event.seq, event.id))

    def prune(self, floors: Mapping[int, int], keep: Iterable[bytes] = ()) -> int:
        """Forget the events of each author below its floor, an event number; returns how many.

        Equivocations stay, and so do the events whose ids are in `keep`; an event that an earlier
        call kept needs to be in `keep` again. The journal is rewritten with the rest.

        Floors only rise, and the event at a new one must be here. The ledger knows nothing of an
        author's events below its floor but that they exist. Later events may cite them, they are
        not taken in again, and an equivocation among them is no longer found.

        Raises `InvalidInput` for a floor that is not here and `FileError` if the journal cannot be
        rewritten; nothing is forgotten then.
        """
        floors = {number("floors", one): number("floors", floors[one]) for one in floors}
        for author, floor in floors.items():
            if floor > self._floors.get(author, 0) and (author, floor) not in self._places:
                raise InvalidInput(f"floors: event {floor} of agent {author} is not here")
        after = type(self)(self.keys, self._check)
        after._floors = _highest(self._floors, floors)
        kept = set(keep).union(*(self._places[fork] for fork in self._forks))
        left = [e for e in self if e.id in kept or not after._below(e.reference)]
        for event in left:
            after._enter(event)
        for event in self._waiting:  # some lack no longer what they waited for
            with contextlib.suppress(InvalidEvent):
                after.append(event)
        if self._journal is not None:
            records = [_batch(some) for some in _portions(list(after))]
            self._journal.rewrite([_floors(after._floors), *records])
        gone = len(self) - len(left)
        self._events, self._places, self._forks = after._events, after._places, after._forks
        self._last, self._floors = after._last, after._floors
        self._waiting, self._unblocked = after._waiting, []
        return gone

    def get(self, name: bytes) -> Event | None:
        """The event with this id."""
        return self._events.get(name)

    @property
    def ids(self) -> set[bytes]:
        """Ids of all events."""
        return set(self._events)

    @property
    def surplus(self) -> list[Event]:
        """Third and later events with one author and number that no other author has cited. They
        are not in the ledger, but need not be fetched again."""
        return [event for event in self._waiting if self._waiting.complete(event.id)]

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
        floors, *records = journal.records
        self._floors = _decoded_floors(journal, floors)
        for event in [event for record in records for event in _decoded_batch(journal, record)]:
            self._valid(event)
            if any(not self._known(cited) for cited in event.cited):
                raise InvalidEvent(f"{journal.path}: event {event.id.hex()} lacks its parents")
            _fits(event, self._events.get)
            self._enter(event)

    def _known(self, cited: Reference) -> bool:
        return cited.id in self._events or self._below(cited)

    def _below(self, cited: Reference) -> bool:
        return cited.seq < self._floors.get(cited.author, 0)

    def _valid(self, event: Event) -> None:
        event.verify(self.keys)
        reason = self._check(event) if self._check else None
        if reason:
            raise InvalidEvent(reason)

    def _consider(self, event: Event, draft: "_Draft") -> None:
        """Add an event to a draft with all that waited for it, or let it wait.

        Raises `InvalidEvent` where it says of events that it cites what is not true.
        """
        todo = self._drafted(event, draft)
        while todo:
            with contextlib.suppress(InvalidEvent):  # it cites an event by a wrong author or number
                todo += self._drafted(todo.pop(), draft)

    def _drafted(self, event: Event, draft: "_Draft") -> list[Event]:
        """The events to consider after this one has been added to a draft, or waits."""
        if event.id in draft.events:
            return []
        ready = self._ready(event, draft)
        for one in ready:
            draft.add(one)
        if ready:
            return [later for one in ready for later in self._waiting.wanting(one.id)]
        # Events of other authors may lack only this one, if it is a third event of one number. If
        # not, they wait from now on for the same event as this one.
        wanting = self._waiting.wanting(event.id)
        return [one for one in wanting if one.author != event.author]

    def _ready(self, event: Event, draft: "_Draft") -> list[Event]:
        """The event, after the waiting ones that it stands on; or none, and it waits.

        Only surplus forks can be complete and still wait. An author's own events admit none of its
        forks: otherwise a chain could grow from every fork.
        """
        found: dict[bytes, Event] = {}
        stack = [(event, iter(event.cited))]
        while stack:
            current, cited = stack[-1]
            for one in cited:
                if one.id in found or one.id in draft.events or self._known(one):
                    continue
                waiting = self._waiting.get(one.id)
                if waiting is None or waiting.author == event.author:
                    self._waiting.put(event, one)
                    return []
                stack.append((waiting, iter(waiting.cited)))
                break
            else:
                stack.pop()
                if not self._fits(current, event, lambda name: found.get(name) or draft.get(name)):
                    return []
                found[current.id] = current
        place = event.author, event.seq
        if len(self._places.get(place, ())) + draft.places[place] >= FORKS:
            self._waiting.put(event, None)
            return []
        return list(found.values())

    def _fits(self, current: Event, event: Event, get: Get) -> bool:
        """Whether `current`, on which an event stands, cites events as they are. If not, it never
        can be admitted and is dropped. Raises `InvalidEvent` if `current` is the event itself."""
        try:
            _fits(current, get)
        except InvalidEvent:
            self._waiting.drop(current.id)
            if current is event:
                raise
            self._waiting.put(event, current.reference)
            return False
        return True

    def _admit(self, events: list[Event]) -> None:
        """Write events, as many as one record holds at a time, and then take them in."""
        self._unblocked = [event for event in events if event.id in self._waiting]
        for some in _portions(events):
            if self._journal is not None:
                self._journal.append(_batch(some))
            for event in some:
                self._enter(event)
                self._waiting.drop(event.id)
        self._unblocked = []

    def _enter(self, event: Event) -> None:
        self._events[event.id] = event
        place = self._places.setdefault((event.author, event.seq), [])
        place.append(event.id)
        if len(place) > 1:
            self._forks.add((event.author, event.seq))
        self._last[event.author] = max(event.seq, self._last.get(event.author, 0))


class _Draft:
    """The events of a ledger, and the events that a call is about to admit, causes first."""

    def __init__(self, present: Mapping[bytes, Event]) -> None:
        self.events: dict[bytes, Event] = {}
        self.places: Counter[tuple[int, int]] = Counter()
        self._present = present

    def add(self, event: Event) -> None:
        """Another event that is to be admitted."""
        self.events[event.id] = event
        self.places[event.author, event.seq] += 1

    def get(self, name: bytes) -> Event | None:
        """The event with this id, None if it is neither here nor about to be."""
        return self._present.get(name) or self.events.get(name)


def _fits(event: Event, get: Get) -> None:
    """Raise `InvalidEvent` where it says of events that it cites what is not true."""
    for cited in event.cited:
        there = get(cited.id)
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
    with contextlib.suppress(InvalidInput):
        floors = loaded(record, LARGEST_RECORD)
        if isinstance(floors, dict):
            return {number("author", one): number("floor", floors[one]) for one in floors}
    raise CorruptJournal(f"{journal.path}: no journal of a ledger")


def _portions(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Events in order, in lists that each fit into a record."""
    some, size = list[Event](), 0
    for event in events:
        more = len(event.encoded) + 5  # the head of a byte string, as that of the array
        if some and size + more + 5 > LARGEST_RECORD:
            yield some
            some, size = [], 0
        some.append(event)
        size += more
    if some:
        yield some


def _batch(events: Iterable[Event]) -> bytes:
    """A record of a journal: events that are admitted together."""
    return cbor2.dumps([event.encoded for event in events], canonical=True)


def _decoded_batch(journal: Journal, record: bytes) -> list[Event]:
    try:
        parts = [octets("event", one) for one in array("record", loaded(record, LARGEST_RECORD))]
    except InvalidInput as error:
        raise CorruptJournal(f"{journal.path}: no journal of a ledger: {error}") from None
    return [Event.decode(part) for part in parts]
