"""Agents in processes of their own, that are killed at any moment or while they write."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

#: Forks an agent for every line of its input, so that Python starts once. `live(seed)` is the
#: agent's; in some lives its write number `torn` is cut short, and the process is gone.
SOURCE = """
import os, sys

def tear(torn, size):
    write, calls = os.pwrite, 0

    def tearing(file, data, offset):
        nonlocal calls
        calls += 1
        if calls == torn:
            write(file, data[: size % len(data)], offset)
            os._exit(1)
        return write(file, data, offset)

    os.pwrite = tearing

for line in sys.stdin:
    torn, size, seed = map(int, line.split())
    child = os.fork()
    if not child:
        tear(torn, size)
        live(seed)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""

#: torn: which of its writes is cut short, 0 for none; size: where, in bytes; seed; and seconds
#: until it is killed, None for never.
Life = Callable[[int, int, int, float | None], None]


@contextlib.contextmanager
def crash_harness(agent: str, *arguments: str) -> Iterator[Life]:
    """A function that lets an agent, Python that defines `live(seed)`, live and be killed."""
    command = [sys.executable, "-c", agent + SOURCE, *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def life(torn: int, size: int, seed: int, seconds: float | None) -> None:
            print(torn, size, seed, file=stdin)
            child = int(stdout.readline())
            if seconds is not None:
                time.sleep(seconds)  # the moment of the kill; nothing waits for it
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            assert stdout.readline() == "gone\n"

        yield life
        stdin.close()
