"""A file of results, one line of JSON each, that only grows."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from tmesh.errors import FileError, InvalidInput


class Store:
    """Results by key. One that `add` returned from outlives a kill and a power failure.

    A line that an interrupted write left incomplete is removed. Raises `FileError` if the file
    cannot be written or another process has it open, `InvalidInput` if it holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._results: dict[str, Any] = {}
        with self._named():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
        try:
            with self._named():
                self._lock()
                self._read()
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
        with self._named():
            self._file.write(line.encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        self._results[key] = result

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileError(f"{self.path}: another process is adding results") from None

    def _read(self) -> None:
        self._file.seek(0)
        end = 0
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n"):
                self._file.truncate(end)
                return
            end += len(line)
            try:
                entry = json.loads(line)
                self._results[entry["key"]] = entry["result"]
            except (ValueError, KeyError, TypeError, RecursionError):
                raise InvalidInput(f"{self.path}: line {number} is no result") from None

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except FileError:
            raise
        except OSError as error:
            raise FileError.of(error, self.path) from None
