"""An append-only file of records that survives being killed at any moment."""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from tmesh.closing import Closing
from tmesh.errors import CorruptJournal, FileError, InvalidInput
from tmesh.files import named, sync_folder
from tmesh.ledger.encoding import octets

#: The file begins with this, a salt, and the salt's digest. Then records: length (4 bytes,
#: little-endian), digest, content. The salt keys the digests: other agents choose content, which
#: may look like a record. It must not pass for one after a torn write.
MAGIC = b"tmesh journal 2\n"
_SALT, _DIGEST = 16, 8
_START = len(MAGIC) + _SALT + _DIGEST
_HEAD = 4 + _DIGEST

#: No record is longer, so a length beyond it is damage.
LARGEST = 1 << 17


class Journal(Closing):
    """Records (`records`, as they were when it was opened, oldest first) in a file, each on disk
    before `append` returns.

    A write that was torn leaves an incomplete last record, which is left out when the file is
    opened (`torn` bytes): `append` never returned. Opening a file writes all of it again, so what
    `records` has is on disk. Raises `CorruptJournal` where a record before the last is damaged; the
    file is then unchanged. Raises ``OSError`` where another process has the journal open, as a lock
    on the file's name with `.lock` after it says.

    If a call raises ``OSError``, the journal is as before that call, and the same call works when
    the disk does again. A record whose write failed can still be on disk after a kill, like one
    that was complete when the kill came.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.records: list[bytes] = []
        self.torn = 0
        self._file = self._lock = -1
        self._intact = True  # whether the kernel is known to hold what the disk does
        try:
            with named(self.path):
                self._lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self.path.exists():
                    self._open()
                else:
                    self.rewrite([])
        except BaseException:
            self.close()
            raise

    def append(self, record: bytes) -> None:
        """Write one record and wait until it is on disk. A kill leaves all of the record or none.

        Raises ``OSError`` where it cannot be written; the journal is then as before.
        """
        framed = _framed(self._salt, record)
        with named(self.path):
            self._check_open()
            if not self._intact:
                self._renew()
            try:
                _write(self._file, framed, self._end)
                self._sync()
            except BaseException:
                self._cut()
                raise
        self._end += len(framed)

    def rewrite(self, records: Sequence[bytes]) -> None:
        """Replace all records by others. A kill leaves the old ones or the new ones.

        Raises ``OSError`` where they cannot be written; the journal is then as before.
        """
        salt = secrets.token_bytes(_SALT)
        data = MAGIC + salt + _digest(salt, salt)
        data += b"".join(_framed(salt, record) for record in records)
        with named(self.path):
            self._check_open()
            self._replace(data)
        self._salt = salt

    def close(self) -> None:
        """Let go of the file."""
        for file in (self._file, self._lock):
            if file >= 0:
                with contextlib.suppress(OSError):
                    os.close(file)
        self._file = self._lock = -1

    def _check_open(self) -> None:
        if self._lock < 0:
            raise FileError(f"{self.path}: the journal is closed")

    def _open(self) -> None:
        """Read an existing file, without the rest of a torn write, and write it again. A killed
        process may have left a record with the kernel alone; the caller acts on it, and must not
        lose it when the power fails."""
        data = self.path.read_bytes()
        self._salt, self.records, end = _read(self.path, data)
        self.torn = len(data) - end
        self._replace(data[:end])

    def _sync(self) -> None:
        # After a failed fsync the kernel may take pages for clean that never reached the disk, and
        # the next fsync reports success. So nothing more is written to this file, see `_renew`.
        self._intact = False
        os.fsync(self._file)
        self._intact = True

    def _cut(self) -> None:
        """Remove a record that failed: a shorter one over it would leave its end in the file."""
        try:
            os.ftruncate(self._file, self._end)
        except OSError:
            self._intact = False

    def _renew(self) -> None:
        """Write all again, into a new file, after a failure that leaves the old one in doubt."""
        data = b""
        while len(data) < self._end:
            some = os.pread(self._file, self._end - len(data), len(data))
            if not some:
                raise CorruptJournal(f"{self.path}: it ends at byte {len(data)}, not {self._end}")
            data += some
        if _read(self.path, data)[2] != self._end:
            raise CorruptJournal(f"{self.path}: a record was lost when the disk failed")
        self._replace(data)

    def _replace(self, data: bytes) -> None:
        """Put a new file in the place of the old one. The old one stays open until the new name is
        on disk: if that fails, the next call restores its records."""
        new = Path(f"{self.path}.new")
        file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _write(file, data, 0)
            os.fsync(file)
            self._intact = False
            new.replace(self.path)
            sync_folder(self.path.parent)
        except BaseException:
            os.close(file)
            with contextlib.suppress(OSError):  # the next one truncates it
                new.unlink(missing_ok=True)
            raise
        old, self._file, self._end, self._intact = self._file, file, len(data), True
        if old >= 0:
            with contextlib.suppress(OSError):  # nothing in it is needed
                os.close(old)


def _write(file: int, data: bytes, at: int) -> None:
    """Write all of it."""
    done = 0
    while done < len(data):
        some = os.pwrite(file, data[done:], at + done)
        if not some:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done += some


def _digest(salt: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST, key=salt).digest()


def _framed(salt: bytes, record: bytes) -> bytes:
    if not 0 < len(octets("record", record)) <= LARGEST:
        raise InvalidInput(f"a record has from 1 to {LARGEST} bytes, not {len(record)}")
    return len(record).to_bytes(4, "little") + _digest(salt, record) + record


def _record(salt: bytes, data: bytes, at: int) -> bytes | None:
    """The record at an offset, None where there is no whole and undamaged one."""
    size = int.from_bytes(data[at : at + 4], "little")
    if not 0 < size <= min(LARGEST, len(data) - at - _HEAD):
        return None
    record = data[at + _HEAD : at + _HEAD + size]
    return record if data[at + 4 : at + _HEAD] == _digest(salt, record) else None


def _read(path: Path, data: bytes) -> tuple[bytes, list[bytes], int]:
    """The salt, the valid records, and where they end."""
    salt = data[len(MAGIC) : len(MAGIC) + _SALT]
    if data[:_START] != MAGIC + salt + _digest(salt, salt):
        raise CorruptJournal(f"{path}: no journal, or damaged before byte {_START}")
    records, at = [], _START
    while at < len(data):
        record = _record(salt, data, at)
        if record is None:
            # One record is written at a time, so what is torn reaches to the end of the file.
            for later in range(at + 1, len(data) - _HEAD):
                if _record(salt, data, later) is not None:
                    raise CorruptJournal(f"{path}: damaged at byte {at}, valid from {later} on")
            break
        records.append(record)
        at += _HEAD + len(record)
    return salt, records, at
