"""A Bloch vector from numerators and a denominator, purified."""

from typing import Any

import numpy as np
from amaranth import Array, Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.golden import rounds
from tmesh.numbers import BoolArray, IntArray

from tmesh_hw.blocks.checks import check_fraction
from tmesh_hw.numbers import MULTIPLY_LATENCY, multiply, round_shift


class Quotient(wiring.Component):
    """``r = i.n * 2**f / i.d``; then ``r = 2 r / (1 + |r|²)`` as often as `squarings` says; then
    what is longer than 1 is shortened.

    That is ρ^κ/Tr ρ^κ, κ = 2^squarings, of any ρ that is given by a fraction: see
    `tmesh.golden.rounds`. Restoring division, one bit a cycle, three components at a time; each
    quotient is exact, rounded half to even, and clipped to ±(2^(f+1) − 1), flagged. One multiplier.
    One vector at a time: the period is the latency, f + 14 cycles for each division and 8 more.

    Parameters
    ----------
    f: fraction bits of Q(2, f). carry: shape of data forwarded with the result.

    Members
    -------
    i: stream of ``{n: 3 × signed(2f+8), d: unsigned(2f+7), squarings: 2, saturated: 1, carry}``;
       n is not the smallest number, and saturated is forwarded
    o: stream of ``{r: 3 × signed(f+2), saturated: 1, carry}``
    """

    def __init__(self, *, f: int, carry: Any = 0) -> None:
        self.f = check_fraction(f)
        self._width = 2 * f + 7
        numerators = data.ArrayLayout(signed(2 * f + 8), 3)
        fraction = {"n": numerators, "d": unsigned(self._width), "squarings": 2}
        vector = data.ArrayLayout(signed(f + 2), 3)
        self._carry = carry
        super().__init__(
            {
                "i": In(
                    stream.Signature(
                        data.StructLayout({**fraction, "saturated": 1, "carry": carry})
                    )
                ),
                "o": Out(
                    stream.Signature(
                        data.StructLayout({"r": vector, "saturated": 1, "carry": carry})
                    )
                ),
            }
        )

    def latency(self, squarings: int = 0) -> int:
        """Of each division f + 2 bits, five cycles around them, and the length; the last step."""
        products = MULTIPLY_LATENCY + 4
        return (squarings + 1) * (self.f + 7 + products) + products + 1

    def model(self, n: IntArray, d: IntArray, squarings: int) -> tuple[IntArray, BoolArray]:
        """Integers (m, 3) and (m,) in; vectors (m, 3), and which saturated."""
        never = np.zeros(len(d), dtype=np.bool_)
        fraction = rounds.Fraction(n, d, never, never)
        return rounds.settle(fraction, squarings, self.f)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        f, width, i = self.f, self._width, self.i.payload
        rest = [Signal(width, name=f"rest{n}", reset_less=True) for n in range(3)]
        quotient = [Signal(f + 2, name=f"quotient{n}", reset_less=True) for n in range(3)]
        negative, over, up = Signal(3), Signal(3), Signal(3)
        divisor = Signal(width, reset_less=True)
        r = [Signal(signed(f + 2), name=f"r{n}", reset_less=True) for n in range(3)]
        squarings, saturated = Signal(2), Signal()
        carry = Signal(self._carry, reset_less=True)
        count = Signal(range(max(f + 2, 3 + MULTIPLY_LATENCY + 1)))
        limit = (1 << (f + 1)) - 1

        def divide(numerators: list[Any], d: Any) -> None:
            """Begin: magnitudes of n, all that is above the f + 2 bits of the quotient in rest."""
            for n, value in enumerate(numerators):
                magnitude = Mux(value < 0, -value, value)[:width]
                m.d.sync += [
                    negative[n].eq(value < 0),
                    rest[n].eq(magnitude >> 2),
                    quotient[n].eq(magnitude[:2] << f),
                ]
            m.d.sync += [divisor.eq(d), count.eq(0)]
            m.next = "RANGE"

        # One multiplier takes the components in turn: their squares, or their parts of `longer`.
        longer, shortening = Signal(range(rounds.longest(f) + 1)), Signal()
        factor = Signal(signed(f + 2))
        operand = Array(r)[count[:2]]
        m.d.comb += factor.eq(Mux(shortening, longer, operand))
        product = multiply(m, operand, factor, platform)
        square = Signal(2 * f + 4, reset_less=True)
        arrived = Signal(2)
        m.d.comb += arrived.eq((count - MULTIPLY_LATENCY)[:2])
        arrives = (count >= MULTIPLY_LATENCY) & (count < MULTIPLY_LATENCY + 3)
        last = count == MULTIPLY_LATENCY + 3

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [
                        squarings.eq(i.squarings),
                        saturated.eq(i.saturated),
                        carry.eq(i.carry),
                    ]
                    divide(list(i.n), i.d)
            with m.State("RANGE"):
                m.d.sync += over.eq(Cat(value >= divisor for value in rest))
                m.next = "DIVIDE"
            with m.State("DIVIDE"):
                m.d.sync += count.eq(count + 1)
                for value, bits in zip(rest, quotient, strict=True):
                    shifted = Cat(bits[-1], value)
                    less = shifted - divisor
                    bit = less >= 0
                    m.d.sync += [value.eq(Mux(bit, less, shifted)), bits.eq(Cat(bit, bits))]
                with m.If(count == f + 1):
                    m.next = "ROUND"
            with m.State("ROUND"):
                for n, (value, bits) in enumerate(zip(rest, quotient, strict=True)):
                    double = value << 1
                    half = double == divisor
                    m.d.sync += up[n].eq((double > divisor) | (half & bits[0]))
                m.next = "UP"
            with m.State("UP"):
                for n, bits in enumerate(quotient):
                    m.d.sync += [bits.eq(bits + up[n]), over[n].eq(over[n] | bits[f + 1])]
                m.next = "SIGN"
            with m.State("SIGN"):
                clipped = []
                for n, bits in enumerate(quotient):
                    beyond = over[n] | bits[f + 1]
                    magnitude = Mux(beyond, limit, bits)[: f + 1]
                    m.d.sync += r[n].eq(Mux(negative[n], -magnitude, magnitude))
                    clipped.append(beyond)
                m.d.sync += [
                    saturated.eq(saturated | Cat(clipped).any()),
                    count.eq(0),
                    square.eq(0),
                ]
                m.next = "LENGTH"
            with m.State("LENGTH"):
                m.d.sync += count.eq(count + 1)
                with m.If(arrives):
                    m.d.sync += square.eq(square + product)
                with m.If(last):
                    m.next = "NEXT"
            with m.State("NEXT"):
                one = 1 << (2 * f)
                excess = (square + ((1 << f) - one)) >> (f + 1)
                most = rounds.longest(f)
                m.d.sync += [
                    longer.eq(Mux(excess < 0, 0, Mux(excess > most, most, excess[: f - 1]))),
                    count.eq(0),
                    squarings.eq(squarings - 1),
                ]
                with m.If(squarings == 0):
                    m.next = "SHORTEN"
                with m.Else():
                    divide([value << (f + 1) for value in r], square + one)
            with m.State("SHORTEN"):
                m.d.comb += shortening.eq(1)
                m.d.sync += count.eq(count + 1)
                with m.If(arrives):
                    for n, value in enumerate(r):
                        with m.If(arrived == n):
                            m.d.sync += value.eq(value - round_shift(product, f))
                with m.If(last):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "IDLE"
        m.d.comb += [
            *(self.o.payload.r[n].eq(value) for n, value in enumerate(r)),
            self.o.payload.saturated.eq(saturated),
            self.o.payload.carry.eq(carry),
        ]
        return m
