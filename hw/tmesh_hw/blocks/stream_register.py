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
        i, o = Value.cast(self.i.payload), Value.cast(self.o.payload)
        parts = [slice(n, n + PART) for n in range(0, len(i), PART)]
        # What drives a part of what is wide is in a register of its own, and nothing else is on its
        # way.
        there = Signal(attrs={"keep": 1})
        m.d.comb += self.o.valid.eq(there)
        first = Signal(len(i), reset_less=True)
        if self._halved:
            valid = Mux(there, ~self.o.ready, self.i.valid)
            m.d.comb += [self.i.ready.eq(~there), o.eq(first)]
            m.d.sync += there.eq(valid)
            for n, part in enumerate(parts):
                free = Signal(init=1, name=f"free{n}", attrs={"keep": 1})
                m.d.sync += free.eq(~valid)
                with m.If(free):
                    m.d.sync += first[part].eq(i[part])
            return m
        # Two places; the one to be filled takes whatever comes.
        second, full = Signal.like(first), Signal()
        into, out_of = Signal(), Signal()
        enters, leaves = self.i.valid & self.i.ready, there & self.o.ready
        into_next, out_of_next = into ^ enters, out_of ^ leaves
        full_next = ~leaves & (full | (there & enters))
        m.d.comb += self.i.ready.eq(~full)
        m.d.sync += [
            into.eq(into_next),
            out_of.eq(out_of_next),
            full.eq(full_next),
            there.eq(enters | Mux(leaves, full, there)),
        ]
        for n, part in enumerate(parts):
            free = [Signal(init=1 - k, name=f"free{k}_{n}", attrs={"keep": 1}) for k in range(2)]
            chosen = Signal(name=f"chosen{n}", attrs={"keep": 1})
            m.d.sync += [
                free[0].eq(~full_next & ~into_next),
                free[1].eq(~full_next & into_next),
                chosen.eq(out_of_next),
            ]
            for signal, place in zip(free, (first, second), strict=True):
                with m.If(signal):
                    m.d.sync += place[part].eq(i[part])
            m.d.comb += o[part].eq(Mux(chosen, second[part], first[part]))
        return m
