"""An agent that is killed again and again never contradicts itself and loses nothing it sent."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tmesh.ledger import Event, Journal, KeySet, Ledger

#: Forks an agent for every line of its input, so that Python starts once. An agent signs events,
#: keeps each, and then sends it: to a file, which outlives it. In some lives a write is torn: a
#: part of it is written, then the process is gone.
NURSERY = """
import os, sys
from tmesh.ledger import Event, Journal, KeySet, Kind, Ledger

keys, signers = KeySet.simulated(1, 0)
careful = sys.argv[3] == "careful"

def live(torn, size):
    air = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    ledger = Ledger(keys, journal=Journal(sys.argv[1]))
    write, calls = os.pwrite, 0

    def tearing(file, data, offset):
        nonlocal calls
        calls += 1
        if calls == torn:
            write(file, data[: size % len(data)], offset)
            os._exit(1)
        return write(file, data, offset)

    os.pwrite = tearing
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

for line in sys.stdin:
    torn, size = map(int, line.split())
    child = os.fork()
    if not child:
        live(torn, size)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
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
    command = [sys.executable, "-c", NURSERY, str(log), str(air), manner]
    torn_tails = 0
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as nursery:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        for _ in range(count):
            torn = rng.choice([0, rng.randrange(1, 20)])
            print(torn, rng.randrange(1000), file=nursery.stdin)
            child = int(nursery.stdout.readline())
            if not torn:
                time.sleep(rng.random() * 0.05)
                os.kill(child, signal.SIGKILL)
            assert nursery.stdout.readline() == "gone\n"
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
        nursery.stdin.close()
    return len(sent(air)), torn_tails


def test_a_hundred_kills(tmp_path: Path) -> None:
    events, torn = lives(tmp_path, 100, "careful")
    assert events > 200
    assert torn > 20


def test_sending_before_keeping_is_found_out(tmp_path: Path) -> None:
    """The test above can fail."""
    with pytest.raises(AssertionError, match="was sent and is lost"):
        lives(tmp_path, 100, "careless")
