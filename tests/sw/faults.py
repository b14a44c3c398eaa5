"""Disks that fail: every system call that writes, made to fail or to be the last one.

A test runs a scenario once to count its calls, and then once for each call and each manner of
failing. So it needs no list of the writes, and a new one is tried as soon as it exists.
"""

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

#: How a call fails. `half`: a write does the first half, any other call nothing. `late`: the call
#: does all of its work and then fails, as fsync can. `full`: it and all after it do nothing.
#: `killed`: as `half`, and the process is gone.
MANNERS = ("nothing", "half", "late", "full", "killed")


class Killed(BaseException):
    """Stands for the end of a process: no call that writes does anything after it."""


class Disk:
    """Counts the calls that write, and lets the one of number `failing` fail."""

    def __init__(self, failing: int = 0, manner: str = "nothing") -> None:
        self.calls = 0
        self._failing, self._manner = failing, manner
        self._lasting, self._stopped = manner in ("full", "killed"), False

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
                return call(*arguments, **named)
            if self._manner == "late":
                call(*arguments, **named)
            elif self._manner in ("half", "killed") and name == "pwrite":
                file, data, at = arguments
                if self.calls == self._failing:
                    call(file, data[: len(data) // 2], at)
            if self._manner == "killed":
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
            creates = flags & os.O_CREAT
            return (made.wrap("open", opening) if creates else opening)(path, flags, *rest, **named)

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
