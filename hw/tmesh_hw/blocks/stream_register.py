"""Registers in a stream."""

from typing import Any

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tmesh_hw.blocks.checks import check_choice
from tmesh_hw.numbers import copies

#: Bits of a payload that one register enables.
PART = 64


class StreamRegister(wiring.Component):
    """``o`` is ``i``, from a register: no path from one side to the other. Latency 1.

    That cuts long wires, and a simulator need not follow them. One every cycle: `Queue`.

    Parameters
    ----------
    shape: of the payload. every: cycles between transactions, 2; or 3, and the driver of `o.ready`
    may be far from the registers that it enables.

    Members
    -------
    i, o: streams of `shape`
    """

    latency = 1

    def __init__(self, shape: Any, *, every: int = 2) -> None:
        self._every = check_choice("every", every, (2, 3))
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        i, o = Value.cast(self.i.payload), Value.cast(self.o.payload)
        there, free = Signal(), Signal(init=1)
        kept = Signal(len(i), reset_less=True)
        enters = self.i.valid & free
        there_next = Mux(there, ~self.o.ready, enters)
        free_next = ~there_next if self._every == 2 else ~there & ~enters
        m.d.comb += [self.i.ready.eq(free), self.o.valid.eq(there), o.eq(kept)]
        m.d.sync += [there.eq(there_next), free.eq(free_next)]
        # One enable register per slice, to limit fan-out.
        parts = [slice(n, n + PART) for n in range(0, len(i), PART)]
        takes = copies(m, free_next, len(parts), platform, name="takes", init=1)
        for part, taking in zip(parts, takes, strict=True):
            with m.If(taking):
                m.d.sync += kept[part].eq(i[part])
        return m
