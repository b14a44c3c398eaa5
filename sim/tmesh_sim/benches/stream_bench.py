"""The bench that cocotb loads: random stalls on both sides, every reply compared bit for bit.

Only top-level ports (AXI4-Stream names) are touched. The vectors come as an NPZ file from the
runner, which has the model; the seed of the stalls is in ``TMESH_SEED``. ``TMESH_STEADY`` is set
where the block cannot wait with its replies.
"""

import logging
import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.queue import Queue
from cocotb.triggers import RisingEdge, SimTimeoutError, with_timeout

from tmesh_sim.benches.axi_rules import (
    Channel,
    reset_in_the_middle,
    valid_is_low_in_reset,
    valid_waits_for_ready,
)

#: The channels that the top drives.
ANSWERS = [Channel("m_axis_tvalid", "m_axis_tready", ("m_axis_tdata",))]


class StreamBench:
    """Clock, reset, driver, monitor and scoreboard of one block."""

    def __init__(self, dut: Any, sent: list[int], expected: list[int], seed: int) -> None:
        self.dut = dut
        self.sent = sent
        self.expected: Queue[int] = Queue()
        for payload in expected:
            self.expected.put_nowait(payload)
        self.steady = "TMESH_STEADY" in os.environ
        self.rng = np.random.default_rng(seed)
        self.quiet = 0  # cycles in which a reply too many would come
        self.log = logging.getLogger("bench")

    async def reset(self) -> None:
        """Start the clock and hold the reset for three cycles."""
        dut = self.dut
        dut.aresetn.value = 0
        dut.s_axis_tvalid.value = 0
        dut.m_axis_tready.value = 0
        cocotb.start_soon(Clock(dut.aclk, 10, unit="ns").start())
        for _ in range(3):
            await RisingEdge(dut.aclk)
        dut.aresetn.value = 1
        await RisingEdge(dut.aclk)

    async def drive(self, stall: float) -> None:
        """Send every payload; TVALID stays until TREADY."""
        dut = self.dut
        for payload in self.sent:
            while self.rng.random() < stall:
                await RisingEdge(dut.aclk)
            dut.s_axis_tdata.value = payload
            dut.s_axis_tvalid.value = 1
            await RisingEdge(dut.aclk)
            while not int(dut.s_axis_tready.value):
                await RisingEdge(dut.aclk)
            dut.s_axis_tvalid.value = 0

    async def check(self, stall: float) -> None:
        """Compare every reply; end when none is owed."""
        dut = self.dut
        number = cycles = 0
        if self.steady:
            stall = 0.0
        while not self.expected.empty():
            ready = bool(self.rng.random() >= stall)
            dut.m_axis_tready.value = int(ready)
            await RisingEdge(dut.aclk)
            cycles += 1
            if ready and int(dut.m_axis_tvalid.value):
                wanted, got = self.expected.get_nowait(), int(dut.m_axis_tdata.value)
                assert got == wanted, f"reply {number}: {got:x} instead of {wanted:x}"
                number += 1
        self.quiet = 200 + cycles // number

    async def nothing_left(self) -> None:
        """A block that is done says nothing more."""
        self.dut.m_axis_tready.value = 1
        for _ in range(self.quiet):
            await RisingEdge(self.dut.aclk)
            assert not int(self.dut.m_axis_tvalid.value), "a reply too many"


def _payloads(words: Any) -> list[int]:
    return [int.from_bytes(row.tobytes(), "little") for row in words]


@cocotb.test()
async def replies_equal_the_model(dut: Any) -> None:
    """Without stalls, with stalls on each side, and on both."""
    with np.load(Path(os.environ["TMESH_VECTORS"])) as archive:
        sent, expected = _payloads(archive["sent"]), _payloads(archive["expected"])
    quarter, answers = len(sent) // 4, len(expected) // 4
    for n, (stall_in, stall_out) in enumerate([(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.4, 0.4)]):
        part = sent[n * quarter : (n + 1) * quarter]
        wanted = expected[n * answers : (n + 1) * answers]
        bench = StreamBench(dut, part, wanted, int(os.environ["TMESH_SEED"]) + n)
        if n == 0:
            await bench.reset()
        driving = cocotb.start_soon(bench.drive(stall_in))
        try:
            await with_timeout(bench.check(stall_out), 20_000 * quarter * 10, "ns")
        except SimTimeoutError:
            raise AssertionError(f"{bench.expected.qsize()} replies missing") from None
        await driving
        await bench.nothing_left()


@cocotb.test(skip="TMESH_STEADY" in os.environ)
async def a_reset_obeys_axi(dut: Any) -> None:
    """Resets at any moment, while both sides stall."""
    with np.load(Path(os.environ["TMESH_VECTORS"])) as archive:
        sent = _payloads(archive["sent"])
    rng = np.random.default_rng(int(os.environ["TMESH_SEED"]))
    bench = StreamBench(dut, sent, [], int(os.environ["TMESH_SEED"]))
    cocotb.start_soon(valid_is_low_in_reset(dut, ANSWERS))
    cocotb.start_soon(valid_waits_for_ready(dut, ANSWERS))
    await bench.reset()

    async def send() -> None:
        while True:
            await bench.drive(0.2)

    async def receive() -> None:
        while True:
            dut.m_axis_tready.value = int(rng.random() < 0.3)
            await RisingEdge(dut.aclk)

    cocotb.start_soon(send())
    cocotb.start_soon(receive())
    await reset_in_the_middle(dut, rng, "m_axis_tvalid", times=20, patience=50_000)
