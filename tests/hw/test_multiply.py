"""The ECP5 body of the multiplier against its simulation body."""

from typing import Any

import numpy as np
import pytest
from amaranth import Cat, Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh_hw.export import simulation_verilog
from tmesh_hw.numbers import MULTIPLY_LATENCY, multiply
from tmesh_hw.synthesis import Ecp5
from tmesh_sim.cells import with_models
from tmesh_sim.harness import Source, VerilatedCore
from tmesh_sim.packing import ports


class Bodies(wiring.Component):
    """Both products of `i.a` and `i.b`, in one pipeline."""

    def __init__(self, width: int, signs: tuple[bool, bool]) -> None:
        kinds = [signed if sign else unsigned for sign in signs]
        operands = data.StructLayout({"a": kinds[0](width), "b": kinds[1](width), "enable": 1})
        halves = data.ArrayLayout(width, 2)  # the harness takes 32 bits at most
        products = data.StructLayout({"macro": halves, "plain": halves})
        super().__init__(
            {
                "i": In(stream.Signature(operands, always_ready=True)),
                "o": Out(stream.Signature(products, always_ready=True)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for name, p in (("macro", Ecp5()), ("plain", None)):
            i = self.i.payload
            product = multiply(m, i.a, i.b, p, i.enable)
            m.d.comb += self.o.payload[name].eq(product)
        valid = Signal(MULTIPLY_LATENCY)
        m.d.sync += valid.eq(Cat(self.i.valid, valid))
        m.d.comb += self.o.valid.eq(valid[-1])
        return m


@pytest.mark.parametrize("width", [11, 18])
@pytest.mark.parametrize("signs", [(True, True), (False, True), (False, False)])
def test_both_bodies_are_equal(width: int, signs: tuple[bool, bool]) -> None:
    """Sign, latency and port order of the macro: a wrong one gives other products."""
    dut = Bodies(width, signs)
    source = with_models(Source(lambda: simulation_verilog(dut), simulation_verilog(dut)), "ecp5")
    low = [-(1 << (width - 1)) if sign else 0 for sign in signs]
    high = [value + (1 << width) - 1 for value in low]
    rng = np.random.default_rng(1)
    operands = rng.integers(low, np.array(high) + 1, (500, 2))
    operands[:4] = [low, [low[0], high[1]], high, [high[0], 0]]
    with VerilatedCore(ports(dut), source) as core:
        replies, _ = core.run(np.column_stack([operands, np.ones(500, dtype=np.int64)]))
        stalled, _ = core.run(np.column_stack([operands, rng.integers(0, 2, 500)]))
    wanted = operands[:, 0] * operands[:, 1]
    halves = [wanted & ((1 << width) - 1), (wanted >> width) & ((1 << width) - 1)]
    np.testing.assert_array_equal(replies, np.stack([*halves, *halves], axis=1))
    # Cycles that do not count are the same in both, and some were there.
    np.testing.assert_array_equal(stalled[:, :2], stalled[:, 2:])
    assert np.any(stalled != replies)


def test_operands_must_fit() -> None:
    m, narrow = Module(), Signal(signed(18))
    with pytest.raises(ValueError, match=r"a must have at most 18 bits, not signed\(19\)"):
        multiply(m, narrow + 1, narrow, None)
