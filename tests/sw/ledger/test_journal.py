"""The journal: what was written stays, what was torn goes, and damage is not passed over."""

import errno
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tmesh.ledger import CorruptJournal, InvalidEvent, Journal, KeySet, Kind, Ledger

#: Before the first record, and before the bytes of each.
START, HEAD = 40, 12

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
    """At every byte of the last record."""
    data = path.read_bytes()
    last = len(data) - HEAD - len(RECORDS[-1])
    for size in range(last, len(data)):
        path.write_bytes(data[:size])
        with Journal(path) as journal:
            assert journal.records == RECORDS[:-1]
            assert journal.torn == size - last
            journal.append(b"new")
        with Journal(path) as journal:
            assert journal.records == [*RECORDS[:-1], b"new"]


def test_a_tail_of_anything_goes(path: Path) -> None:
    data = path.read_bytes()
    for tail in (bytes(100), b"\xff" * 30, data[-5:]):
        path.write_bytes(data + tail)
        with Journal(path) as journal:
            assert journal.records == RECORDS


def test_damage_before_valid_records_is_refused(path: Path) -> None:
    """Cutting it off would lose what others were told; the file stays as it is."""
    data = path.read_bytes()
    for place in range(len(data) - HEAD - len(RECORDS[-1])):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        reason = "no journal" if place < START else r"damaged at byte \d+, valid from \d+ on"
        with pytest.raises(CorruptJournal, match=rf"agent.journal: {reason}"):
            Journal(path)
        assert path.read_bytes() == damaged
    path.write_bytes(b"something else entirely")
    with pytest.raises(CorruptJournal, match="no journal"):
        Journal(path)


def test_what_looks_like_a_record_in_a_torn_one_is_none(path: Path) -> None:
    """Others choose what we write; were it taken for a valid record, a torn write that held it
    would look like damage, and the agent could not start again."""
    whole = path.read_bytes()
    with Journal(path.with_name("theirs")) as theirs:
        theirs.append(b"evil")
    with Journal(path) as journal:
        journal.append(theirs.path.read_bytes()[START:] * 3)
    path.write_bytes(path.read_bytes()[:-1])
    with Journal(path) as journal:
        assert journal.records == RECORDS
    assert path.read_bytes() == whole


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


def test_what_cannot_be_undone_closes_the_journal(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with Journal(path) as journal:
        monkeypatch.setattr(os, "fsync", fail)
        monkeypatch.setattr(os, "ftruncate", fail)
        with pytest.raises(OSError, match="Input/output"):
            journal.append(b"five")
        with pytest.raises(OSError, match=r"agent.journal: the journal is closed"):
            journal.append(b"six")


def test_records_have_a_size(path: Path) -> None:
    with Journal(path) as journal:
        for record in (b"", bytes((1 << 17) + 1)):
            with pytest.raises(ValueError, match="a record has from 1 to 131072 bytes, not"):
                journal.append(record)
    with Journal(path) as journal:
        assert journal.records == RECORDS


#: The call of so many, of those that write, fails or ends the process.
REWRITING = """
import os, runpy, sys
from pathlib import Path

Journal = runpy.run_path(sys.argv[4])["Journal"]  # alone, so that Python starts quickly
path, last, exits = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "exits"
calls = 0

def counted(call):
    def counting(*arguments):
        global calls
        calls += 1
        if calls == last:
            if exits:
                os._exit(1)
            raise OSError("no more")
        return call(*arguments)
    return counting

os.pwrite, os.fsync, Path.replace = map(counted, (os.pwrite, os.fsync, Path.replace))
with Journal(path) as journal:
    try:
        journal.rewrite([b"new"])
        journal.append(b"newer")
    except OSError:
        pass
"""


@pytest.mark.parametrize("manner", ["fails", "exits"])
def test_rewriting_leaves_the_old_or_the_new(path: Path, manner: str) -> None:
    """Whichever call fails, or is the last before the process is gone: write, sync, rename, sync
    of the folder, then those of the next record."""
    source, outcomes = inspect.getfile(Journal), []
    for last in range(1, 8):
        with Journal(path) as journal:
            journal.rewrite(RECORDS)
        command = [sys.executable, "-c", REWRITING, str(path), str(last), manner, source]
        subprocess.run(command, check=manner == "fails")
        with Journal(path) as journal:
            outcomes.append(journal.records)
            assert not journal.torn
    new, newer = [b"new"], [b"new", b"newer"]
    # A record that was written and not synchronised may be there after a kill, not after an error.
    sixth = newer if manner == "exits" else new
    assert outcomes == [RECORDS] * 3 + [new, new, sixth, newer]


def test_a_ledger_comes_back_from_its_journal(tmp_path: Path) -> None:
    keys, signers = KeySet.simulated(1, 0)
    with Journal(tmp_path / "j") as journal:
        ledger = Ledger(keys, journal=journal)
        first, second, third = (
            ledger.next(signers[0], Kind.STATEMENT, bytes(32), payload=text)
            for text in (b"x", b"y", b"z")
        )
    with Journal(tmp_path / "j") as journal:
        back = Ledger(keys, journal=journal)
        assert list(back) == [first, second, third]
        back.verify()
        assert back.prune({0: 2}, [first.id]) == 1
        fourth = back.next(signers[0], Kind.STATEMENT, bytes(32))
    with Journal(tmp_path / "j") as journal:
        pruned = Ledger(keys, journal=journal)
        assert list(pruned) == [first, third, fourth]
        assert pruned.floors == {0: 2}
        pruned.verify()


def test_a_journal_that_holds_no_ledger_is_refused(tmp_path: Path) -> None:
    """Every event is checked again when it is read, and none may lack its parents."""
    keys, signers = KeySet.simulated(1, 0)
    whole = Ledger(keys)
    first, second = (whole.next(signers[0], Kind.STATEMENT, bytes(32)) for _ in range(2))
    forged = first.encoded[:-4] + b"\x00" + first.encoded[-3:]
    for records, reason in (
        ([b"\xa0", second.encoded], "lacks its parents"),
        ([b"\xa0", forged], "did not sign"),
        ([b"\xa0", b"text"], "no CBOR|event"),
        ([first.encoded], "no journal of a ledger"),
        ([b"\xff"], "no journal of a ledger"),
    ):
        with Journal(tmp_path / "j") as journal:
            journal.rewrite(records)
        with (
            Journal(tmp_path / "j") as journal,
            pytest.raises((InvalidEvent, CorruptJournal), match=reason),
        ):
            Ledger(keys, journal=journal)


def test_what_cannot_be_kept_is_not_in_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor pruned; and it goes on when the disk does."""
    keys, signers = KeySet.simulated(2, 0)
    with Journal(tmp_path / "j") as journal:
        ledger, other = Ledger(keys, journal=journal), Ledger(keys)
        events = [other.next(signers[1], Kind.STATEMENT, bytes(32)) for _ in range(4)]
        ledger.merge(events[2:0:-1])  # wait
        write, calls = os.pwrite, 0

        def full(file: int, data: bytes, offset: int) -> int:
            nonlocal calls
            calls += 1
            if calls > 1:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(file, data, offset)

        monkeypatch.setattr(os, "pwrite", full)
        for event in events[:2]:  # the first is kept, but not what waited for it
            with pytest.raises(OSError, match="No space"):
                ledger.append(event)
            assert not ledger.missing()
        with pytest.raises(OSError, match="No space"):
            ledger.prune({1: 0})
        assert list(ledger) == events[:1]
        assert not ledger.floors
        monkeypatch.setattr(os, "pwrite", write)
        ledger.merge(other)
        ledger.verify()
    with Journal(tmp_path / "j") as journal:
        assert list(Ledger(keys, journal=journal)) == events
