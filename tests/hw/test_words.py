"""Between words and bundles."""

from typing import Any

import pytest
from amaranth.sim import Simulator
from tmesh import packets
from tmesh.packets import Status
from tmesh_hw.engine.words import BundleReader


@pytest.mark.parametrize("takes_every", [1, 5])
@pytest.mark.parametrize(
    ("rows", "wanted", "count"),
    [((1, 2), Status.BAD_LENGTH, 2), ((1, 9), Status.BAD_ADDRESS, 1)],
)
def test_bundles_before_one_cut_short_go_on(
    rows: tuple[int, ...], wanted: Status, count: int, takes_every: int
) -> None:
    """Word after word, whether the consumer is slow or not; the first that is wrong is said."""
    dut = BundleReader(link=32, lanes=1, rows=8)
    bundles = [
        int(packets.packed(packets.SLOT, {"own": row, "other": 0, "valid": 1})[0]) for row in rows
    ]
    words = [half for bundle in bundles for half in (bundle & 0xFFFFFFFF, bundle >> 32)] + [0]
    got: list[int] = []

    async def send(ctx: Any) -> None:
        await ctx.tick()
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for n, word in enumerate(words):
            ctx.set(dut.i.payload.data, word)
            ctx.set(dut.i.payload.last, n == len(words) - 1)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        await ctx.tick().until(dut.empty)
        assert ctx.get(dut.status) == wanted
        assert ctx.get(dut.count) == len(got) == count
        assert got == list(rows[:count])

    async def take(ctx: Any) -> None:
        time = 0
        while True:
            ctx.set(dut.o.ready, time % takes_every == 0)
            time += 1
            _, _, valid, ready, row = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload[0].own
            )
            if valid and ready:
                got.append(row)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(take, background=True)
    simulator.run()
