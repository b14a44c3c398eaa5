"""Our models of vendor cells against the simulation bodies of what becomes them."""

from typing import Any

import numpy as np
import pytest
from amaranth import Cat, Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from tmesh.errors import SimulationError, ToolError
from tmesh.numbers import IntArray
from tmesh_hw.export import simulation_verilog
from tmesh_hw.synthesis.netlist import netlist
from tmesh_sim.cells import with_models
from tmesh_sim.harness import Source, VerilatedCore
from tmesh_sim.packing import ports


class Memories(wiring.Component):
    """A memory of each shape that Yosys maps to another mode of a block memory: words of 36, 18, 9
    and 4 bits with two ports, of 16 with one, and of 12 that are only read. All answer at once.
    """

    #: Bits, words, and ports.
    SHAPES = (
        (36, 512, 2),
        (18, 1024, 2),
        (9, 2048, 2),
        (4, 4096, 2),
        (16, 16384, 1),
        (12, 2048, 0),
    )

    def __init__(self) -> None:
        operands = {"row": 14, "other": 14, "data": 32, "write": 1}
        self.layout = data.StructLayout(operands)
        answer = data.ArrayLayout(32, len(self.SHAPES))
        super().__init__(
            {
                "i": In(stream.Signature(self.layout, always_ready=True)),
                "o": Out(stream.Signature(answer, always_ready=True)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.sync += self.o.valid.eq(self.i.valid)
        i = self.i.payload
        for n, (width, depth, count) in enumerate(self.SHAPES):
            init = [] if count else np.random.default_rng(1).integers(0, 1 << width, depth).tolist()
            m.submodules[f"memory{n}"] = memory = Memory(shape=width, depth=depth, init=init)
            read = memory.read_port()
            m.d.comb += read.addr.eq(i.other if count == 2 else i.row)
            if count:
                write = memory.write_port()
                enable = i.write & self.i.valid
                wide = Cat(i.data, i.data)[: max(width, 32)]
                m.d.comb += [write.addr.eq(i.row), write.data.eq(wide), write.en.eq(enable)]
                if count == 1:
                    m.d.comb += read.en.eq(~enable)
            m.d.comb += self.o.payload[n].eq(read.data)
        return m


def simulated(text: str, layouts: tuple[Any, Any], operands: IntArray) -> IntArray:
    """Answers of a netlist of ECP5."""
    with VerilatedCore(layouts, with_models(Source(lambda: text, text), "ecp5")) as core:
        return core.run(operands)[0]


def test_block_memories_are_those_of_the_language() -> None:
    """Every width that is used, among few words, so that what was just written is read. What is
    written in the very cycle in which it is read comes out wrong, so that nobody relies on it."""
    dut = Memories()
    text = netlist(dut, "ecp5")
    for width in (1, 4, 9, 18, 36):
        assert f".DATA_WIDTH_A(32'd{width})" in text, f"no memory of width {width} is tested"
    rng = np.random.default_rng(2)
    operands = rng.integers(0, [[48, 48, 1 << 31, 2]], (4000, 4))
    with VerilatedCore(ports(dut), simulation_verilog(dut)) as core:
        expected, _ = core.run(operands)
    assert np.all(np.ptp(expected, axis=0) > 0)
    found = simulated(text, ports(dut), operands)
    row, other, _, write = operands.T
    clash = (row == other) & (write == 1)
    np.testing.assert_array_equal(found[~clash], expected[~clash])
    assert np.all(found[clash, :4] != expected[clash, :4])  # those with two ports
    np.testing.assert_array_equal(found[clash, 4:], expected[clash, 4:])


def top(cells: str) -> str:
    """One with cells that see the lowest bits of what is sent."""
    return f"""
    module tmesh (
        input aclk, aresetn, input [31:0] s_axis_tdata, input s_axis_tvalid, m_axis_tready,
        output s_axis_tready, m_axis_tvalid, output [31:0] m_axis_tdata
    );
      assign s_axis_tready = 1, m_axis_tvalid = s_axis_tvalid, m_axis_tdata[31:2] = 0;
      {cells}
    endmodule
    """


WORD = (data.StructLayout({"data": 32}), data.StructLayout({"data": 32}))
MULTIPLIER = ".CLK0(aclk), .SOURCEA(s_axis_tdata[0]), .P0(m_axis_tdata[0])"
MEMORY = ".CLKA(aclk), .CLKB(aclk), .WEB(s_axis_tdata[1]), .DOA0(m_axis_tdata[1])"


def test_a_use_that_is_not_modelled_ends_the_run() -> None:
    """The shift chain of a multiplier, a write of port B; and without these, all is well."""
    text = top(f"MULT18X18D multiplier ({MULTIPLIER}); DP16KD memory ({MEMORY});")
    assert len(simulated(text, WORD, np.zeros((9, 1), dtype=np.int64))) == 9
    for bit in (1, 2):
        with pytest.raises(SimulationError, match="a cell is used in a way that its model does"):
            simulated(text, WORD, np.array([[0], [bit], [0]]))


@pytest.mark.parametrize(
    "cell",
    [
        f'MULT18X18D #(.REG_INPUTC_CLK("CLK0")) multiplier ({MULTIPLIER});',
        f'MULT18X18D #(.REG_INPUTA_CLK("CLK0")) multiplier ({MULTIPLIER});',
        f'DP16KD #(.WRITEMODE_A("WRITETHROUGH")) memory ({MEMORY});',
        f"DP16KD #(.DATA_WIDTH_A(5)) memory ({MEMORY});",
    ],
)
def test_a_mode_that_is_not_modelled_ends_the_build(cell: str) -> None:
    with pytest.raises(ToolError, match="Verilator failed"):
        simulated(top(cell), WORD, np.zeros((1, 1), dtype=np.int64))
