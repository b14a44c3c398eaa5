"""The bench that cocotb loads to be timed: the driver and monitor of `stream_bench`, no stalls.

The first part of the vectors prepares for the others; the fastest of these counts.
"""

import os
import time
from pathlib import Path
from typing import Any

import cocotb
import numpy as np

from tmesh_sim.benches.stream_bench import StreamBench, integers


@cocotb.test()
async def replies_equal_the_model(dut: Any) -> None:
    """Replies are compared here, too; the seconds go to ``TMESH_SECONDS``."""
    with np.load(Path(os.environ["TMESH_VECTORS"])) as archive:
        parts = [
            [integers(archive[f"{name}{n}"]) for name in ("sent", "expected")]
            for n in range(len(archive) // 2)
        ]
    seconds: list[float] = []
    for sent, expected in parts:
        bench = StreamBench(dut, sent, expected, seed=0)
        if not seconds:
            await bench.reset()
        start = time.perf_counter()
        driving = cocotb.start_soon(bench.drive(stall=0))
        await bench.check(stall=0)
        await driving
        seconds.append(time.perf_counter() - start)
    Path(os.environ["TMESH_SECONDS"]).write_text(repr(min(seconds[1:])), encoding="utf-8")
