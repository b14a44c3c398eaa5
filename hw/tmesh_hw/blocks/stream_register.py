"""Registers in a stream."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class StreamRegister(wiring.Component):
    """``o`` is ``i``, from registers: no path from one side to the other, a transaction every cycle.

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
        m.d.comb += self.o.payload.eq(first)
        if self._halved:
            # Kept apart: it drives every register.
            free = Signal(init=1, attrs={"keep": 1})
            valid = Mux(self.o.valid, ~self.o.ready, self.i.valid)
            m.d.comb += self.i.ready.eq(~self.o.valid)
            m.d.sync += [self.o.valid.eq(valid), free.eq(~valid)]
            with m.If(free):
                m.d.sync += first.eq(self.i.payload)
            return m
        second, full = Signal.like(first, reset_less=True), Signal()
        m.d.comb += self.i.ready.eq(~full)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [
                self.o.valid.eq(full | self.i.valid),
                first.eq(Mux(full, second, self.i.payload)),
                full.eq(0),
            ]
        with m.Elif(self.i.valid & ~full):
            m.d.sync += [second.eq(self.i.payload), full.eq(1)]
        return m
