"""Von Neumann entropy of eigenvalues."""

import itertools
from typing import Any

from amaranth import Array, C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.golden import entropy
from tmesh.golden.cordic import CordicFormat
from tmesh.golden.entropy import (
    FACTOR,
    LOG_FRACTION,
    MANTISSA,
    PLACE_BITS,
    SEGMENT_BITS,
    SUM_FRACTION,
)
from tmesh.numbers import IntArray

from tmesh_hw.blocks.checks import check_choice
from tmesh_hw.numbers import round_shift


class Entropy(wiring.Component):
    """``o.entropy = -sum(l * log(l))`` over ``i.values``, in nats.

    Each eigenvalue is clipped to [0, 1], so values outside do not count. ln m by a table of 64
    segments with linear interpolation. Format: values Q(4, f+6), result Q(2, f), rounded half to
    even. Error: 1e-4 nat and half an LSB at most for eigenvalues that sum to 1. Latency n + 9; one
    matrix per n cycles; 2 multipliers.

    Parameters
    ----------
    f: fraction bits of Q(2, f), 4 to 16.
    n: eigenvalues, 1 to 4 (more could exceed 2 nat).
    carry: shape of data forwarded with the result.

    Members
    -------
    i: stream of ``{values: n × signed(f+10), carry}``
    o: stream of ``{entropy: signed(f+2), carry}``
    """

    def __init__(self, *, f: int, n: int, carry: Any = 0) -> None:
        self.format = CordicFormat(f)
        self.n = check_choice("n", n, (1, 2, 3, 4))
        self._carry = carry
        values = data.ArrayLayout(signed(self.format.width), n)
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({"values": values, "carry": carry}))),
                "o": Out(
                    stream.Signature(data.StructLayout({"entropy": signed(f + 2), "carry": carry}))
                ),
            }
        )

    @property
    def interval(self) -> int:
        """Cycles between matrices."""
        return self.n

    @property
    def latency(self) -> int:
        """Load, one issue a value, eight stages."""
        return self.n + 9

    def model(self, values: IntArray) -> IntArray:
        """Integers (..., n) in, (...,) out."""
        return entropy.entropy(values, self.format.f)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        f, fraction, n = self.format.f, self.format.fraction, self.n
        values = Signal(self.i.payload.shape()["values"].shape, reset_less=True)
        carry = Signal(self._carry, reset_less=True)
        left = Signal(range(n + 1))
        tag = data.StructLayout({"valid": 1, "first": 1, "last": 1, "carry": self._carry})
        tags = [Signal(tag, name=f"tag{k}") for k in range(9)]
        arriving = tags[-1]
        advance = Signal()
        m.d.comb += [
            # Stall as a whole rather than overwrite a result that was not taken yet.
            advance.eq(~(arriving.valid & arriving.last & self.o.valid & ~self.o.ready)),
            self.i.ready.eq(advance & (left <= 1)),
            tags[0].valid.eq(left != 0),
            tags[0].first.eq(left == n),
            tags[0].last.eq(left == 1),
            tags[0].carry.eq(carry),
        ]
        with m.If(advance):
            m.d.sync += [after.eq(before) for before, after in itertools.pairwise(tags)]
            with m.If(left != 0):
                m.d.sync += left.eq(left - 1)
                m.d.sync += [values[k].eq(values[k + 1]) for k in range(n - 1)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                left.eq(n),
                values.eq(self.i.payload["values"]),
                carry.eq(self.i.payload.carry),
            ]

        # 1: clip.
        value = values[0]
        u, counted = (Signal(fraction + 1, name=n, reset_less=True) for n in ("u", "counted"))
        shift = Signal(range(fraction + 1))
        above = (value >= 0) & value[fraction:].any()
        for k in range(fraction + 1):
            with m.If(u[k]):
                m.d.comb += shift.eq(fraction - k)
        # 2: count leading zeros. 3: the mantissa without its leading one. 4: the table. 5: between
        # its entries. 6: ln m and s ln 2. 7: product. 8: shift it back.
        mantissa = Signal(fraction, reset_less=True)
        shifts = [Signal(range(fraction + 1), name=f"shift{k}", reset_less=True) for k in range(6)]
        nones = [Signal(name=f"none{k}", reset_less=True) for k in range(6)]
        start, rise = (Array(C(v, LOG_FRACTION) for v in t) for t in entropy.logarithms())
        doubling = Array(C(v, LOG_FRACTION + 4) for v in entropy.doublings(f))
        rise_bits = LOG_FRACTION - SEGMENT_BITS + 1
        segment = mantissa[fraction - SEGMENT_BITS :]
        padded = Cat(C(0, SEGMENT_BITS + PLACE_BITS), mantissa)
        place = padded[fraction : fraction + PLACE_BITS]
        wide = Cat(C(0, MANTISSA), mantissa)[fraction : fraction + MANTISSA]
        entry, at_start = (Signal(LOG_FRACTION, name=n) for n in ("entry", "at_start"))
        entry_rise, entry_place = Signal(rise_bits), Signal(PLACE_BITS)
        above_start = Signal(rise_bits + PLACE_BITS)
        scaled, log = Signal(LOG_FRACTION + 4), Signal(FACTOR + 4)
        factors = [Signal(MANTISSA + 1, name=f"factor{k}", reset_less=True) for k in range(3)]
        product = Signal(MANTISSA + FACTOR + 5, reset_less=True)
        total = Signal(SUM_FRACTION + 2, reset_less=True)
        with m.If(advance):
            m.d.sync += [
                u.eq(Mux(above, 1 << fraction, Mux(value < 0, 0, value))),
                counted.eq(u),
                mantissa.eq((counted << shifts[0])[:fraction]),
                shifts[0].eq(shift),
                nones[0].eq(u == 0),
                entry.eq(start[segment]),
                entry_rise.eq(rise[segment][:rise_bits]),
                entry_place.eq(place),
                at_start.eq(entry),
                above_start.eq(entry_rise * entry_place),
                scaled.eq(doubling[shifts[2]]),
                factors[0].eq(Cat(wide, 1)),
                log.eq((scaled - at_start - (above_start >> PLACE_BITS))[LOG_FRACTION - FACTOR :]),
                factors[1].eq(factors[0]),
                factors[2].eq(factors[1]),
                product.eq(factors[2] * log),
            ]
            m.d.sync += [after.eq(before) for before, after in itertools.pairwise(shifts)]
            m.d.sync += [after.eq(before) for before, after in itertools.pairwise(nones)]
        term = Signal(SUM_FRACTION + 2, reset_less=True)
        shifted = (product >> (MANTISSA + FACTOR - SUM_FRACTION)) >> shifts[5]
        with m.If(advance):
            m.d.sync += term.eq(Mux(nones[5], 0, shifted))
        sum_now = Mux(arriving.first, 0, total) + term
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(advance & arriving.valid):
            m.d.sync += total.eq(sum_now)
            with m.If(arriving.last):
                m.d.sync += [
                    self.o.valid.eq(1),
                    self.o.payload.entropy.eq(round_shift(sum_now, SUM_FRACTION - f)),
                    self.o.payload.carry.eq(arriving.carry),
                ]
        return m
