"""Synthesis figures."""

import json
from typing import Any

from amaranth import Cat, Module
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from tmesh_hw import yosys
from tmesh_hw.blocks import ComplexMultiply
from tmesh_hw.numbers import copies
from tmesh_hw.synthesis import Ecp5
from tmesh_hw.synthesis.area import ecp5_cells


class _Copies(wiring.Component):
    """A bit, a cycle later, several times."""

    COUNT = 3
    i: In(1)
    o: Out(COUNT)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += self.o.eq(Cat(copies(m, self.i, self.COUNT, platform, name="copy", init=1)))
        return m


def test_a_complex_multiply_takes_four_multipliers() -> None:
    """More would mean that Yosys splits 18-bit operands."""
    cells = ecp5_cells(ComplexMultiply(width=18))
    assert cells["MULT18X18D"] == 4
    # Results, and whether they are valid: all other registers are those of the multipliers.
    assert cells["TRELLIS_FF"] <= 37 * 2 + 2 * ComplexMultiply.latency


def test_registers_that_are_kept_apart_are_reset_by_themselves() -> None:
    """Equal ones share what they are set from; a reset by gates in it would be a detour for all."""
    text = rtlil.convert(_Copies(), platform=Ecp5(), emit_src=False)
    netlist = yosys.run(text, *yosys.SYNTH_ECP5, "write_json {out}")
    (top,) = (m for m in json.loads(netlist)["modules"].values() if "top" in m["attributes"])
    assert [cell["type"] for cell in top["cells"].values()] == ["TRELLIS_FF"] * _Copies.COUNT
