"""The microcoded engine's assembler, memory and cells; its packets are in `test_blocks`."""

import json
from typing import Any

import pytest
from amaranth.sim import Simulator
from tmesh.config import CONFIGS, CoreConfig
from tmesh_hw import yosys
from tmesh_hw.engine import MicrocodedEngine
from tmesh_hw.engine.microcode.assembler import Assembler
from tmesh_hw.engine.microcode.instruction import Flow, Operand, Operation
from tmesh_hw.engine.microcode.layout import Layout, Page, table
from tmesh_hw.engine.microcode.memory import SinglePortMemory
from tmesh_hw.engine.microcode.program import Program
from tmesh_hw.export import to_rtlil
from tmesh_hw.synthesis import Ice40


def test_it_takes_one_multiplier_and_the_memories_of_an_up5k() -> None:
    """A multiplier in logic, or states in block memory, would not leave room for a link."""
    report = yosys.run(
        to_rtlil(MicrocodedEngine(config=CONFIGS["icebreaker"]), Ice40()),
        *yosys.SYNTH_ICE40,
        "tee -o {out} stat -json",
    )
    cells = json.loads(report)["design"]["num_cells_by_type"]
    assert (cells["SB_MAC16"], cells["SB_SPRAM256KA"]) == (1, 4)
    assert cells["SB_LUT4"] < 2000
    assert cells["SB_RAM40_4K"] <= 20


def test_bad_words_are_named() -> None:
    assembler = Assembler()
    with pytest.raises(ValueError, match="operand 2048 is beyond 12 bits"):
        assembler.set(2048)
    with pytest.raises(ValueError, match=r"one word cannot have the immediates \['x', 3\]"):
        assembler.set(3, flow=Flow.JUMP, to="x")
    assembler.label("here")
    with pytest.raises(ValueError, match="label 'here' is there twice"):
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
