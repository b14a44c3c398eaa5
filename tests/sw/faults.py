"""Disks that fail: every system call that writes, made to fail or to be the last one.

A test runs a scenario once to count its calls, and then once for each call and each manner of
failing. So it needs no list of the writes, and a new one is tried as soon as it exists. The page
cache of the kernel outlives a process, and is lost when the power fails.
"""

import abc
import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest
from tmesh.ledger import Journal

Agent = TypeVar("Agent")

#: How a call fails. `half`: a write does the first half, any other call nothing. `late`: the call
#: does all of its work and then fails, as fsync can. `full`: it and all after it do nothing.
#: `killed`: as `half`, and the process is gone. `power`: as `killed`, and so is the page cache.
MANNERS = ("nothing", "half", "late", "full", "killed", "power")


_UNLINK = Path.unlink  # as it is, before a `Disk` wraps it


class Killed(BaseException):
    """Stands for the end of a process: no call that writes does anything after it."""


class Platter:
    """What a power failure leaves: each file as its last `fsync` left it, and each name as the last
    `fsync` of its folder did."""

    def __init__(self) -> None:
        self._files: dict[int, bytes] = {}
        self._names: dict[Path, int] = {}
        self._seen: set[Path] = set()
        self._lost: set[int] = set()

    def opened(self, path: Path, file: int, new: bool) -> None:
        """A file was made, or emptied."""
        number = os.fstat(file).st_ino
        self._seen.add(path)
        self._lost.discard(number)
        if new:  # the number may have been another file's
            self._files.pop(number, None)

    def note(self, name: str, *arguments: Any) -> None:
        """A call succeeded."""
        if name == "fsync":
            self._synced(*arguments)
        elif name == "replace":
            self._seen.add(Path(arguments[1]))

    def _synced(self, file: int) -> None:
        """After an `fsync` that failed the next one succeeds, but writes nothing."""
        status = os.fstat(file)
        if not stat.S_ISDIR(status.st_mode):
            if status.st_ino not in self._lost:
                self._files[status.st_ino] = os.pread(file, status.st_size, 0)
            return
        for path in self._seen:
            if os.path.samestat(status, path.parent.stat()):
                self._names.pop(path, None)
                if path.exists():
                    self._names[path] = path.stat().st_ino

    def failed(self, file: int) -> None:
        """An `fsync` failed."""
        self._lost.add(os.fstat(file).st_ino)

    def remain(self) -> None:
        """Put all files in that state."""
        for path in self._seen:
            if path not in self._names:
                _UNLINK(path, missing_ok=True)
        left = {path: self._files.get(number, b"") for path, number in self._names.items()}
        for path, data in left.items():
            path.write_bytes(data)
            self._names[path] = path.stat().st_ino
            self._files[self._names[path]] = data


class Disk:
    """Counts the calls that write, and lets the one of number `failing` fail."""

    def __init__(self, failing: int = 0, manner: str = "nothing") -> None:
        self.calls = 0
        self._failing, self._manner = failing, manner
        self._kills = manner in ("killed", "power")
        self._lasting, self._stopped = self._kills or manner == "full", False
        self.platter = Platter()

    def free(self) -> None:
        """There is room again."""
        self._lasting = False

    def stop(self) -> None:
        """Count no more calls, and let none fail."""
        self._stopped = True

    def _fails(self) -> bool:
        if self._stopped:
            return False
        self.calls += 1
        return self.calls == self._failing or (self._lasting and self.calls > self._failing > 0)

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, that may fail."""

        def failing(*arguments: Any, **named: Any) -> Any:
            if not self._fails():
                done = call(*arguments, **named)
                self.platter.note(name, *arguments)
                return done
            if self._manner == "late":
                call(*arguments, **named)
            elif (self._manner == "half" or self._kills) and name == "pwrite":
                file, data, at = arguments
                if self.calls == self._failing:
                    call(file, data[: len(data) // 2], at)
            if name == "fsync":
                self.platter.failed(*arguments)
            if self._manner == "power" and self.calls == self._failing:
                self.platter.remain()
            if self._kills:
                raise Killed
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return failing


@contextlib.contextmanager
def disk(failing: int = 0, manner: str = "nothing") -> Iterator[Disk]:
    """All calls by which a journal changes a disk go through the `Disk`."""
    made = Disk(failing, manner)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("pwrite", "fsync", "ftruncate"):
            patch.setattr(os, name, made.wrap(name, getattr(os, name)))
        for name in ("replace", "unlink"):
            patch.setattr(Path, name, made.wrap(name, getattr(Path, name)))
        opening = os.open

        def opened(path: Any, flags: int, *rest: Any, **named: Any) -> int:
            if not flags & os.O_CREAT:
                return opening(path, flags, *rest, **named)
            new = not Path(path).exists()
            file: int = made.wrap("open", opening)(path, flags, *rest, **named)
            if new or flags & os.O_TRUNC:
                made.platter.opened(Path(path), file, new)
            return file

        patch.setattr(os, "open", opened)
        yield made


def each_failure(scenario: Callable[[Disk], object]) -> Iterator[Disk]:
    """Run a scenario once as it is, and then with each of its calls failing in each manner."""
    tempfile.gettempdir()  # it writes a file the first time
    with disk() as counted:
        scenario(counted)
    for failing in range(1, counted.calls + 1):
        for manner in MANNERS:
            with disk(failing, manner) as made:
                scenario(made)
                assert made.calls >= failing
            yield made


def again(disk: Disk, call: Callable[[], Any], look: Callable[[], Any]) -> Any:
    """The result of a call, repeated if the disk failed. `look` must see no change in between."""
    before = look()
    try:
        return call()
    except OSError:
        assert look() == before, "a call that failed changed something"
    disk.free()
    return call()


class Life(abc.ABC, Generic[Agent]):
    """An agent with a journal, that repeats each call that fails, and starts again when killed.
    Soon after that the power fails, too."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self.path, self.disk = path, disk
        self.journal: Journal | None = None
        self.agent = self.start()

    @abc.abstractmethod
    def make(self, journal: Journal) -> Agent:
        """The agent, from its journal, which has all that it showed to others."""

    @abc.abstractmethod
    def look(self) -> object:
        """All that the agent is. Notes what it shows to others."""

    def start(self) -> Agent:
        """Start from the journal, or make one."""
        for _ in range(3):
            try:
                if self.journal is None:
                    self.journal = Journal(self.path)
                return self.make(self.journal)
            except OSError:
                self.disk.free()
            except Killed:
                self.end()
        raise AssertionError("it does not start")

    def end(self) -> None:
        """Close all files, as the kernel does for a dead process."""
        self.disk.free()
        if self.journal is not None:
            self.journal.close()
            self.journal = None

    def do(self, call: Callable[[Agent], object]) -> None:
        """A call of the agent."""
        try:
            again(self.disk, lambda: call(self.agent), self.look)
        except Killed:
            self.end()
            self.agent = self.start()
            self.look()
            self.end()
            self.disk.platter.remain()
            self.agent = self.start()
            call(self.agent)
        self.look()
