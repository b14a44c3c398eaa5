"""A file of results, one line of JSON each, that only grows."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from tmesh.errors import FileError, InvalidInput

#: The first bytes of a line.
BEGIN = b'{"key": "'


class Store:
    """Results by key. Once `add` has returned, its result outlives a kill and a power failure.

    A last line that an interrupted `add` left incomplete is removed when the file is opened. Raises
    `FileError` if the file cannot be written or another process adds to it, `InvalidInput` if it
    holds anything else than results; it is left as it is then. An `add` that raises `FileError`
    closes the store.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._results: dict[str, Any] = {}
        with self._named():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b", buffering=0)
        try:
            with self._named():
                self._lock()
                self._read()
                self._keep_name()
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
        """Append a result, a JSON value, and what it is about, for a reader of the file."""
        line = json.dumps({"key": key, "about": about, "result": result}, allow_nan=False) + "\n"
        left = memoryview(line.encode())
        try:
            with self._named():
                while left:
                    left = left[self._file.write(left) :]
                os.fsync(self._file)
        except FileError:  # a line after an incomplete one would damage both
            self._file.close()
            raise
        self._results[key] = result

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileError(f"{self.path}: another process is adding results") from None

    def _read(self) -> None:
        self._file.seek(0)
        end = 0
        for number, line in enumerate(self._file.readall().splitlines(keepends=True), 1):
            if not line.endswith(b"\n") and (line.startswith(BEGIN) or BEGIN.startswith(line)):
                self._file.truncate(end)
                return
            end += len(line)
            try:
                entry = json.loads(line)
                self._results[entry["key"]] = entry["result"]
            except (ValueError, KeyError, TypeError, RecursionError):
                raise InvalidInput(f"{self.path}: line {number} is no result") from None

    def _keep_name(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except FileError:
            raise
        except OSError as error:
            raise FileError.of(error, self.path) from None
