"""The interlock: proven not to let a read pass a write; the engine's tests hold its results."""

from pathlib import Path

import pytest
from amaranth import ClockDomain, Module, Signal
from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Elaboratable
from tmesh_hw.engine import Interlock

from .solver import proven


class Proof(Elaboratable):
    """Asserts, for any bundles that may come, of every bundle that is issued: nothing that it reads
    was issued to be written less than `claimed` cycles ago. While it is idle, nothing was."""

    def __init__(self, lanes: int, distance: int, claimed: int) -> None:
        self.dut = Interlock(lanes=lanes, row=1, distance=distance)
        self.claimed = claimed

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True)  # starts as after a reset
        m.submodules.dut = dut = self.dut
        i = dut.i.payload
        m.d.comb += [i.eq(AnySeq(i.shape().size)), dut.i.valid.eq(AnySeq(1))]
        slots = dut.o.payload
        history = [
            [(Signal(name=f"valid{t}_{k}"), Signal(name=f"row{t}_{k}")) for k in range(dut.lanes)]
            for t in range(self.claimed - 1)
        ]
        for t, writes in enumerate(history):
            for k, (valid, row) in enumerate(writes):
                source = (
                    (slots[k].valid & dut.o.valid, slots[k].own) if t == 0 else history[t - 1][k]
                )
                m.d.sync += [valid.eq(source[0]), row.eq(source[1])]
                for lane, slot in enumerate(slots):
                    hit = (slot.bank == k) & (slot.other == row)
                    if lane == k:
                        hit |= slot.own == row
                    reads = dut.o.valid & slot.valid & ~slot.repeat
                    m.d.comb += Assert(~(valid & reads & hit))
                m.d.comb += Assert(~(valid & dut.idle))
        return m


@pytest.mark.parametrize(("lanes", "distance"), [(1, 8), (2, 4), (3, 6)])
def test_no_read_passes_a_write(lanes: int, distance: int, tmp_path: Path) -> None:
    assert proven(Proof(lanes, distance, distance), tmp_path)
    # The proof would notice results that come a cycle later.
    assert not proven(Proof(lanes, distance, distance + 1), tmp_path)
