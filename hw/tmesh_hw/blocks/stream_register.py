"""Registers in a stream."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class StreamRegister(wiring.Component):
    """``o`` is ``i``, from registers: no path from one side to the other; one every cycle.

    That cuts long wires, and a simulator need not follow them. Latency 1.

    Parameters
    ----------
    shape: of the payload. halved: a transaction every other cycle, from half the registers.

    Members
    -------
    i, o: streams of `shape`
    """

    latency = 1

    def __init__(self, shape: Any, *, halved: bool = False) -> None:
        self._halved = halved
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        first = Signal.like(self.o.payload, reset_less=True)
        # Kept apart from copies of it, here and elsewhere, that drive what is wide.
        there = Signal(attrs={"keep": 1})
        m.d.comb += [self.o.payload.eq(first), self.o.valid.eq(there)]
        if self._halved:
            free = Signal(init=1, attrs={"keep": 1})
            valid = Mux(there, ~self.o.ready, self.i.valid)
            m.d.comb += self.i.ready.eq(~there)
            m.d.sync += [there.eq(valid), free.eq(~valid)]
            with m.If(free):
                m.d.sync += first.eq(self.i.payload)
            return m
        second, full = Signal.like(first, reset_less=True), Signal()
        room = Signal(init=1, attrs={"keep": 1})
        m.d.comb += self.i.ready.eq(room)
        with m.If(self.o.ready | ~there):
            m.d.sync += [
                there.eq(full | self.i.valid),
                first.eq(Mux(full, second, self.i.payload)),
                full.eq(0),
                room.eq(1),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += [full.eq(1), room.eq(0)]
        with m.If(~full):
            m.d.sync += second.eq(self.i.payload)
        return m
