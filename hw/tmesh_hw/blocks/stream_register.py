"""Registers in a stream."""

from typing import Any

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

#: Bits of a payload that one register enables.
PART = 64


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
        width = len(Value.cast(self.i.payload))
        first = Signal(width, reset_less=True)
        # Kept apart from copies of it, here and elsewhere, that drive what is wide.
        there = Signal(attrs={"keep": 1})
        parts = [slice(n, n + PART) for n in range(0, width, PART)]
        coming = Value.cast(self.i.payload)
        m.d.comb += [Value.cast(self.o.payload).eq(first), self.o.valid.eq(there)]
        if self._halved:
            valid = Mux(there, ~self.o.ready, self.i.valid)
            m.d.comb += self.i.ready.eq(~there)
            m.d.sync += there.eq(valid)
            for n, part in enumerate(parts):
                free = Signal(init=1, name=f"free{n}", attrs={"keep": 1})
                m.d.sync += free.eq(~valid)
                with m.If(free):
                    m.d.sync += first[part].eq(coming[part])
            return m
        second, full = Signal.like(first), Signal()
        room = Signal(init=1, attrs={"keep": 1})
        m.d.comb += self.i.ready.eq(room)
        moves = self.o.ready | ~there
        following = Mux(moves, full | self.i.valid, 1)
        m.d.sync += there.eq(following)
        with m.If(moves):
            m.d.sync += [full.eq(0), room.eq(1)]
        with m.Elif(self.i.valid):
            m.d.sync += [full.eq(1), room.eq(0)]
        for n, part in enumerate(parts):
            occupied = Signal(name=f"there{n}", attrs={"keep": 1})
            m.d.sync += occupied.eq(following)
            with m.If(self.o.ready | ~occupied):
                m.d.sync += first[part].eq(Mux(full, second, self.i.payload)[part])
        with m.If(~full):
            m.d.sync += second.eq(coming)
        return m
