"""The directed acyclic hypergraph of signed events: who saw what, mergeable in any order."""

import dataclasses
import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Self

from tmesh.ledger.event import Event, InvalidEvent, Reference
from tmesh.ledger.journal import Journal
from tmesh.ledger.keys import KeySet

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


class Ledger:
    """A set of events that is closed: with each event it has those that the event used.

    Merging is the union, so it is commutative, associative and idempotent; both sides of an
    equivocation stay in, as evidence. An event that comes before its parents waits for them.

    Parameters
    ----------
    keys: of all agents.
    check: says what is wrong with the payload of an event, or None.
    journal: where admitted events are kept; those that are in it are read first.

    Raises `InvalidEvent` where the journal holds an event that is not valid.
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
        self._generations: dict[bytes, int] = {}
        self._places: dict[tuple[int, int], list[bytes]] = {}
        self._forks: set[tuple[int, int]] = set()
        self._last: dict[int, int] = {}
        self._waiting: dict[bytes, tuple[Event, bytes]] = {}  # and the first that it lacks
        self._wanted: dict[bytes, set[bytes]] = {}
        self._floors: dict[int, Reference] = {}
        self._journal: Journal | None = None
        if journal is not None:
            for record in journal.records:
                self.append(Event.decode(record))
            self._journal = journal

    def append(self, event: Event) -> Admission:
        """Take in one event, and those that waited for it.

        Raises `InvalidEvent` with the reason where it is not signed by its author, contradicts the
        events that it cites, or fails the check; the ledger is then as before. With a journal the
        event is on disk when this returns.
        """
        if event.id in self._events or self._pruned(event.reference):
            return Admission.KNOWN
        event.verify(self.keys)
        reason = self._check(event) if self._check else None
        if reason:
            raise InvalidEvent(reason)
        lacking = [cited for cited in self._cited(event) if not self._known(cited)]
        if lacking:
            self._wait(event, lacking)
            return Admission.WAITING
        self._fits(event)
        self._admit(event)
        ready = sorted(self._wanted.pop(event.id, ()))
        while ready:
            later, _ = self._waiting.pop(ready.pop())
            lacking = [cited for cited in self._cited(later) if not self._known(cited)]
            if lacking:
                self._wait(later, lacking)
                continue
            try:
                self._fits(later)
            except InvalidEvent:
                continue  # it waited in vain: it says of its parents what is not true
            self._admit(later)
            ready += sorted(self._wanted.pop(later.id, ()))
        return Admission.ADMITTED

    def merge(self, other: Iterable[Event]) -> int:
        """The union with another ledger, or with any events; how many of them are new."""
        before = len(self)
        for event in other:
            self.append(event)
        return len(self) - before

    def missing(self) -> set[bytes]:
        """Ids of events to fetch: those that others, which wait, have used."""
        cited = (cited for event, _ in self._waiting.values() for cited in self._cited(event))
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
        return sorted(
            self._events.values(),
            key=lambda event: (self._generations[event.id], event.author, event.seq, event.id),
        )

    def verify(self) -> None:
        """Check everything again. Raises `InvalidEvent` with the first thing that is wrong."""
        for event in self.order():
            if Event.decode(event.encoded) != event:
                raise InvalidEvent(f"event {event.id.hex()} is not what its bytes say")
            event.verify(self.keys)
            for cited in self._cited(event):
                if not self._known(cited):
                    raise InvalidEvent(f"event {event.id.hex()} lacks {cited.id.hex()}")
            self._fits(event)

    def head(self, author: int) -> Event | None:
        """The last event of an author; the one of the smallest id if he signed several."""
        if author not in self._last:
            return None
        return self._events[min(self._places[author, self._last[author]])]

    def prune(self, floors: Mapping[int, int], keep: Iterable[bytes] = ()) -> int:
        """Forget the events of each author below his floor, a number, except those to `keep`,
        proofs of equivocation, and what is too new for a floor; how many are gone.

        The event at the floor must be here. Below it an author's events count as known whatever
        their ids, so that later ones can cite them; they are not taken in again.
        """
        kept = set(keep)
        for fork in self._forks:
            kept.update(self._places[fork])
        gone = []
        for author, floor in floors.items():
            if (author, floor) not in self._places:
                raise ValueError(f"floors: event {floor} of agent {author} is not here")
            here = self._events[min(self._places[author, floor])]
            old = self._floors.get(author)
            if old is None or old.seq < floor:
                self._floors[author] = here.reference
            gone += [
                name
                for (who, seq), ids in self._places.items()
                if who == author and seq < floor
                for name in ids
                if name not in kept
            ]
        for name in gone:
            event = self._events.pop(name)
            del self._generations[name]
            place = self._places[event.author, event.seq]
            place.remove(name)
            if not place:
                del self._places[event.author, event.seq]
        return len(gone)

    def get(self, name: bytes) -> Event | None:
        """The event with this id."""
        return self._events.get(name)

    @property
    def ids(self) -> set[bytes]:
        """Ids of all events."""
        return set(self._events)

    def __contains__(self, name: bytes) -> bool:
        return name in self._events

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[Event]:
        """In the order of admission, so parents before children."""
        return iter(list(self._events.values()))

    def copy(self) -> Self:
        """Another ledger with the same events, without the journal."""
        other = type(self)(self.keys, self._check)
        other._floors = dict(self._floors)
        other.merge(self)
        return other

    def _cited(self, event: Event) -> list[Reference]:
        """The events that it stands on, its own chain first."""
        own = [Reference(event.author, event.seq - 1, event.previous)] if event.seq else []
        return own + list(event.parents)

    def _known(self, cited: Reference) -> bool:
        return cited.id in self._events or self._pruned(cited)

    def _pruned(self, cited: Reference) -> bool:
        floor = self._floors.get(cited.author)
        return floor is not None and cited.seq < floor.seq

    def _fits(self, event: Event) -> None:
        for cited in self._cited(event):
            there = self._events.get(cited.id)
            if there is not None and there.reference != cited:
                raise InvalidEvent(
                    f"event {event.seq} of agent {event.author} cites event {there.seq} of agent "
                    f"{there.author} as event {cited.seq} of agent {cited.author}"
                )

    def _admit(self, event: Event) -> None:
        if self._journal is not None:
            self._journal.append(event.encoded)
        above = [self._generations.get(cited.id, 0) for cited in self._cited(event)]
        self._events[event.id] = event
        self._generations[event.id] = 1 + max(above, default=0)
        place = self._places.setdefault((event.author, event.seq), [])
        place.append(event.id)
        if len(place) > 1:
            self._forks.add((event.author, event.seq))
        self._last[event.author] = max(event.seq, self._last.get(event.author, 0))

    def _wait(self, event: Event, lacking: list[Reference]) -> None:
        if event.id in self._waiting:
            return
        if len(self._waiting) >= WAITING:
            oldest = next(iter(self._waiting))
            _, wanted = self._waiting.pop(oldest)
            self._wanted[wanted].remove(oldest)
            if not self._wanted[wanted]:
                del self._wanted[wanted]
        self._waiting[event.id] = event, lacking[0].id
        self._wanted.setdefault(lacking[0].id, set()).add(event.id)
