"""What was some cycles ago, whether registers or a memory know it."""

from typing import Any

import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.sim import Simulator
from tmesh_hw.numbers import delayed
from tmesh_hw.vendor import VERILATOR

WIDTH, MOVES = 7, 200


@pytest.mark.parametrize("platform", [None, VERILATOR])
@pytest.mark.parametrize("cycles", [1, 3, 4, 7, 8, 31])
def test_only_moves_count(cycles: int, platform: Any) -> None:
    m = Module()
    value, moves = Signal(WIDTH), Signal()
    result = delayed(m, value, cycles, platform, moves=moves)
    rng = np.random.default_rng(cycles)
    past, seen = [0] * cycles, []

    async def bench(ctx: Any) -> None:
        for _ in range(MOVES):
            ctx.set(value, int(rng.integers(1 << WIDTH)))
            ctx.set(moves, int(rng.integers(2)))
            seen.append(ctx.get(result) == past[-cycles])
            if ctx.get(moves):
                past.append(ctx.get(value))
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(seen) == MOVES
    assert all(seen)
