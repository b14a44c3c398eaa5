"""The bench that cocotb loads to be timed: the bus models of `ip_bench`, without stalls.

The first part of the vectors prepares for the others, and the seconds of the fastest of these go to
``TMESH_SECONDS``: of this process, whatever else the machine does.
"""

import os
import time
from pathlib import Path
from typing import Any

import cocotb
import numpy as np

from tmesh_sim.benches.ip_bench import IpBench, frames


@cocotb.test()
async def replies_equal_the_model(dut: Any) -> None:
    """Each part; timed results are compared, too."""
    with np.load(Path(os.environ["TMESH_VECTORS"])) as archive:
        parts = len(archive) // 2
    bench, seconds = IpBench(dut), []
    await bench.reset()
    for n in range(parts):
        sent, expected = frames(f"sent{n}"), frames(f"expected{n}")
        start = time.process_time()
        assert await bench.exchange(sent, len(expected)) == expected
        seconds.append(time.process_time() - start)
    Path(os.environ["TMESH_SECONDS"]).write_text(repr(min(seconds[1:])), encoding="utf-8")
