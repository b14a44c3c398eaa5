"""The benches that cocotb loads to be timed; replies are compared here, too.

The first part of the vectors prepares for the others, and the seconds of the fastest of these go to
``TMESH_SECONDS``: of this process, whatever else the machine does.
"""

import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import cocotb
import numpy as np

from tmesh_sim.benches.ip_bench import IpBench, frames
from tmesh_sim.benches.stream_bench import StreamBench, integers


async def timed(parts: Iterator[Any], exchange: Callable[[Any, Any], Awaitable[None]]) -> None:
    """Have each part exchanged."""
    seconds: list[float] = []
    for sent, expected in parts:
        start = time.process_time()
        await exchange(sent, expected)
        seconds.append(time.process_time() - start)
    Path(os.environ["TMESH_SECONDS"]).write_text(repr(min(seconds[1:])), encoding="utf-8")


@cocotb.test(skip="TMESH_BUS" in os.environ)
async def stream(dut: Any) -> None:
    """The engine's own ports, driven as in `stream_bench`, without stalls."""

    async def exchange(sent: list[int], expected: list[int]) -> None:
        part = StreamBench(dut, sent, expected, seed=0)
        driving = cocotb.start_soon(part.drive(stall=0))
        await part.check(stall=0)
        await driving

    await StreamBench(dut, [], [], seed=0).reset()
    with np.load(Path(os.environ["TMESH_VECTORS"])) as archive:
        words = [
            [integers(archive[f"{name}{n}"]) for name in ("sent", "expected")]
            for n in range(len(archive) // 2)
        ]
    await timed(iter(words), exchange)


@cocotb.test(skip="TMESH_BUS" not in os.environ)
async def bus(dut: Any) -> None:
    """The engine with AXI ports, driven by bus models as in `ip_bench`, without stalls."""
    bench = IpBench(dut)

    async def exchange(sent: list[bytes], expected: list[bytes]) -> None:
        assert await bench.exchange(sent, len(expected)) == expected

    await bench.reset()
    parts = int(os.environ["TMESH_BUS"])
    packets = [[frames(f"{name}{n}") for name in ("sent", "expected")] for n in range(parts)]
    await timed(iter(packets), exchange)
