"""The common frame of all commands: errors, Ctrl-C, and an output that cannot be written.

Bad input ends with one line and status 2, Ctrl-C with one line and status 130. Any other exception
is a bug: its traceback goes to a file, one line asks for a report, and the status is 1. If standard
output cannot be written, the command drops the text, finishes its work and writes its files.
"""

import contextlib
import io
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from tmesh.errors import TMeshError

#: Exit statuses: bad input, a bug, Ctrl-C (128 + SIGINT) and a closed pipe (128 + SIGPIPE).
BAD_INPUT, BUG, INTERRUPTED, CLOSED = 2, 1, 130, 141

#: Letters of a message, of which values that users gave may be a part.
LONGEST = 500


class Interrupted(Exception):
    """Ctrl-C, with a message: the results that were kept, and the way to continue."""


def guarded(work: Callable[[], int | None]) -> int:
    """Run a command; the status to exit with, `work`'s own if it returns one."""
    output = _Output(sys.stdout)
    replaced, sys.stdout = sys.stdout, output  # a writer is enough
    _lenient(sys.stderr)
    try:
        status = _status(work)
        output.flush()
    finally:
        sys.stdout = replaced
    if output.error is None or status:
        return status
    if isinstance(output.error, BrokenPipeError):  # its reader has seen enough
        return CLOSED
    _complain(f"standard output: {output.error.strerror}")
    return BAD_INPUT


def _status(work: Callable[[], int | None]) -> int:
    try:
        return work() or 0
    except TMeshError as error:
        _complain(str(error))
        return BAD_INPUT
    except Interrupted as reason:
        _complain(f"interrupted: {reason}")
        return INTERRUPTED
    except KeyboardInterrupt:
        _complain("interrupted: nothing was written; the same command starts again")
        return INTERRUPTED
    except Exception as error:
        _complain(_report(error))
        return BUG


def _complain(message: str) -> None:
    """One line on standard error, if there is one; never on standard output."""
    if sys.stderr is None:
        return
    line = " ".join(message.split())
    line = line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
    with contextlib.suppress(OSError):
        print(f"tmesh: {line}", file=sys.stderr)


def _report(error: Exception) -> str:
    """A line about a bug; the traceback goes to a file."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    line = f"this is a bug: {type(error).__name__}: {error}{place}"
    try:
        handle, name = tempfile.mkstemp(prefix="tmesh-bug-", suffix=".txt")
        os.close(handle)
        text = f"{sys.argv}\n{''.join(traceback.format_exception(error))}"
        Path(name).write_text(text, encoding="utf-8", errors="replace")
    except OSError:
        return f"{line[: LONGEST // 2]}; please report it with the command"
    return f"{line[: LONGEST // 2]}; please report it with {name}"


def _lenient(stream: TextIO | None) -> None:
    """Letters that a stream's encoding lacks become question marks."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")


class _Output:
    """Standard output that never raises: it drops what cannot be written, and `error` says why."""

    def __init__(self, stream: TextIO | None) -> None:
        self.error: OSError | None = None
        # A process may have been started without a standard output.
        self._stream = stream or io.StringIO()
        _lenient(self._stream)

    def write(self, text: str) -> int:
        """As a text stream."""
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """As a text stream."""
        self._attempt(self._stream.flush)

    def _attempt(self, action: Callable[[], object]) -> None:
        if self.error is not None:
            return
        try:
            action()
        except OSError as error:
            self.error = error
            # The interpreter flushes the buffer in the end, and would fail again.
            with contextlib.suppress(OSError, ValueError):
                number, nowhere = self._stream.fileno(), os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, number)
                os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
