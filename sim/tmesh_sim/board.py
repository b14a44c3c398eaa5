"""A complete board, Verilated, behind a pseudo-terminal."""

import ctypes
from pathlib import Path

import numpy as np

from tmesh_sim.harness import Source, shared_library

_DRIVER = Path(__file__).with_name("bytes.cpp")

#: Clocks of one call: few, since a byte may have to wait for so many; far more than it costs.
CLOCKS = 4096

#: Clocks without a byte after which the board stands still until one comes.
IDLE = 400_000


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
        self._out = np.empty(CLOCKS, dtype=np.uint8)
        self.cycles = 0

    def clock(self, data: bytes, cycles: int = CLOCKS) -> tuple[int, bytes]:
        """Run `cycles` clocks, or fewer if bytes come and then nothing moves: how many of `data`
        were taken, and the bytes that came."""
        if self._handle is None:
            raise ValueError("the simulator is closed")
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
