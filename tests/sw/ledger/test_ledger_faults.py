"""A ledger whose disk fails, or that is killed, at every single write."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tmesh.ledger import Event, Journal, KeySet, Kind, Ledger, Reference, ledger

from ..faults import Disk, Killed, Life, each_failure

KEYS, SIGNERS = KeySet.simulated(4, 0)
DECISION = bytes(32)


def seen(one: Ledger) -> tuple[object, ...]:
    """All that a ledger says."""
    return list(one), one.floors, one.missing(), one.equivocators(), [one.head(a) for a in range(4)]


class LedgerLife(Life[Ledger]):
    """An agent `me` with a ledger.

    sent: its own events that it showed to others.
    """

    def __init__(self, folder: Path, me: int, disk: Disk) -> None:
        self.me, self.sent = me, dict[int, Event]()
        super().__init__(folder / "events", disk)

    def make(self, journal: Journal) -> Ledger:
        made = Ledger(KEYS, journal=journal)
        assert set(made) >= {*self.sent.values()}, "an event was sent and is lost"
        return made

    def look(self) -> object:
        for event in self.agent.chain(self.me):
            assert self.sent.setdefault(event.seq, event) == event, "it contradicts itself"
        return seen(self.agent)


def grown() -> list[Event]:
    """Events of agents 1 and 2 that cite each other."""
    made, events = Ledger(KEYS), list[Event]()
    for number in range(8):
        events.append(made.next(SIGNERS[1 + number % 2], Kind.STATEMENT, DECISION, events[-1:]))
    return events


@pytest.mark.parametrize("me", [0, 3])
def test_nothing_is_lost_or_half_done_whichever_write_fails(me: int) -> None:
    """Of `next`, `append`, `merge`, `prune`, and events that were waiting for others."""
    events = grown()
    unseen = Reference(1, 0, bytes(32))  # the other side of an equivocation that never came
    waits = Event(0 if me else 3, 0, Kind.STATEMENT, DECISION, b"", (unseen,), b"")
    waiting = waits.signed(SIGNERS[waits.author])

    def scenario(disk: Disk) -> None:
        with TemporaryDirectory() as folder:
            life = LedgerLife(Path(folder), me, disk)
            life.do(lambda one: one.next(SIGNERS[me], Kind.STATEMENT, DECISION, payload=b"1"))
            for event in events[4:1:-1]:
                life.do(lambda one, event=event: one.append(event))  # type: ignore[misc]
            life.do(lambda one: one.merge(events[:2]))  # and those that waited
            life.do(lambda one: one.merge(events[:5]))  # as none did after a kill
            life.do(lambda one: one.next(SIGNERS[me], Kind.STATEMENT, DECISION, events[:1]))
            life.do(lambda one: one.append(waiting))
            life.do(lambda one: one.prune({1: 1}))
            life.do(lambda one: one.append(waiting))  # as none waited after a kill
            life.do(lambda one: one.next(SIGNERS[waits.author], Kind.STATEMENT, DECISION))
            assert not life.agent.equivocators()
            life.do(lambda one: one.merge(events))
            life.do(lambda one: one.next(SIGNERS[me], Kind.STATEMENT, DECISION, events[-1:]))
            assert {event.id for event in events[1:]} <= life.agent.ids
            assert events[0].id not in life.agent
            life.agent.verify()
            before = seen(life.agent)
            life.end()
            disk.stop()
            with Journal(life.path) as journal:
                back = life.make(journal)
            assert seen(back)[1:] == before[1:]
            assert back.ids == life.agent.ids

    assert sum(1 for _ in each_failure(scenario)) > 80


def test_a_cascade_of_many_records_goes_on_where_it_was() -> None:
    """Events that wait are more than a record of the journal holds; the same call, or a start
    after a kill and the same events, admit the rest."""
    made = Ledger(KEYS)
    events = [
        made.next(SIGNERS[1], Kind.STATEMENT, DECISION, payload=bytes(50_000)) for _ in range(5)
    ]
    assert sum(len(event.encoded) for event in events) > ledger.LARGEST_RECORD

    def scenario(disk: Disk) -> None:
        with TemporaryDirectory() as folder:
            life = LedgerLife(Path(folder), 0, disk)
            some = events[::-1]
            for _ in range(3):
                try:
                    for event in some:
                        life.agent.append(event)
                    break
                except OSError:
                    disk.free()
                    some = events[:1]
                except Killed:
                    life.end()
                    life.agent, some = life.start(), events[::-1]
                assert list(life.agent) == events[: len(life.agent)]
            assert list(life.agent) == events
            life.end()
            disk.stop()
            with Journal(life.path) as journal:
                assert list(Ledger(KEYS, journal=journal)) == events

    assert sum(1 for _ in each_failure(scenario)) > 30
