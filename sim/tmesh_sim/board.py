"""A complete board, Verilated, behind a pseudo-terminal."""

import ctypes
import os
import select
import threading
import tty
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from tmesh.config import CoreConfig, core_config
from tmesh.errors import InvalidInput
from tmesh_hw.boards import BOARDS
from tmesh_hw.digest import build_digest
from tmesh_hw.export import pins_verilog
from tmesh_hw.link import SerialEngine

from tmesh_sim.harness import Source, shared_library

_DRIVER = Path(__file__).with_name("bytes.cpp")

#: Clocks of one call: few, since a byte may have to wait for all of them; but far more than the
#: call costs.
CLOCKS = 1024

#: Words that the link keeps each way where the configuration is that of no board.
DEPTH = 512

#: Bytes that are taken from a terminal, or given, at a time.
BUFFER = 4096

#: Clocks without a byte after which the board stands still until one comes; the slowest command
#: takes 10 000, and the link has no timer.
IDLE = 20_000


class VerilatedBytes:
    """A running Verilated top that talks in bytes: over a serial line with `divisor` clocks a bit,
    or, with 0, over AXI4-Streams of bytes."""

    def __init__(self, source: str | Source, divisor: int = 0, trace: Path | None = None) -> None:
        header = f"#define DIVISOR {divisor}\n" if divisor else ""
        library = ctypes.CDLL(str(shared_library(source, _DRIVER, header, trace)))
        library.tmesh_open.restype = ctypes.c_void_p
        library.tmesh_open.argtypes = [ctypes.c_char_p]
        library.tmesh_close.argtypes = [ctypes.c_void_p]
        library.tmesh_clock.restype = ctypes.c_int64
        count = ctypes.POINTER(ctypes.c_int64)
        library.tmesh_clock.argtypes = [
            ctypes.c_void_p,
            ctypes.c_int64,
            ctypes.c_int64,
            ctypes.c_char_p,
            ctypes.c_int64,
            ctypes.c_void_p,
            count,
            count,
        ]
        if trace is not None:
            trace.parent.mkdir(parents=True, exist_ok=True)
        self._library = library
        self._handle: int | None = library.tmesh_open(str(trace or "").encode())
        self._out = np.empty(BUFFER, dtype=np.uint8)
        self.cycles = 0

    def clock(self, data: bytes, cycles: int = CLOCKS) -> tuple[int, bytes]:
        """Run `cycles` clocks, or fewer if bytes come and then nothing moves: how many of `data`
        were taken, and the bytes that came."""
        if self._handle is None:
            raise InvalidInput("the simulator is closed")
        taken, got = ctypes.c_int64(), ctypes.c_int64()
        out = self._out
        self.cycles += self._library.tmesh_clock(
            self._handle,
            cycles,
            len(data),
            data,
            len(out),
            out.ctypes.data,
            ctypes.byref(taken),
            ctypes.byref(got),
        )
        return taken.value, out[: got.value].tobytes()

    def close(self) -> None:
        """Free the model and finish the trace file."""
        if self._handle is not None:
            self._library.tmesh_close(self._handle)
            self._handle = None


class SimulatedBoard:
    """The complete top of a board, `SerialEngine`, Verilated behind a pseudo-terminal.

    config: the core configuration; that of a board has its link's queues, too. divisor: clocks of a
    bit on the line; few make it fast. trace: a waveform file. `path` is the terminal, `core` what
    runs, `digest` its build. A context manager, in which a thread runs the board; or call `serve`.
    """

    def __init__(
        self, config: str | CoreConfig = "board", divisor: int = 3, trace: Path | None = None
    ) -> None:
        self.config, self.divisor = core_config(config), divisor
        digest = build_digest(self.config)
        self.digest = f"{digest:032x}"
        depths = (board.depth for board in BOARDS.values() if board.config == self.config)
        depth = next(depths, DEPTH)
        top = SerialEngine(config=self.config, divisor=divisor, depth=depth, digest=digest)
        source = Source(lambda: pins_verilog(top), f"{self.digest} board {divisor} {depth}")
        self.core = VerilatedBytes(source, divisor, trace)
        # Both ends stay open, so that the terminal outlives the programs that use it.
        self._terminal, self._other = os.openpty()
        tty.setraw(self._other)
        os.set_blocking(self._terminal, False)
        self.path = os.ttyname(self._other)
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self.serve, daemon=True)

    def serve(self) -> None:
        """Run the board until `stop`. It stands still while nothing is to be done."""
        inward = outward = b""
        busy = 0
        while True:
            awaited = [self._terminal] if len(inward) < BUFFER else []
            wanted = [self._terminal] if outward else []
            still = None if busy <= 0 and not inward else 0
            ready, free, _ = select.select([self._wake, *awaited], wanted, [], still)
            if self._wake in ready:
                return
            if self._terminal in ready:
                inward += os.read(self._terminal, BUFFER)
            if free:
                outward = outward[os.write(self._terminal, outward) :]
            taken, came = self.core.clock(inward)
            inward, outward = inward[taken:], outward + came
            busy = IDLE if taken or came else busy - CLOCKS

    def stop(self) -> None:
        """Let `serve` return."""
        os.write(self._waker, b"\0")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._thread.join()
        self.close()

    def close(self) -> None:
        """Unplug it: a process that has the terminal open gets an error."""
        self.core.close()
        for end in (self._terminal, self._other, self._wake, self._waker):
            os.close(end)
