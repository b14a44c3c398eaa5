"""The interlock: proven not to let a read pass a write; the engine's tests hold its results."""

import pytest
from amaranth import ClockDomain, Module, Signal
from amaranth.back import rtlil
from amaranth.hdl import Assert, Elaboratable
from tmesh_hw import yosys
from tmesh_hw.engine import Interlock


class Proof(Elaboratable):
    """Asserts, for any bundles that may come, of every bundle that is issued: nothing that it reads
    was issued to be written less than `claimed` cycles ago."""

    def __init__(self, lanes: int, distance: int, claimed: int) -> None:
        self.dut = Interlock(lanes=lanes, row=1, distance=distance)
        self.claimed = claimed
        self.ports = [self.dut.i.payload.as_value(), self.dut.i.valid]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True)  # starts as after a reset
        m.submodules.dut = dut = self.dut
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
        return m


def check(lanes: int, distance: int, claimed: int, bound: int) -> str:
    """What Yosys's SAT solver says of all sequences of bundles and gaps, up to `bound` cycles from
    reset, of agents in two rows of every bank."""
    top = Proof(lanes, distance, claimed)
    text = rtlil.convert(top, ports=top.ports, emit_src=False)
    options = f"-set-def-inputs -seq 1 -tempinduct-baseonly -tempinduct -maxsteps {bound}"
    return yosys.run(
        text,
        "prep -flatten -top top",
        "chformal -lower",
        f"tee -o {{out}} sat -prove-asserts {options} top",
    )


@pytest.mark.parametrize(("lanes", "distance", "bound"), [(1, 4, 30), (2, 4, 24), (3, 6, 16)])
def test_no_read_passes_a_write(lanes: int, distance: int, bound: int) -> None:
    assert "SUCCESS!" in check(lanes, distance, distance, bound)
    # The proof would notice results that come a cycle later.
    assert "model found for base case: FAIL!" in check(lanes, distance, distance + 1, bound)
