"""An agent that is killed again and again never contradicts itself and loses nothing it sent."""

import random
from pathlib import Path

import pytest
from tmesh.ledger import Event, Journal, KeySet, Ledger

from ..crash_harness import crash_harness

#: An agent signs events, keeps each, and then sends it: to a file, which outlives it.
AGENT = """
import os, sys
from tmesh.ledger import Event, Journal, KeySet, Kind, Ledger

keys, signers = KeySet.simulated(1, 0)
careful = sys.argv[3] == "careful"

def live(seed):
    air = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    ledger = Ledger(keys, journal=Journal(sys.argv[1]))
    while True:
        last = ledger.head(0)
        seq, previous = (last.seq + 1, last.id) if last else (0, b"")
        payload = os.urandom(1 + seq % 60)  # another life would say something else
        event = Event(0, seq, Kind.STATEMENT, bytes(32), previous, (), payload).signed(signers[0])
        if not careful:
            os.write(air, len(event.encoded).to_bytes(4, "big") + event.encoded)
        ledger.append(event)
        if careful:
            os.write(air, len(event.encoded).to_bytes(4, "big") + event.encoded)
"""

KEYS, _ = KeySet.simulated(1, 0)


def sent(air: Path) -> list[Event]:
    data, events = air.read_bytes() if air.exists() else b"", []
    while len(data) >= 4 and len(data) >= 4 + (size := int.from_bytes(data[:4])):
        events.append(Event.decode(data[4 : 4 + size]))
        data = data[4 + size :]
    return events


def lives(folder: Path, count: int, manner: str) -> tuple[int, int]:
    """Kill an agent so many times, checking in between; how many events it sent, and how many of
    its lives ended in a torn write."""
    rng = random.Random(1)
    log, air = folder / "log", folder / "air"
    torn_tails = 0
    with crash_harness(AGENT, str(log), str(air), manner) as life:
        for number in range(count):
            torn = rng.choice([0, rng.randrange(1, 20)])
            life(torn, rng.randrange(1000), number, None if torn else rng.random() * 0.05)
            if rng.random() < 0.2 and log.exists():  # blocks that never got their data
                with log.open("ab") as tail:
                    tail.write(rng.choice([bytes, rng.randbytes])(rng.randrange(100)))
            with Journal(log) as journal:
                torn_tails += journal.torn > 0
                ledger = Ledger(KEYS, journal=journal)
            ledger.verify()
            for event in sent(air):
                assert event.id in ledger, f"event {event.seq} was sent and is lost"
            assert not ledger.equivocators()
    return len(sent(air)), torn_tails


def test_a_hundred_kills(tmp_path: Path) -> None:
    events, torn = lives(tmp_path, 100, "careful")
    assert events > 200
    assert torn > 20


def test_sending_before_keeping_is_found_out(tmp_path: Path) -> None:
    """The test above can fail."""
    with pytest.raises(AssertionError, match="was sent and is lost"):
        lives(tmp_path, 100, "careless")
