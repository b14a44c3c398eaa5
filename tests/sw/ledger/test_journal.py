"""The journal: what was written stays, what was torn goes, and damage is not passed over."""

import errno
import os
from pathlib import Path

import pytest
from tmesh.ledger import CorruptJournal, Journal, KeySet, Kind, Ledger
from tmesh.ledger.event import Event

RECORDS = [b"one", b"two" * 50, b"\x00" * 9, b"four"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "agent.journal"
    with Journal(path) as journal:
        for record in RECORDS:
            journal.append(record)
    return path


def test_records_are_there_again(path: Path) -> None:
    with Journal(path) as journal:
        assert journal.records == RECORDS
        assert journal.torn == 0
        journal.append(b"five")
    with Journal(path) as journal:
        assert journal.records == [*RECORDS, b"five"]


def test_a_torn_record_goes_wherever_it_was_torn(path: Path) -> None:
    """At every byte of the last record, and at every byte of the file's first."""
    data = path.read_bytes()
    last = len(data) - 8 - len(RECORDS[-1])
    for size in range(last, len(data)):
        path.write_bytes(data[:size])
        with Journal(path) as journal:
            assert journal.records == RECORDS[:-1]
            assert journal.torn == size - last
            journal.append(b"new")
        with Journal(path) as journal:
            assert journal.records == [*RECORDS[:-1], b"new"]
    for size in range(16):
        path.write_bytes(data[:size])
        with Journal(path) as journal:
            assert journal.records == []


def test_a_tail_of_anything_goes(path: Path) -> None:
    data = path.read_bytes()
    for tail in (bytes(100), b"\xff" * 30, data[-5:]):
        path.write_bytes(data + tail)
        with Journal(path) as journal:
            assert journal.records == RECORDS


def test_damage_before_valid_records_is_refused(path: Path) -> None:
    """Cutting it off would lose what others were told; the file stays as it is."""
    data = path.read_bytes()
    for place in range(16, len(data) - 8 - len(RECORDS[-1])):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(CorruptJournal, match=r"agent.journal: damaged at byte \d+, valid from"):
            Journal(path)
        assert path.read_bytes() == damaged
    path.write_bytes(b"something else entirely")
    with pytest.raises(CorruptJournal, match="no journal"):
        Journal(path)


def test_one_process_at_a_time(path: Path) -> None:
    with Journal(path), pytest.raises(OSError, match="unavailable"):
        Journal(path)


def test_a_full_disk_leaves_the_journal_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.pwrite

    def full(file: int, data: bytes, offset: int) -> int:
        write(file, data[:3], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal(path) as journal:
        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="No space"):
            journal.append(b"five")
        monkeypatch.setattr(os, "pwrite", write)
        journal.append(b"six")
    with Journal(path) as journal:
        assert journal.records == [*RECORDS, b"six"]


def test_a_ledger_comes_back_from_its_journal(tmp_path: Path) -> None:
    keys, signers = KeySet.simulated(1, 0)
    with Journal(tmp_path / "j") as journal:
        ledger = Ledger(keys, journal=journal)
        first = Event(0, 0, Kind.STATEMENT, bytes(32), b"", (), b"x").signed(signers[0])
        ledger.append(first)
        second = Event(0, 1, Kind.STATEMENT, bytes(32), first.id, (), b"y").signed(signers[0])
        ledger.append(second)
    with Journal(tmp_path / "j") as journal:
        assert list(Ledger(keys, journal=journal)) == [first, second]
