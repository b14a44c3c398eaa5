"""The ECP5 body of the multiplier against its simulation body."""

from typing import Any

import numpy as np
import pytest
from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh_hw.export import verilog
from tmesh_hw.numbers import MULTIPLY_LATENCY, multiply
from tmesh_hw.synthesis import Ecp5
from tmesh_sim.harness import VerilatedCore
from tmesh_sim.packing import ports

#: What Lattice documents of the registers that we use (TN-02205, "ECP5 sysDSP").
MACRO = """
module MULT18X18D #(parameter REG_INPUTA_CLK = "NONE", REG_INPUTB_CLK = "NONE",
    REG_PIPELINE_CLK = "NONE", REG_OUTPUT_CLK = "NONE", GSR = "ENABLED")
  (input CLK0, CE0, RST0, SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
   PORTS);
  wire [17:0] a = {BITS_A}, b = {BITS_B}, c = {BITS_C};
  reg [17:0] ar, br; reg [35:0] pipeline, out;
  wire [17:0] ai = REG_INPUTA_CLK == "CLK0" ? ar : a, bi = REG_INPUTB_CLK == "CLK0" ? br : b;
  wire [35:0] product = {{18{SIGNEDA & ai[17]}}, ai} * {{18{SIGNEDB & bi[17]}}, bi};
  wire [35:0] piped = REG_PIPELINE_CLK == "CLK0" ? pipeline : product;
  always @(posedge CLK0) if (CE0) begin
    ar <= RST0 ? 0 : a; br <= RST0 ? 0 : b;
    pipeline <= RST0 ? 0 : product; out <= RST0 ? 0 : piped;
  end
  assign {BITS_P} = REG_OUTPUT_CLK == "CLK0" ? out : piped;
endmodule
"""


def macro() -> str:
    """The model with its ports written out, one bit each."""
    bits = {
        side: ", ".join(f"{side}{n}" for n in reversed(range(width)))
        for side, width in (("A", 18), ("B", 18), ("C", 18), ("P", 36))
    }
    text = MACRO.replace("PORTS", "input {A}, {B}, {C}, output {P}".format(**bits))
    for side, names in bits.items():
        text = text.replace(f"BITS_{side}", names)
    return text


class Bodies(wiring.Component):
    """Both products of `i.a` and `i.b`, in one pipeline."""

    def __init__(self, width: int) -> None:
        operands = data.StructLayout({"a": signed(width), "b": signed(width)})
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
            product = multiply(m, self.i.payload.a, self.i.payload.b, p)
            m.d.comb += self.o.payload[name].eq(product)
        valid = Signal(MULTIPLY_LATENCY)
        m.d.sync += valid.eq(Cat(self.i.valid, valid))
        m.d.comb += self.o.valid.eq(valid[-1])
        return m


@pytest.mark.parametrize("width", [11, 18])
def test_both_bodies_are_equal(width: int) -> None:
    """Sign, latency and port order of the macro: a wrong one gives other products."""
    dut = Bodies(width)
    text = verilog(dut) + macro()
    half = 1 << (width - 1)
    rng = np.random.default_rng(1)
    operands = rng.integers(-half, half, (500, 2))
    operands[:4] = [[-half, -half], [-half, half - 1], [half - 1, half - 1], [0, -1]]
    with VerilatedCore(ports(dut), text) as core:
        replies, _ = core.run(operands)
    wanted = operands[:, 0] * operands[:, 1]
    halves = [wanted & ((1 << width) - 1), (wanted >> width) & ((1 << width) - 1)]
    np.testing.assert_array_equal(replies, np.stack([*halves, *halves], axis=1))


def test_operands_must_fit() -> None:
    m = Module()
    with pytest.raises(ValueError, match=r"a must be signed and at most 18 bits, not signed\(19\)"):
        multiply(m, Bodies(18).i.payload.a + 1, Bodies(18).i.payload.b, None)
