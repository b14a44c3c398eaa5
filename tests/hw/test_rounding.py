"""Gateware rounding and saturation, exhaustively at small widths, against Fraction arithmetic."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from amaranth import Module, Signal, signed
from amaranth.sim import Simulator
from tmesh.numbers import saturate as model_saturate
from tmesh_hw.numbers import round_shift, saturate


def evaluate(width: int, expressions: Any) -> list[list[int]]:
    """Values of expressions of one signed signal over all its values."""
    x = Signal(signed(width))
    m = Module()
    outputs = []
    for n, expression in enumerate(expressions(x)):
        out = Signal(signed(width + 2), name=f"out{n}")
        m.d.comb += out.eq(expression)
        outputs.append(out)
    results: list[list[int]] = []

    async def bench(ctx: Any) -> None:
        for value in range(-(1 << (width - 1)), 1 << (width - 1)):
            ctx.set(x, value)
            await ctx.delay(1e-9)
            results.append([ctx.get(out) for out in outputs])

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return results


@pytest.mark.parametrize("shift", [0, 1, 2, 3, 5])
def test_rounds_half_to_even(shift: int) -> None:
    """Python's round() of an exact fraction is the independent oracle."""
    results = evaluate(7, lambda x: [round_shift(x, shift)])
    assert [r[0] for r in results] == [round(Fraction(v, 1 << shift)) for v in range(-64, 64)]


@pytest.mark.parametrize("slack", [0, 1, 4, 8])
def test_saturates_like_the_model(slack: int) -> None:
    results = evaluate(7, lambda x: saturate(x, 5, slack))
    values, flags = model_saturate(np.arange(-64, 64), 5, slack)
    assert [r[0] for r in results] == values.tolist()
    assert [bool(r[1] & 1) for r in results] == flags.tolist()


def test_a_value_shifted_out_as_a_whole_is_rounded() -> None:
    numbers = evaluate(4, lambda x: [round_shift(x, 6), round_shift(x.as_unsigned(), 4)])
    assert [0 for _ in range(16)] == [row[0] for row in numbers]
    assert [round((n % 16) / 16) for n in range(-8, 8)] == [row[1] for row in numbers]


def test_negative_shift_is_refused() -> None:
    with pytest.raises(ValueError, match="shift must not be negative, not -1"):
        round_shift(Signal(4), -1)


def test_a_slack_that_needs_carries_is_refused() -> None:
    with pytest.raises(ValueError, match="slack must be 0 or a power of two, not 3"):
        saturate(Signal(signed(8)), 5, 3)
