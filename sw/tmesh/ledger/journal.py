"""An append-only file of records that survives being killed at any moment."""

import contextlib
import fcntl
import hashlib
import os
import secrets
from pathlib import Path

from tmesh.closing import Closing
from tmesh.errors import CorruptJournal, InvalidInput

#: The file begins with this, a salt, and the salt's digest. Then records: length (4 bytes, little-
#: endian), digest and so many bytes. Digests are keyed by the salt: what others have us write may
#: look like a record, and must not pass for one where a write of it was torn.
MAGIC = b"tmesh journal 2\n"
_SALT, _DIGEST = 16, 8
_START = len(MAGIC) + _SALT + _DIGEST
_HEAD = 4 + _DIGEST

#: No record is longer, so a length beyond it is damage.
LARGEST = 1 << 17


class Journal(Closing):
    """Records (`records`, as they were when it was opened, oldest first) in a file, each on disk
    before `append` returns.

    A write that was torn leaves an incomplete last record, which is cut off when the file is opened
    (`torn` bytes); nobody was told that it had been written. Raises `CorruptJournal` where a record
    before the last is damaged; the file then stays as it is. Raises ``OSError`` where another
    process has the journal open, as a lock on the file's name with `.lock` after it says.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = -1
        self._lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.records: list[bytes] = []
            self.torn = 0
            if self.path.exists():
                data = self.path.read_bytes()
                self._salt, self.records, self._end = _read(self.path, data)
                self.torn = len(data) - self._end
                self._file = os.open(self.path, os.O_RDWR)
                os.ftruncate(self._file, self._end)
            else:
                self.rewrite([])
        except BaseException:
            self.close()
            raise

    def append(self, record: bytes) -> None:
        """Write one record and wait until it is on disk.

        Raises ``OSError`` where it cannot be written; the file is then as before, or, where not
        even that can be had, the journal is closed.
        """
        if self._file < 0:
            raise OSError(f"{self.path}: the journal is closed")
        framed = _framed(self._salt, record)
        try:
            _put(self._file, framed, self._end)
        except OSError:
            try:
                os.ftruncate(self._file, self._end)
            except OSError:
                self.close()
            raise
        self._end += len(framed)

    def rewrite(self, records: list[bytes]) -> None:
        """Put other records in the place of all: after a kill either these are there or those.

        Raises ``OSError`` where they cannot be written; the journal is then as before, or closed.
        """
        salt = secrets.token_bytes(_SALT)
        data = MAGIC + salt + _digest(salt, salt)
        data += b"".join(_framed(salt, record) for record in records)
        new = Path(f"{self.path}.new")
        file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _put(file, data, 0)
            new.replace(self.path)
        except BaseException:
            os.close(file)
            new.unlink(missing_ok=True)
            raise
        if self._file >= 0:
            os.close(self._file)
        self._file, self._salt, self._end = file, salt, len(data)
        try:
            _sync_folder(self.path.parent)
        except BaseException:
            self.close()  # a power failure may bring the old file back, without what follows
            raise

    def close(self) -> None:
        """Let go of the file."""
        for file in (self._file, self._lock):
            if file >= 0:
                with contextlib.suppress(OSError):
                    os.close(file)
        self._file = self._lock = -1


def _put(file: int, data: bytes, at: int) -> None:
    """Write all of it and wait until it is on disk."""
    done = 0
    while done < len(data):
        done += os.pwrite(file, data[done:], at + done)
    os.fsync(file)


def _digest(salt: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST, key=salt).digest()


def _framed(salt: bytes, record: bytes) -> bytes:
    if not 0 < len(record) <= LARGEST:
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


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
