"""The rules of AXI for VALID, as cocotb checks them on any top."""

import dataclasses
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge, Timer


@dataclasses.dataclass(frozen=True)
class Channel:
    """The ports of a channel that a top drives, and the READY that answers it."""

    valid: str
    ready: str
    payload: tuple[str, ...]


async def valid_is_low_in_reset(dut: Any, channels: list[Channel]) -> None:
    """VALID is low from the moment at which ARESETn falls until the first edge of the clock after
    it has risen (IHI 0022, A3.1.2). Looks before each edge, and between two."""
    held = True
    while True:
        for edge in (FallingEdge, RisingEdge):
            await edge(dut.aclk)
            released = bool(int(dut.aresetn.value))
            held = held or not released
            high = [c.valid for c in channels if int(getattr(dut, c.valid).value)]
            assert not (held and high), f"{high[0]} is high in a reset"
        held = not released


async def valid_waits_for_ready(dut: Any, channels: list[Channel]) -> None:
    """VALID and its payload wait for READY, unless there is a reset (IHI 0022, A3.2.1)."""
    waiting: dict[str, tuple[int, ...]] = {}
    while True:
        await RisingEdge(dut.aclk)
        if not int(dut.aresetn.value):
            waiting = {}
            continue
        for channel in channels:
            values = tuple(int(getattr(dut, name).value) for name in channel.payload)
            valid = bool(int(getattr(dut, channel.valid).value))
            wanted = waiting.pop(channel.valid, None)
            assert wanted is None or valid, f"{channel.valid} fell before {channel.ready} rose"
            assert wanted in (None, values), f"{channel.payload} changed before {channel.ready}"
            if valid and not int(getattr(dut, channel.ready).value):
                waiting[channel.valid] = values


async def reset_in_the_middle(dut: Any, rng: Any, valid: str, times: int, patience: int) -> None:
    """Short resets around the moments at which `valid` rises: every other one falls between two
    edges, the rest with the clock; ARESETn is low for one edge or a few."""
    for n in range(times):
        for _ in range(patience):
            await RisingEdge(dut.aclk)
            if int(getattr(dut, valid).value):
                break
        else:
            raise AssertionError(f"{valid} did not rise in {patience} clocks")
        for _ in range(int(rng.integers(0, 12))):
            await RisingEdge(dut.aclk)
        if n % 2:
            await Timer(2, "ns")
        dut.aresetn.value = 0
        for _ in range(int(rng.choice((1, 1, 2, 5)))):
            await RisingEdge(dut.aclk)
        dut.aresetn.value = 1
