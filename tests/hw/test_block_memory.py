"""The ECP5 body of the block memory against its simulation body."""

from typing import Any

import numpy as np
import pytest
from amaranth import Cat, Module, Signal
from amaranth.hdl import Elaboratable
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh_hw.blocks import BlockMemory
from tmesh_hw.export import simulation_verilog
from tmesh_hw.synthesis import Ecp5
from tmesh_sim.cells import with_models
from tmesh_sim.harness import Source, VerilatedCore
from tmesh_sim.packing import ports


class OnEcp5(Elaboratable):
    """A component as it is on ECP5."""

    def __init__(self, component: Any) -> None:
        self.component = component

    def elaborate(self, platform: Any) -> Any:
        return self.component.elaborate(Ecp5())


class Bodies(wiring.Component):
    """What both bodies read from `i.from`, where `i.value` is written to `i.to`; nothing of what is
    read moves unless `i.enable`."""

    def __init__(self, width: int, depth: int) -> None:
        self.width, self.depth = width, depth
        address = (depth - 1).bit_length()
        operands = {"from": address, "to": address, "value": width, "valid": 1, "enable": 1}
        answer = data.StructLayout({"macro": width, "plain": width})
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(operands), always_ready=True)),
                "o": Out(stream.Signature(answer, always_ready=True)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        i = self.i.payload
        for name in ("macro", "plain"):
            memory = BlockMemory(width=self.width, depth=self.depth)
            m.submodules[name] = OnEcp5(memory) if name == "macro" else memory
            m.d.comb += [
                memory.address.eq(i["from"]),
                memory.enable.eq(i.enable),
                memory.write.address.eq(i.to),
                memory.write.value.eq(i.value),
                memory.write.valid.eq(i.valid & self.i.valid),
                self.o.payload[name].eq(memory.value),
            ]
        there = Signal(BlockMemory.latency)
        m.d.sync += there.eq(Cat(self.i.valid, there))
        m.d.comb += self.o.valid.eq(there[-1])
        return m


@pytest.mark.parametrize(
    ("width", "depth", "bits"), [(18, 600, 18), (20, 1366, 9), (11, 4096, 4), (3, 5000, 2)]
)
def test_both_bodies_are_equal(width: int, depth: int, bits: int) -> None:
    """Latency, order of pins, and the last block, which has a part of a word."""
    dut = Bodies(width, depth)
    text = simulation_verilog(dut)
    assert text.count("DP16KD #(") == -(-width // bits)
    rng = np.random.default_rng(1)
    row = rng.choice(np.append(rng.integers(0, depth, 30), [0, depth - 1]), (4000, 2))
    row[row[:, 0] == row[:, 1], 0] ^= 1  # nobody may read what is written
    value = rng.integers(0, 1 << width, 4000)
    valid, enable = rng.integers(0, 2, (2, 4000))
    source = with_models(Source(lambda: text, text), "ecp5")
    with VerilatedCore(ports(dut), source) as core:
        replies, _ = core.run(np.column_stack([row, value, valid, enable]))
    assert np.count_nonzero(replies[:, 0]) > 1000
    np.testing.assert_array_equal(replies[:, 0], replies[:, 1])


def test_deeper_than_a_block_is_a_memory_of_the_language() -> None:
    assert "DP16KD" not in simulation_verilog(Bodies(4, 1 << 15))
