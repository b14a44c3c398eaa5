"""Events that a ledger cannot admit yet, within limits for each author."""

from collections.abc import Iterator

from tmesh.ledger.event import Event, Reference

#: The most events of one author that wait, and the most bytes of them together. So an author's
#: events never displace those of another author.
EVENTS, BYTES = 256, 1 << 18


class Waiting:
    """Events by id, and which event each of them lacks.

    If an author has too many, the events with the highest numbers go first, as a ledger admits
    events in the order of their numbers. They come again when ledgers are reconciled. Events that a
    waiting event of another author stands on go after all others, the oldest first. They may be
    forks, which are admitted together with that event only; so no flood of other forks keeps it
    out.
    """

    def __init__(self) -> None:
        self._events: dict[bytes, Event] = {}
        self._lacks: dict[bytes, bytes] = {}
        self._wanted: dict[bytes, set[bytes]] = {}
        self._citing: dict[bytes, set[bytes]] = {}
        self._authors: dict[int, dict[bytes, None]] = {}  # the oldest first
        self._bytes: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._events)

    def __contains__(self, name: bytes) -> bool:
        return name in self._events

    def __iter__(self) -> Iterator[Event]:
        return iter(list(self._events.values()))

    def get(self, name: bytes) -> Event | None:
        """The event with this id."""
        return self._events.get(name)

    def complete(self, name: bytes) -> bool:
        """Whether an event lacks nothing, and waits for one that cites it."""
        return name in self._events and name not in self._lacks

    def wanting(self, name: bytes) -> list[Event]:
        """Events that lack this one."""
        return [self._events[one] for one in sorted(self._wanted.get(name, ()))]

    def put(self, event: Event, lacks: Reference | None) -> None:
        """Let an event wait for another, or with None for an event that cites it."""
        self.drop(event.id)
        self._events[event.id] = event
        if lacks is not None:
            self._lacks[event.id] = lacks.id
            self._wanted.setdefault(lacks.id, set()).add(event.id)
        for cited in event.cited:
            self._citing.setdefault(cited.id, set()).add(event.id)
        own = self._authors.setdefault(event.author, {})
        own[event.id] = None
        size = self._bytes.get(event.author, 0) + len(event.encoded)
        self._bytes[event.author] = size
        if len(own) > EVENTS or size > BYTES:
            for name in self._dispensable(event.author):
                if len(own) <= EVENTS and self._bytes[event.author] <= BYTES:
                    break
                self.drop(name)

    def _dispensable(self, author: int) -> list[bytes]:
        """An author's events in the order in which they are dropped."""
        own = self._authors[author]
        needed = set[bytes]()
        falling = sorted(own, key=lambda one: (self._events[one].seq, one), reverse=True)
        for name in falling:  # an own event that cites another one has a higher number
            citing = self._citing.get(name, ())
            if any(one in needed or self._events[one].author != author for one in citing):
                needed.add(name)
        return [name for name in falling if name not in needed] + [
            name for name in own if name in needed
        ]

    def drop(self, name: bytes) -> None:
        """Forget an event, if it waits."""
        event = self._events.pop(name, None)
        if event is None:
            return
        lacked = self._lacks.pop(name, None)
        if lacked is not None:
            _remove(self._wanted, lacked, name)
        for cited in event.cited:
            _remove(self._citing, cited.id, name)
        del self._authors[event.author][name]
        self._bytes[event.author] -= len(event.encoded)
        if not self._authors[event.author]:
            del self._authors[event.author], self._bytes[event.author]


def _remove(index: dict[bytes, set[bytes]], key: bytes, name: bytes) -> None:
    """Remove a name from an index, and its key with the last one."""
    index[key].discard(name)
    if not index[key]:
        del index[key]
