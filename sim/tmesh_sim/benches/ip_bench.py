"""The bench of the exported top, which cocotb loads: bus models on all three AXI interfaces.

Commands and replies come as an NPZ file from the runner, which has the model; ``TMESH_SHAPE`` names
the engine, ``TMESH_SEED`` the stalls.
"""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from tmesh import packets
from tmesh_hw.ip import REGISTERS

from tmesh_sim.benches.axi_rules import (
    Channel,
    reset_in_the_middle,
    valid_is_low_in_reset,
    valid_waits_for_ready,
)
from tmesh_sim.engine_packets import DIGEST
from tmesh_sim.vectors import build

with warnings.catch_warnings():
    # cocotbext-axi 0.1.28 has names that cocotb 2 renames.
    warnings.simplefilter("ignore", DeprecationWarning)
    from cocotbext.axi import (
        AxiLiteBus,
        AxiLiteMaster,
        AxiResp,
        AxiStreamBus,
        AxiStreamSink,
        AxiStreamSource,
    )
warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"cocotbext\.axi\.")

#: The channels that the top drives.
ANSWERS = [
    Channel("m_axis_tvalid", "m_axis_tready", ("m_axis_tdata", "m_axis_tlast")),
    Channel("s_axil_bvalid", "s_axil_bready", ("s_axil_bresp",)),
    Channel("s_axil_rvalid", "s_axil_rready", ("s_axil_rdata", "s_axil_rresp")),
]

ADDRESS = {register.name: register.address for register in REGISTERS}


def frames(name: str) -> list[bytes]:
    """Packets of the vectors; each word has its last flag in the byte behind it."""
    with np.load(Path(os.environ["TMESH_VECTORS"])) as archive:
        words = archive[name]
    ends = np.flatnonzero(words[:, -1]) + 1
    return [part.tobytes() for part in np.split(words[:, :-1], ends[:-1])]


def stalls(rng: np.random.Generator, share: float) -> Iterator[bool]:
    """Whether to wait, for ever."""
    while True:
        yield bool(rng.random() < share)


class IpBench:
    """Clock, reset and a model on each interface."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        clock = (dut.aclk, dut.aresetn, False)
        self.registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), *clock)
        self.commands = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), *clock)
        self.replies = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), *clock)

    async def reset(self) -> None:
        """Start the clock and hold the reset for three cycles."""
        self.dut.aresetn.value = 0
        cocotb.start_soon(Clock(self.dut.aclk, 10, unit="ns").start())
        for _ in range(3):
            await RisingEdge(self.dut.aclk)
        self.dut.aresetn.value = 1
        await RisingEdge(self.dut.aclk)

    async def read(self, name: str) -> int:
        """A register by name."""
        return int(await self.registers.read_dword(ADDRESS[name]))

    async def exchange(self, sent: list[bytes], answers: int) -> list[bytes]:
        """Send packets, and receive the given number of replies."""
        for packet in sent:
            await self.commands.send(packet)
        received = []
        for _ in range(answers):
            frame = await with_timeout(self.replies.recv(), 1, "ms")
            received.append(bytes(frame.tdata))
        return received


@cocotb.test()
async def replies_equal_the_model(dut: Any) -> None:
    """Without stalls, with stalls on each side, and on both; then the counters."""
    bench = IpBench(dut)
    await bench.reset()
    sent, expected = frames("sent"), frames("expected")
    rng = np.random.default_rng(int(os.environ["TMESH_SEED"]))
    quarter = len(sent) // 4
    writes, reads = bench.registers.write_if, bench.registers.read_if
    channels = writes.aw_channel, writes.w_channel, writes.b_channel
    for channel in (*channels, reads.ar_channel, reads.r_channel):
        channel.set_pause_generator(stalls(rng, 0.5))
    for n, (stall_in, stall_out) in enumerate([(0, 0), (0.5, 0), (0, 0.7), (0.4, 0.7)]):
        bench.commands.set_pause_generator(stalls(rng, stall_in))
        bench.replies.set_pause_generator(stalls(rng, stall_out))
        part = slice(n * quarter, (n + 1) * quarter)
        assert await bench.exchange(sent[part], quarter) == expected[part]
        assert (await bench.read("blocked") > 0) == (n >= 2)
    assert await bench.read("commands") == await bench.read("replies") == 4 * quarter
    assert await bench.read("pending") == 0
    assert await bench.read("waited") > 0
    assert await bench.read("blocked") > 0


@cocotb.test()
async def registers_say_what_it_is(dut: Any) -> None:
    """Constants are those of the configuration; nothing else can be read, or written."""
    bench = IpBench(dut)
    await bench.reset()
    block, f, lanes = os.environ["TMESH_SHAPE"].split()
    config = build(block, int(f), int(lanes)).config
    assert (await bench.registers.read(ADDRESS["identity"], 4)).data == b"TMSH"
    assert await bench.read("version") == packets.VERSION
    shape = (await bench.registers.read(ADDRESS["format"], 4)).data
    assert tuple(shape) == (config.f, config.gossip_lanes, config.lanes, config.cordics)
    assert await bench.read("states") == config.agents
    assert await bench.read("operators") == config.operators
    digest = (await bench.registers.read(ADDRESS["build0"], 16)).data
    assert int.from_bytes(digest, "little") == DIGEST
    assert (await bench.registers.read(0x1C, 4)).resp == AxiResp.SLVERR
    assert (await bench.registers.write(ADDRESS["identity"], b"HACK")).resp == AxiResp.SLVERR
    assert (await bench.registers.read(ADDRESS["identity"], 4)).data == b"TMSH"


@cocotb.test()
async def software_resets_the_engine(dut: Any) -> None:
    """In the middle of a packet: the rest is forgotten, and then it works as after power-up."""
    bench = IpBench(dut)
    await bench.reset()
    identify, answer = frames("sent")[1], frames("expected")[1]
    assert await bench.exchange([identify], 1) == [answer]
    assert await bench.read("commands") == 1
    # A command without its end.
    dut.s_axis_tdata.value, dut.s_axis_tlast.value = packets.Command.WRITE_STATE, 0
    dut.s_axis_tvalid.value = 1
    await RisingEdge(dut.aclk)
    dut.s_axis_tvalid.value = 0
    response = await bench.registers.write(ADDRESS["control"], b"\1")
    assert response.resp == AxiResp.OKAY
    assert await bench.read("control") == 1
    await bench.exchange([identify], 0)
    await bench.commands.wait()
    await bench.registers.write(ADDRESS["control"], b"\0")
    assert await bench.read("commands") == 0
    assert await bench.exchange([identify], 1) == [answer]
    assert await bench.read("pending") == 0


@cocotb.test()
async def a_reset_ends_a_reply_that_has_begun(dut: Any) -> None:
    """An offered word stays until it is taken, the packet ends, and the next reply is whole."""
    bench = IpBench(dut)
    await bench.reset()
    identify, answer = frames("sent")[1], frames("expected")[1]
    bench.replies.pause = True
    await bench.commands.send(identify)
    await ClockCycles(dut.aclk, 2000)
    offered = dut.m_axis_tdata.value.to_unsigned()
    await bench.registers.write(ADDRESS["control"], b"\1")
    await bench.registers.write(ADDRESS["control"], b"\0")
    await bench.commands.send(identify)
    for _ in range(100):
        await RisingEdge(dut.aclk)
        assert dut.m_axis_tvalid.value
        assert dut.m_axis_tdata.value.to_unsigned() == offered
    bench.replies.pause = False
    torn = bytes((await with_timeout(bench.replies.recv(), 1, "ms")).tdata)
    size = len(dut.m_axis_tdata) // 8
    assert torn == answer[:size] + bytes(size)
    assert await bench.exchange([], 1) == [answer]
    assert await bench.read("commands") == await bench.read("replies") == 1
    assert await bench.read("waited") > 0


@cocotb.test()
async def a_reset_obeys_axi(dut: Any) -> None:
    """Resets at any moment, while all channels are busy and stall."""
    rng = np.random.default_rng(int(os.environ["TMESH_SEED"]))
    command = int.from_bytes(frames("sent")[1], "little")
    width, size = len(dut.s_axis_tdata), 8 * len(frames("sent")[1])
    words = [command >> n & (1 << width) - 1 for n in range(0, size, width)]
    for name in ("awaddr", "wdata", "wstrb", "araddr"):
        getattr(dut, f"s_axil_{name}").value = 0
    dut.aresetn.value = 0
    cocotb.start_soon(Clock(dut.aclk, 10, unit="ns").start())
    cocotb.start_soon(valid_is_low_in_reset(dut, ANSWERS))
    cocotb.start_soon(valid_waits_for_ready(dut, ANSWERS))

    async def send() -> None:
        while True:
            for n, word in enumerate(words):
                dut.s_axis_tdata.value, dut.s_axis_tlast.value = word, n == len(words) - 1
                dut.s_axis_tvalid.value = 1
                await RisingEdge(dut.aclk)
                while not int(dut.s_axis_tready.value):
                    await RisingEdge(dut.aclk)

    async def stall() -> None:
        for name in ("awvalid", "wvalid", "arvalid"):
            getattr(dut, f"s_axil_{name}").value = 1
        while True:
            for name in ("m_axis_tready", "s_axil_bready", "s_axil_rready"):
                getattr(dut, name).value = int(rng.random() < 0.3)
            await RisingEdge(dut.aclk)

    cocotb.start_soon(send())
    cocotb.start_soon(stall())
    await ClockCycles(dut.aclk, 3)
    dut.aresetn.value = 1
    for channel in ANSWERS:
        # The microcoded engine clears its memory first.
        await reset_in_the_middle(dut, rng, channel.valid, times=10, patience=100_000)
