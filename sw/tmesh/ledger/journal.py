"""An append-only file of records that survives being killed at any moment."""

import fcntl
import os
import zlib
from pathlib import Path
from types import TracebackType
from typing import Self

#: First in the file; then records: length and CRC-32, four bytes each, and so many bytes.
MAGIC = b"tmesh journal 1\n"
_HEAD = 8

#: No record is longer, so a length beyond it is damage.
LARGEST = 1 << 17


class CorruptJournal(ValueError):
    """Damage that no torn write explains: valid records follow it."""


class Journal:
    """Records (`records`, oldest first) in a file, each on disk before `append` returns.

    A write that was torn leaves an incomplete last record, which is cut off when the file is opened
    (`torn` bytes); nobody was told that it had been written. Raises `CorruptJournal` where a record
    before the last is damaged, and `OSError` where another process has the file open; the file
    then stays as it is.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            data = self.path.read_bytes()
            self.records, self._end = _read(self.path, data)
            self.torn = len(data) - self._end
            os.ftruncate(self._file, self._end)
            if not self._end:
                self._write(MAGIC)
            _sync_folder(self.path.parent)
        except BaseException:
            os.close(self._file)
            raise

    def append(self, record: bytes) -> None:
        """Write one record and wait until it is on disk.

        Raises ``OSError`` where it cannot be written; the file is then as before.
        """
        if not 0 < len(record) <= LARGEST:
            raise ValueError(f"a record has from 1 to {LARGEST} bytes, not {len(record)}")
        self._write(_framed(record))

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        try:
            done = 0
            while done < len(data):
                done += os.pwrite(self._file, data[done:], self._end + done)
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._end)
            raise
        self._end += len(data)


def _framed(record: bytes) -> bytes:
    return len(record).to_bytes(4, "little") + zlib.crc32(record).to_bytes(4, "little") + record


def _record(data: bytes, at: int) -> bytes | None:
    """The record at an offset, None where there is no whole and undamaged one."""
    size = int.from_bytes(data[at : at + 4], "little")
    record = data[at + _HEAD : at + _HEAD + size]
    if not 0 < size <= LARGEST or len(record) != size:
        return None
    return record if data[at : at + _HEAD + size] == _framed(record) else None


def _read(path: Path, data: bytes) -> tuple[list[bytes], int]:
    """The valid records, and where they end."""
    if not data.startswith(MAGIC):
        if MAGIC.startswith(data):  # torn while it was created
            return [], 0
        raise CorruptJournal(f"{path}: no journal")
    records, at = [], len(MAGIC)
    while at < len(data):
        record = _record(data, at)
        if record is None:
            # One record is written at a time, so what is torn reaches to the end of the file.
            for later in range(at + 1, len(data) - _HEAD):
                if _record(data, later) is not None:
                    raise CorruptJournal(f"{path}: damaged at byte {at}, valid from {later} on")
            break
        records.append(record)
        at += _HEAD + len(record)
    return records, at


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
