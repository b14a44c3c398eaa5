"""Reciprocal of a normalised number by restoring division."""

import itertools
import operator
from typing import Any

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.errors import InvalidInput
from tmesh.golden import fixed
from tmesh.numbers import IntArray

from tmesh_hw.blocks.checks import check_fraction


class _Stage(wiring.Component):
    """`bits` iterations of the division, one per cycle; latency ``bits + 1``, period one more. It
    takes no input while it has a result, so no path goes through it."""

    def __init__(self, layout: data.StructLayout, bits: int) -> None:
        self.bits = bits
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        left = Signal(range(self.bits + 1))
        busy = Signal()
        state = Signal(self.o.payload.shape(), reset_less=True)
        doubled = state.remainder << 1
        bit = doubled >= state.p
        m.d.comb += [
            self.o.valid.eq(busy & (left == 0)),
            self.o.payload.eq(state),
            self.i.ready.eq(~busy),
        ]
        with m.If(busy & (left != 0)):
            m.d.sync += [
                left.eq(left - 1),
                state.remainder.eq(Mux(bit, doubled - state.p, doubled)),
                state.g.eq(Cat(bit, state.g)),
            ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += busy.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [state.eq(self.i.payload), left.eq(self.bits), busy.eq(1)]
        return m


class Reciprocal(wiring.Component):
    """``o.g = min(2**(2f+7) // i.p, 2**(f+3) - 1)`` for p of f+5 bits with its top bit set.

    With p read as a number in [½, 1), g is 1/p in (1, 2] with f+2 fraction bits, truncated: the
    error is in [0, 1) LSB of g. Restoring division, one bit per cycle and stage; as many stages as
    keep one result per `interval` cycles. No multipliers.

    Parameters
    ----------
    f: fraction bits of the datapath's Q(2, f).
    interval: cycles between transactions, at least 3; large values give one iterative stage.
    carry: shape of data forwarded with the result.

    Members
    -------
    i: stream of ``{p: unsigned(f+5), carry}``
    o: stream of ``{g: unsigned(f+3), carry}``
    """

    def __init__(self, *, f: int, interval: int, carry: Any = 0) -> None:
        self.f = check_fraction(f)
        if operator.index(interval) < 3:
            raise InvalidInput(f"interval must be at least 3, not {interval!r}")
        self._carry = carry
        per_stage, bits = interval - 2, f + 3
        self._stages = [min(per_stage, bits - done) for done in range(0, bits, per_stage)]
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({"p": f + 5, "carry": carry}))),
                "o": Out(stream.Signature(data.StructLayout({"g": f + 3, "carry": carry}))),
            }
        )

    @property
    def latency(self) -> int:
        """Each stage loads in one cycle and spends one per bit."""
        return self.f + 3 + len(self._stages)

    def model(self, p: IntArray) -> IntArray:
        """Integers with the top bit set in, g out."""
        return fixed.reciprocal(p, self.f)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        f = self.f
        layout = data.StructLayout(
            {
                "p": unsigned(f + 5),
                "remainder": unsigned(f + 5),
                "g": unsigned(f + 3),
                "carry": self._carry,
            }
        )
        stages = [_Stage(layout, bits) for bits in self._stages]
        for n, stage in enumerate(stages):
            m.submodules[f"stage{n}"] = stage
        first, last = stages[0], stages[-1]
        for before, after in itertools.pairwise(stages):
            wiring.connect(m, before.o, after.i)
        m.d.comb += [
            first.i.valid.eq(self.i.valid),
            self.i.ready.eq(first.i.ready),
            first.i.payload.p.eq(self.i.payload.p),
            # Starting from ½ without its own comparison, the exact quotient 2 (p = ½) comes out as
            # all ones: the clip costs nothing.
            first.i.payload.remainder.eq(1 << (f + 4)),
            first.i.payload.carry.eq(self.i.payload.carry),
            self.o.valid.eq(last.o.valid),
            last.o.ready.eq(self.o.ready),
            self.o.payload.g.eq(last.o.payload.g),
            self.o.payload.carry.eq(last.o.payload.carry),
        ]
        return m
