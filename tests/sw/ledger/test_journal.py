"""The journal: what was written stays, what was torn goes, and damage is not passed over."""

import errno
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import cbor2
import pytest
from tmesh.ledger import CorruptJournal, InvalidEvent, Journal, KeySet, Kind, Ledger

from ..faults import Disk, Killed, disk, each_failure

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


def test_a_closed_journal_says_so(path: Path) -> None:
    journal = Journal(path)
    journal.close()
    for call in (lambda: journal.append(b"five"), lambda: journal.rewrite([])):
        with pytest.raises(OSError, match=r"agent.journal: the journal is closed"):
            call()


def test_a_file_is_not_trusted_after_its_fsync_failed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel may have dropped the pages and reports success from then on, so the next record
    goes into a new file, with all before it."""
    sync = os.fsync

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with Journal(path) as journal:
        before = path.stat().st_ino
        monkeypatch.setattr(os, "fsync", fail)
        for _ in range(2):
            with pytest.raises(OSError, match="Input/output"):
                journal.append(b"five")
        monkeypatch.setattr(os, "fsync", sync)
        journal.append(b"six")
        assert path.stat().st_ino != before
    with Journal(path) as journal:
        assert journal.records == [*RECORDS, b"six"]


def test_records_have_a_size(path: Path) -> None:
    with Journal(path) as journal:
        for record in (b"", bytes((1 << 17) + 1)):
            with pytest.raises(ValueError, match="a record has from 1 to 131072 bytes, not"):
                journal.append(record)
    with Journal(path) as journal:
        assert journal.records == RECORDS


def test_whichever_call_fails_the_journal_is_as_before_and_goes_on() -> None:
    """Opening, appending and rewriting; after a kill, the records are those before the call or
    after it."""

    def scenario(disk: Disk) -> None:
        with TemporaryDirectory() as folder:
            path, wanted, journal = Path(folder) / "log", list[bytes](), None
            todo: list[tuple[str, object, list[bytes]]] = [
                ("append", b"one", [b"one"]),
                ("append", b"two" * 50, [b"one", b"two" * 50]),
                ("rewrite", [b"new"], [b"new"]),
                ("append", b"newer", [b"new", b"newer"]),
            ]
            allowed = [wanted]
            while todo or journal is None:
                try:
                    if journal is None:
                        journal = Journal(path)
                        assert journal.records in allowed
                        if todo and journal.records == todo[0][2]:  # it was on disk before the kill
                            wanted = todo.pop(0)[2]
                    if todo:
                        call, argument, after = todo[0]
                        allowed = [wanted, after]
                        getattr(journal, call)(argument)
                        wanted, allowed = after, [after]
                        del todo[0]
                except OSError:
                    disk.free()
                except Killed:
                    disk.free()
                    if journal is not None:
                        journal.close()
                    journal = None
            journal.close()
            disk.stop()
            with Journal(path) as journal:
                assert journal.records == wanted == [b"new", b"newer"]
                assert not journal.torn
            assert not path.with_name("log.new").exists()

    assert sum(1 for _ in each_failure(scenario)) > 60


@pytest.mark.parametrize("manner", ["killed", "nothing"])
def test_what_a_journal_returns_is_on_disk(tmp_path: Path, manner: str) -> None:
    """A kill comes between the write of a record and its fsync, or after that failed: the next
    process finds the record in the page cache and acts on it, and then the power fails."""
    with disk() as counted, Journal(tmp_path / "first") as journal:
        before = counted.calls
    sync = before + 2  # of the first record, after its write
    with disk(sync, manner) as made:
        journal, failure = Journal(tmp_path / "log"), Killed if manner == "killed" else OSError
        journal._cut = lambda: None  # type: ignore[method-assign]  # the kill comes before it
        with pytest.raises(failure):
            journal.append(b"vote")
        journal.close()
        made.stop()
        with Journal(tmp_path / "log") as journal:
            assert journal.records == [b"vote"]
        made.platter.remain()
        with Journal(tmp_path / "log") as journal:
            assert journal.records == [b"vote"]


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
        ([b"\xa0", cbor2.dumps([second.encoded])], "lacks its parents"),
        ([b"\xa0", cbor2.dumps([forged])], "did not sign"),
        ([b"\xa0", cbor2.dumps([b"text"])], "no CBOR|event"),
        ([b"\xa0", b"text"], "no journal of a ledger"),
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
            if calls > 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(file, data, offset)

        monkeypatch.setattr(os, "pwrite", full)
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                ledger.append(events[0])
            assert ledger.missing() == {events[0].id}
        with pytest.raises(OSError, match="No space"):
            ledger.next(signers[0], Kind.STATEMENT, bytes(32))
        assert not len(ledger)
        assert not ledger.floors
        monkeypatch.setattr(os, "pwrite", write)
        ledger.merge(other)
        ledger.verify()
    with Journal(tmp_path / "j") as journal:
        assert list(Ledger(keys, journal=journal)) == events
