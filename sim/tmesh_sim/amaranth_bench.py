"""Drive a stream block in Amaranth's own simulator."""

import dataclasses
from typing import Any

import numpy as np
from amaranth.sim import Simulator
from tmesh.errors import SimulationError
from tmesh.numbers import IntArray

from tmesh_sim.packing import fields, pack, unpack


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Replies (n, fields), and the clock cycle in which each input and output was transferred."""

    replies: IntArray
    sent: IntArray
    received: IntArray


def run(
    dut: Any,
    inputs: IntArray,
    *,
    stall: float,
    seed: int,
    answers: int | None = None,
    limit: int = 100_000,
) -> Outcome:
    """Send `inputs` and collect `answers` replies (default: as many), holding back either side with
    chance `stall`; a stream that is always ready is not held back.

    Raises ``TimeoutError`` after `limit` cycles.
    """
    i_fields, o_fields = fields(dut.i.payload.shape()), fields(dut.o.payload.shape())
    replies: list[IntArray] = []
    sent: list[int] = []
    received: list[int] = []
    clock = 0
    count = len(inputs) if answers is None else answers
    steady = dut.o.signature.always_ready

    async def drive(ctx: Any) -> None:
        rng = np.random.default_rng(seed)
        for row in inputs:
            while rng.random() < stall:
                await ctx.tick()
            ctx.set(dut.i.payload.as_value(), pack(row, i_fields))
            ctx.set(dut.i.valid, 1)
            accepted = False
            while not accepted:
                _, _, accepted = await ctx.tick().sample(dut.i.ready)
            sent.append(clock)
            ctx.set(dut.i.valid, 0)

    async def collect(ctx: Any) -> None:
        nonlocal clock
        rng = np.random.default_rng(seed + 1)
        while len(replies) < count:
            ready = steady or rng.random() >= stall
            if not steady:
                ctx.set(dut.o.ready, ready)
            _, _, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.payload.as_value())
            if valid and ready:
                replies.append(unpack(payload, o_fields))
                received.append(clock)
            clock += 1
            if clock > limit:
                raise SimulationError(f"{len(replies)} of {count} replies in {limit} cycles")
        quiet = 200 + received[-1] - sent[-1]
        for _ in range(quiet):  # nothing may be left over
            if not steady:
                ctx.set(dut.o.ready, 1)
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            if valid:
                raise AssertionError("a reply too many")

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.add_testbench(collect)
    simulator.run()
    return Outcome(np.array(replies), np.array(sent), np.array(received))
