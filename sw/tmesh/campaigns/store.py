"""A file of results, one line of JSON each, that only grows."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any, Self

from tmesh.errors import FileError, InvalidInput
from tmesh.files import named, sync_folder

#: The first bytes of each line.
BEGIN = b'{"tmesh run": "'


class Store:
    """Results by key. Once `add` has returned, its result outlives a kill and a power failure.

    Opening the file removes a last line that an interrupted `add` left incomplete. Raises
    `FileError` if the file cannot be written or another process adds to it, `InvalidInput` if it
    holds anything else than results; the file is then unchanged. An `add` that fails closes the
    store.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._results: dict[str, Any] = {}
        with named(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b", buffering=0)
        try:
            with named(self.path):
                self._lock()
                self._read()
                sync_folder(self.path.parent)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self._file.close()

    def __contains__(self, key: object) -> bool:
        return key in self._results

    def __getitem__(self, key: str) -> Any:
        return self._results[key]

    def add(self, key: str, result: object, about: object = None) -> None:
        """Append a result, a JSON value. `about` tells a reader of the file which run it is of."""
        line = json.dumps({"tmesh run": key, "about": about, "result": result}, allow_nan=False)
        if self._file.closed:
            raise FileError(f"{self.path}: the store is closed")
        try:
            with named(self.path):
                self._write(line.encode() + b"\n")
        except BaseException:  # a line after an incomplete one would damage both
            self._file.close()
            raise
        self._results[key] = result

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]
        os.fsync(self._file)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileError(f"{self.path}: another process is adding results") from None

    def _read(self) -> None:
        self._file.seek(0)
        *lines, last = self._file.readall().split(b"\n")
        for number, line in enumerate(lines, 1):
            if not self._enter(line):
                raise InvalidInput(f"{self.path}: line {number} is no result")
        if not last:
            return
        if self._enter(last):  # only its end is missing
            self._write(b"\n")
        elif last.startswith(BEGIN) or BEGIN.startswith(last):
            self._file.truncate(sum(len(line) + 1 for line in lines))
        else:
            raise InvalidInput(f"{self.path}: line {len(lines) + 1} is no result")

    def _enter(self, line: bytes) -> bool:
        """Take in a line; whether it is a result."""
        try:
            entry = json.loads(line)
            self._results[entry["tmesh run"]] = entry["result"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return False
        return line.startswith(BEGIN)
