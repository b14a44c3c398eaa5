"""The microcoded engine's assembler, memory and cells; its packets are in `test_blocks`."""

import collections
import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyosys
import pytest
from amaranth import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from tmesh.config import CONFIGS, CoreConfig
from tmesh.golden import rounds
from tmesh_hw import yosys
from tmesh_hw.engine import MicrocodedEngine, word_layout
from tmesh_hw.engine.microcode.assembler import Assembler
from tmesh_hw.engine.microcode.instruction import Flow, Operand, Operation
from tmesh_hw.engine.microcode.layout import Layout, Page, table
from tmesh_hw.engine.microcode.memory import SinglePortMemory
from tmesh_hw.engine.microcode.program import Program
from tmesh_hw.export import to_rtlil
from tmesh_hw.synthesis import Ice40
from tmesh_sim.engine_packets import DIGEST, engine_config, sections
from tmesh_sim.harness import VerilatedCore

#: Registers of an ``SB_MAC16`` that has one, between 8×8 products and their sum, and that sum as
#: its output. `tmesh_hw.boards.build.UNTIMED` assumes this.
ONE_REGISTER = {
    "A_REG": 0,
    "B_REG": 0,
    "TOP_8x8_MULT_REG": 1,
    "BOT_8x8_MULT_REG": 1,
    "PIPELINE_16x16_MULT_REG1": 1,
    "PIPELINE_16x16_MULT_REG2": 0,
    "TOPOUTPUT_SELECT": 3,
    "BOTOUTPUT_SELECT": 3,
}


def multipliers(netlist: str) -> list[dict[str, int]]:
    """The registers of each ``SB_MAC16``."""
    cells = re.findall(r"^  SB_MAC16 #\((.*?)^  \)", netlist, re.MULTILINE | re.DOTALL)
    return [
        {
            name: int(digits, 16 if base == "h" else 2)
            for name, base, digits in re.findall(r"\.(\w+)\(\d+'([hb])(\w+)\)", cell)
            if name in ONE_REGISTER
        }
        for cell in cells
    ]


class Multiply(wiring.Component):
    """A product with registers before or behind it."""

    def __init__(self, *, before: int, behind: int) -> None:
        self.before, self.behind = before, behind
        factors, product = data.ArrayLayout(signed(16), 2), signed(32)
        super().__init__({"i": In(stream.Signature(factors)), "o": Out(stream.Signature(product))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        a, b = self.i.payload
        for _ in range(self.before):
            x, y = Signal(signed(16), reset_less=True), Signal(signed(16), reset_less=True)
            m.d.sync += [x.eq(a), y.eq(b)]
            a, b = x, y
        product = a * b
        for _ in range(self.behind):
            z = Signal(signed(32), reset_less=True)
            m.d.sync += z.eq(product)
            product = z
        m.d.comb += self.o.payload.eq(product)
        return m


@pytest.mark.parametrize(("before", "behind"), [(0, 1), (1, 1), (0, 0)])
def test_only_one_register_behind_a_multiplier_is_taken_for_that(before: int, behind: int) -> None:
    netlist = yosys.run(
        to_rtlil(Multiply(before=before, behind=behind), Ice40()),
        *yosys.SYNTH_ICE40,
        "write_verilog -noattr -simple-lhs {out}",
    )
    (found,) = multipliers(netlist)
    assert (found == ONE_REGISTER) == ((before, behind) == (0, 1))


def test_the_netlist_of_an_up5k_gives_the_same_bits() -> None:
    """After synthesis, as cells of iCE40: one multiplier and single-port memory, and no bit that
    Yosys changes, such as a product that it registers in another place."""
    config = dataclasses.replace(engine_config(14, 1), microcoded=True)
    netlist = yosys.run(
        to_rtlil(MicrocodedEngine(config=config, digest=DIGEST), Ice40()),
        *yosys.SYNTH_ICE40,
        "write_verilog -noattr -simple-lhs {out}",
    )
    cells = collections.Counter(re.findall(r"^  (SB_[A-Z0-9_]+)", netlist, re.MULTILINE))
    assert (cells["SB_MAC16"], cells["SB_SPRAM256KA"]) == (1, 1)
    assert multipliers(netlist) == [ONE_REGISTER]
    assert 500 < cells["SB_LUT4"] < 2000
    models = Path(str(pyosys.__file__)).parent / "share" / "ice40" / "cells_sim.v"
    text = "`define NO_ICE40_DEFAULT_ASSIGNMENTS\n" + models.read_text(encoding="utf-8") + netlist
    sent, expected = sections(config, np.random.default_rng(5), 12)
    layout = word_layout(config.link)
    with VerilatedCore((layout, layout), text) as core:
        replies, _ = core.run(sent, len(expected))
    replies[:, 0] &= 0xFFFFFFFF
    np.testing.assert_array_equal(replies, expected)


def test_bad_words_are_named() -> None:
    assembler = Assembler()
    with pytest.raises(ValueError, match="operand 2048 is beyond 12 bits"):
        assembler.set(2048)
    with pytest.raises(ValueError, match=r"one word cannot have the immediates \['x', 3\]"):
        assembler.set(3, flow=Flow.JUMP, to="x")
    assembler.label("here")
    with pytest.raises(ValueError, match="label 'here' exists twice"):
        assembler.label("here")
    assembler.branch(Flow.JUMP, "nowhere")
    with pytest.raises(ValueError, match="there is no label 'nowhere'"):
        assembler.words()


def test_a_jump_goes_to_its_label() -> None:
    assembler = Assembler()
    assembler.do(Operation.KEEP, Operation.KEEP)
    assembler.label("here")
    assembler.set(Operand.LOW, flow=Flow.IF_ODD, to="here")
    immediate = assembler.words()[-1] >> 20
    assert immediate == 2


def test_program_and_table_fit_their_places() -> None:
    """Jumps reach all of the program; the page's places do not overlap the list of 256."""
    config = CONFIGS["icebreaker"]
    assert len(Program(config).words()) <= 1 << 11
    assert all(-(1 << 15) <= word < 1 << 15 for word in table(config, (1 << 128) - 1))
    assert min(page for page in Page if page) == 256
    layout = Layout(config)
    assert layout.depth == 1 << 16
    assert layout.page(0) >= layout.used


def test_a_memory_reads_what_was_written() -> None:
    memory = SinglePortMemory(depth=16)

    async def bench(ctx: Any) -> None:
        async def access(address: int, data: int | None = None) -> int:
            ctx.set(memory.address, address)
            ctx.set(memory.enable, 1)
            ctx.set(memory.write, data is not None)
            ctx.set(memory.data, data or 0)
            await ctx.tick()
            ctx.set(memory.enable, 0)
            return int(ctx.get(memory.q))

        for address in range(16):
            await access(address, 0x1234 * address & 0xFFFF)
        for address in (3, 15, 0):
            assert await access(address) == 0x1234 * address & 0xFFFF
            await ctx.tick()
            assert ctx.get(memory.q) == 0x1234 * address & 0xFFFF

    simulator = Simulator(memory)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    with pytest.raises(ValueError, match="depth must be a power of two, not 12"):
        SinglePortMemory(depth=12)


def test_only_a_microcoded_configuration_will_do() -> None:
    with pytest.raises(ValueError, match="config must be microcoded"):
        MicrocodedEngine(config=CONFIGS["sim-gossip"])
    with pytest.raises(ValueError, match="a microcoded core has f = 14"):
        CoreConfig(lanes=0, gossip_lanes=1, cordics=0, microcoded=True)


def test_the_program_is_of_one_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one, and another least weight than the program's, are refused."""
    with pytest.raises(ValueError, match="f must be 14 in microcode, not 16"):
        Program(CONFIGS["sim-gossip"])
    config = CONFIGS["icebreaker"]
    Program(config)
    monkeypatch.setattr(rounds, "WEIGHT_BITS", rounds.WEIGHT_BITS + 1)
    with pytest.raises(ValueError, match="the least weight must be 2097152 in microcode, not 10"):
        Program(config)
