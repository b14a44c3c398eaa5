"""The eigensystem where nobody takes its replies for a while."""

from typing import Any

import numpy as np
from amaranth.sim import Simulator
from tmesh.config import CoreConfig
from tmesh.golden import fixed
from tmesh.numbers import IntArray
from tmesh.opcodes import Opcode
from tmesh_hw.engine.eigensystem import Eigensystem
from tmesh_sim.packing import fields, pack, unpack

#: More than all that is between the sides holds; cycles until it is full, and from reply to reply.
MATRICES, FILLED, PAUSE = 48, 1_500, 40


def _taken_late(dut: Any, rows: list[IntArray]) -> IntArray:
    """Replies to `rows`, none of which is taken until no more enters, then one every `PAUSE`."""
    into, out_of = fields(dut.i.payload.shape()), fields(dut.o.payload.shape())
    replies: list[IntArray] = []

    async def drive(ctx: Any) -> None:
        ctx.set(dut.i.valid, 1)
        for row in rows:
            ctx.set(dut.i.payload.as_value(), pack(row, into))
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)

    async def collect(ctx: Any) -> None:
        await ctx.tick().repeat(FILLED)
        for _ in rows:
            await ctx.tick().repeat(PAUSE)
            ctx.set(dut.o.ready, 1)
            _, _, bits, valid = await ctx.tick().sample(dut.o.payload.as_value(), dut.o.valid)
            ctx.set(dut.o.ready, 0)
            assert valid
            replies.append(unpack(bits, out_of))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.add_testbench(collect)
    simulator.run()
    return np.array(replies)


def test_no_reply_is_lost_where_none_is_taken() -> None:
    config = CoreConfig(f=14, cordics=1, iterative=False, eigenvectors=False)
    rng = np.random.default_rng(0)
    one = 1 << config.f
    x = np.zeros((MATRICES, 4, 4, 2), dtype=np.int64)
    x[:, 0, 0, 0] = rng.integers(0, one + 1, MATRICES)
    x[:, 1, 1, 0] = one - x[:, 0, 0, 0]
    x[:, 0, 1] = rng.integers(-one // 4, one // 4, (MATRICES, 2))
    x[:, 1, 0] = x[:, 0, 1] * (1, -1)
    rows = [np.concatenate([[Opcode.EIGENVALUES_2], each.reshape(-1)]) for each in x]
    replies = _taken_late(Eigensystem(config=config), rows)
    expected = fixed.execute(Opcode.EIGENVALUES_2, np.zeros_like(x), x, config.f)
    assert np.array_equal(replies[:, 32:36], expected.values)
    assert np.array_equal(replies[:, -1], expected.entropy)
