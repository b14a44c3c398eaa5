"""A Bloch vector from numerators and a denominator, purified."""

import itertools
import operator
from typing import Any

import numpy as np
from amaranth import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from tmesh.errors import InvalidInput
from tmesh.golden import rounds
from tmesh.numbers import BoolArray, IntArray

from tmesh_hw.blocks.checks import check_fraction
from tmesh_hw.numbers import MULTIPLY_LATENCY, add_subtract, multiply, round_shift


class Quotient(wiring.Component):
    """``r = i.n * 2**f / i.d``; then ``r = 2 r / (1 + |r|²)`` as often as `squarings` says; then a
    vector longer than 1 is shortened.

    That is ρ^κ/Tr ρ^κ, κ = 2^squarings, of any ρ that is given by a fraction: see
    `tmesh.golden.rounds`. A pipeline of non-restoring division, a bit a stage, which components
    enter one after another. A vector goes around it once for each of its divisions, three cycles a
    time. Each quotient is exact, rounded half to even, and clipped to ±(2^(f+1) − 1), flagged. Two
    multipliers. The vector that enters first is offered first.

    Parameters
    ----------
    f: fraction bits of Q(2, f). vectors: vectors that may be in progress at once, 1 to 16. carry:
    shape of data forwarded with the result.

    Members
    -------
    i: stream of ``{n: 3 × signed(2f+8), d: unsigned(2f+7), squarings: 2, saturated: 1, carry}``;
       n is not the smallest number, and saturated is forwarded
    o: stream of ``{r: 3 × signed(f+2), saturated: 1, carry}``
    """

    def __init__(self, *, f: int, vectors: int = 4, carry: Any = 0) -> None:
        self.f = check_fraction(f)
        if not 1 <= operator.index(vectors) <= 16:
            raise InvalidInput(f"vectors must be from 1 to 16, not {vectors!r}")
        self.vectors = vectors
        self._width = 2 * f + 7
        numerators = data.ArrayLayout(signed(2 * f + 8), 3)
        fraction = {"n": numerators, "d": unsigned(self._width), "squarings": 2}
        #: Data that wait for their vector.
        self._kept = data.StructLayout({"saturated": 1, "carry": carry})
        kept = {name: field.shape for name, field in self._kept}
        vector = data.ArrayLayout(signed(f + 2), 3)
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({**fraction, **kept}))),
                "o": Out(stream.Signature(data.StructLayout({"r": vector, **kept}))),
            }
        )
        # A component's stages: its value; its magnitude; after each bit, and one to round by; which
        # way to round; rounded; squared, all three added.
        self._rounded = 1 + (f + 3) + 2
        self._around = self._rounded + MULTIPLY_LATENCY + 4
        # By how much it is longer; that product, rounded; subtracted.
        self._last = self._around + MULTIPLY_LATENCY + 2

    def latency(self, squarings: int = 0) -> int:
        """Around for each division, and behind the last one two more components and a memory."""
        return squarings * self._around + self._last + 4

    def model(self, n: IntArray, d: IntArray, squarings: int) -> tuple[IntArray, BoolArray]:
        """Integers (m, 3) and (m,) in; vectors (m, 3), and which saturated."""
        never = np.zeros(len(d), dtype=np.bool_)
        fraction = rounds.Fraction(n, d, never, never)
        return rounds.settle(fraction, squarings, self.f)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        way = range(self.vectors)
        layout = {"first": 1, "last": 1, "way": way, "squarings": 2, "saturated": 1}
        tags = [
            Signal(data.StructLayout(layout), name=f"tag{stage}", reset_less=True)
            for stage in range(self._last + 3)
        ]
        #: Stages that have a component.
        self._valid = Signal(len(tags))
        for stage, (before, after) in enumerate(itertools.pairwise(tags)):
            with m.If(self._valid[stage]):
                m.d.sync += after.eq(before)
        r = [
            Signal(signed(self.f + 2), name=f"r{stage}", reset_less=True)
            for stage in range(self._rounded, self._last + 3)
        ]
        self._tags, self._r = tags, dict(enumerate(r, self._rounded))
        #: Of |r|² over 1, and half an LSB of the length.
        self._excess = Signal(signed(2 * self.f + 5), reset_less=True)
        self._divide(m, platform, *self._enter(m))
        self._measure(m, platform)
        self._shorten(m, platform)
        return m

    def _enter(self, m: Module) -> tuple[Any, Any]:
        """The operands of a division: those of a new vector if none comes around."""
        f, i, tags, vectors = self.f, self.i.payload, self._tags, self.vectors
        value = Signal(signed(2 * f + 8), reset_less=True)
        divisor = Signal(self._width, reset_less=True)
        later = [Signal.like(value, name=f"later{n}", reset_less=True) for n in range(2)]
        entering = Signal(2)
        into, out_of = Signal(range(vectors)), Signal(range(vectors))
        under_way, done = Signal(range(vectors + 1)), Signal(vectors)
        enters, leaves = self.i.valid & self.i.ready, self.o.valid & self.o.ready
        # Decided in the cycle before: it takes the next three.
        around, tag = tags[self._around - 1], tags[0]
        taken = [
            self._valid[stage] & tags[stage].squarings.any()
            for stage in range(self._around - 4, self._around - 1)
        ]
        blocked = Cat(enters, entering[0], *taken).any() | (under_way == vectors)
        again = self._valid[self._around - 1] & around.squarings.any()
        ends = self._valid[self._around - 1] & ~around.squarings.any()
        m.d.sync += [
            self._valid.eq(Cat(enters | entering.any() | again, self._valid)),
            self._valid[self._around].eq(ends),
            self.i.ready.eq(~blocked),
            entering.eq(Cat(enters, entering[0])),
            under_way.eq(under_way + enters - leaves),
        ]
        with m.If(self.i.ready):
            m.d.sync += [
                value.eq(i.n[0]),
                divisor.eq(i.d),
                *(kept.eq(i.n[1 + n]) for n, kept in enumerate(later)),
                tag.eq(0),
                tag.first.eq(1),
                tag.way.eq(into),
                tag.squarings.eq(i.squarings),
            ]
        with m.Elif(entering.any()):
            m.d.sync += [
                value.eq(Mux(entering[0], *later)),
                tag.first.eq(0),
                tag.last.eq(entering[1]),
            ]
        with m.Else():
            m.d.sync += [
                value.eq(self._r[self._around - 1] << (f + 1)),
                tag.eq(around),
                tag.squarings.eq(around.squarings - 1),
            ]
            with m.If(around.first):
                m.d.sync += divisor.eq(self._excess + (2 << (2 * f)) - (1 << f))

        m.submodules.kept = kept = Memory(shape=self._kept, depth=vectors, init=[])
        m.submodules.results = results = Memory(shape=self._result, depth=vectors, init=[])
        ending = [tags[self._last + n] for n in (2, 1, 0)]
        keep, settle = kept.write_port(), results.write_port()
        ticket, result = (memory.read_port(domain="comb") for memory in (kept, results))
        m.d.comb += [
            keep.addr.eq(into),
            keep.data.saturated.eq(i.saturated),
            keep.data.carry.eq(i.carry),
            keep.en.eq(enters),
            settle.addr.eq(ending[2].way),
            *(settle.data.r[n].eq(self._r[self._last + 2 - n]) for n in range(3)),
            settle.data.saturated.eq(Cat(t.saturated for t in ending).any()),
            settle.en.eq(self._valid[self._last] & ending[2].last),
            ticket.addr.eq(out_of),
            result.addr.eq(out_of),
            self.o.payload.r.eq(result.data.r),
            self.o.payload.saturated.eq(result.data.saturated | ticket.data.saturated),
            self.o.payload.carry.eq(ticket.data.carry),
        ]
        # Known as soon as the memory holds it.
        coming = tags[self._last - 1]
        with m.If(self._valid[self._last - 1] & coming.last):
            m.d.sync += done.bit_select(coming.way, 1).eq(1)
        with m.If(leaves):
            m.d.sync += done.bit_select(out_of, 1).eq(0)
        m.d.sync += self.o.valid.eq(done.bit_select(out_of, 1) & ~leaves)
        for turn, moves in ((into, enters), (out_of, leaves)):
            with m.If(moves):
                m.d.sync += turn.eq(Mux(turn == vectors - 1, 0, turn + 1))
        return value, divisor

    @property
    def _result(self) -> data.StructLayout:
        """A vector, and whether it saturated here."""
        return data.StructLayout({"r": data.ArrayLayout(signed(self.f + 2), 3), "saturated": 1})

    def _divide(self, m: Module, platform: Any, value: Any, divisor: Any) -> None:
        """A component from fraction to `r`. The part of its magnitude above the f + 2 bits of the
        quotient is in rest; the others are shifted out of quotient, as its own are shifted in."""
        f, width = self.f, self._width

        def stage(number: int) -> tuple[Any, ...]:
            shapes = {"rest": signed(width + 1), "divisor": width, "quotient": f + 2}
            shapes |= {"negative": 1, "over": 1}
            return tuple(
                Signal(shape, name=f"{name}{number}", reset_less=True)
                for name, shape in shapes.items()
            )

        rest, d, quotient, negative, over = stage(1)
        magnitude = Mux(value < 0, -value, value)[:width]
        with m.If(self._valid[0]):
            m.d.sync += [
                rest.eq(magnitude >> 2),
                d.eq(divisor),
                quotient.eq(magnitude[:2] << f),
                negative.eq(value < 0),
            ]
        m.d.comb += over.eq(~(rest - d)[-1])
        bit: Any = 0
        for number in range(1, self._rounded - 2):
            shifted = Cat(quotient[-1], rest)[: width + 1].as_signed()
            # Where rest is negative, the last bit is 0, and too much was subtracted.
            following = add_subtract(
                m, shifted, Cat(d, 0).as_signed(), rest[-1], platform, inverted=True
            )
            after = stage(number + 1)
            with m.If(self._valid[number]):
                values = (following, d, Cat(bit, quotient), negative, over)
                m.d.sync += [left.eq(right) for left, right in zip(after, values, strict=True)]
            rest, d, quotient, negative, over = after
            bit = ~rest[-1]
        flipped = Signal(f + 1, reset_less=True)
        up, full, beyond, below = (
            Signal(name=name, reset_less=True) for name in ("up", "full", "beyond", "below")
        )
        with m.If(self._valid[self._rounded - 2]):
            m.d.sync += [
                up.eq(bit & (rest.any() | quotient[0])),
                flipped.eq(quotient[: f + 1] ^ negative.replicate(f + 1)),
                full.eq(quotient[: f + 1].all()),
                beyond.eq(over | quotient[f + 1]),
                below.eq(negative),
            ]
        limit = (1 << (f + 1)) - 1
        clipped = beyond | (full & up)
        # Minus q is what q is with all bits flipped, and one more.
        rounded = Cat(flipped, below).as_signed() + (below ^ up)
        with m.If(self._valid[self._rounded - 1]):
            m.d.sync += self._r[self._rounded].eq(Mux(clipped, Mux(below, -limit, limit), rounded))
            with m.If(clipped):
                m.d.sync += self._tags[self._rounded].saturated.eq(1)

    def _measure(self, m: Module, platform: Any) -> None:
        """|r|², of all three components when the first of them is at the end of its way around."""
        first = self._r[self._rounded]
        product = multiply(m, first, first, platform)
        stage = self._rounded + MULTIPLY_LATENCY
        start = (1 << self.f) - (1 << (2 * self.f))
        with m.If(self._valid[stage]):
            m.d.sync += self._excess.eq(Mux(self._tags[stage].first, start, self._excess) + product)

    def _shorten(self, m: Module, platform: Any) -> None:
        """The last `r`, of vectors that do not go around again."""
        f, r = self.f, self._r
        most = rounds.longest(f)
        longer = Signal(range(most + 1), reset_less=True)
        excess, negative = self._excess[f + 1 : -1], self._excess[-1]
        with m.If(self._tags[self._around - 1].first):
            m.d.sync += longer.eq(excess[: f - 2])
            with m.If(negative | excess[f - 2 :].any()):
                m.d.sync += longer.eq(Mux(negative, 0, most))
        factor = Signal(signed(f + 2))
        m.d.comb += factor.eq(longer)
        product = multiply(m, r[self._around], factor, platform)
        less = Signal(signed(f + 2), reset_less=True)
        with m.If(self._valid[self._last - 2]):
            m.d.sync += less.eq(round_shift(product, f))
        for stage in range(self._rounded, self._last + 2):
            subtracted = less if stage == self._last - 1 else 0
            with m.If(self._valid[stage]):
                m.d.sync += r[stage + 1].eq(r[stage] - subtracted)
