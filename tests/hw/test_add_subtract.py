"""The ECP5 body of the adder against its simulation body."""

import pytest
from amaranth import Module, Signal, signed
from amaranth.back import rtlil
from amaranth.hdl import Elaboratable
from tmesh_hw import yosys
from tmesh_hw.numbers import add_subtract
from tmesh_hw.synthesis import Ecp5


class Bodies(Elaboratable):
    """`equal`: whether both bodies give the same, and the plain sum or difference."""

    def __init__(self, width: int, inverted: bool) -> None:
        self.a = Signal(signed(width))
        self.b = Signal(signed(width - 1))
        self.subtract = Signal()
        self.equal = Signal()
        self.inverted = inverted

    def elaborate(self, platform: object) -> Module:
        m = Module()
        macro, plain = (
            add_subtract(m, self.a, self.b, self.subtract, p, inverted=self.inverted)
            for p in (Ecp5(), None)
        )
        wanted = Signal.like(self.a)
        with m.If(self.subtract ^ self.inverted):
            m.d.comb += wanted.eq(self.a - self.b)
        with m.Else():
            m.d.comb += wanted.eq(self.a + self.b)
        m.d.comb += self.equal.eq((macro == plain) & (plain == wanted))
        return m


@pytest.mark.parametrize("width", [5, 6, 26])
@pytest.mark.parametrize("inverted", [False, True])
def test_both_bodies_are_proven_equal(width: int, inverted: bool) -> None:
    """With the carry cell as Yosys models it, for all operands."""
    top = Bodies(width, inverted)
    text = rtlil.convert(top, ports=[top.a, top.b, top.subtract, top.equal], emit_src=False)
    proof = yosys.run(
        text,
        "read_verilog +/lattice/common_sim.vh +/lattice/ccu2c_sim.vh",
        "hierarchy -top top",
        "proc",
        "flatten",
        "tee -o {out} sat -verify -prove equal 1 top",
    )
    assert "no model found: SUCCESS!" in proof
