"""A complex product rounded to the format of its factors."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.golden import fixed
from tmesh.numbers import BoolArray, IntArray, any_flag
from tmesh.numbers import round_shift as rounded_shift
from tmesh.numbers import saturate as clipped

from tmesh_hw.blocks.checks import check_fraction
from tmesh_hw.blocks.complex_multiply import ComplexMultiply
from tmesh_hw.numbers import Complex, round_shift, saturate


class RoundedProduct(wiring.Component):
    """``o.p = i.a * i.b``: an entry of a Kronecker product, say.

    Format: operands Q(2, f). The product is rounded half to even once, to Q(1, f+1) with ``i.fine``
    (entries of density matrices do not exceed 1) or to Q(2, f) without. Overflow clips and sets
    ``o.saturated``. One product per cycle; 4 multipliers.

    Parameters
    ----------
    f: fraction bits of Q(2, f).

    Members
    -------
    i: stream of ``{a: Complex(f+2), b: Complex(f+2), fine: 1}``
    o: stream of ``{p: Complex(f+2), saturated: 1}``
    """

    #: The multiplier, the rounded product, the clipped one.
    latency = ComplexMultiply.latency + 2

    def __init__(self, *, f: int) -> None:
        self.f = check_fraction(f)
        factor = Complex(f + 2)
        operands = data.StructLayout({"a": factor, "b": factor, "fine": 1})
        result = data.StructLayout({"p": factor, "saturated": 1})
        super().__init__({"i": In(stream.Signature(operands)), "o": Out(stream.Signature(result))})

    def model(self, a: IntArray, b: IntArray, fine: bool) -> tuple[IntArray, BoolArray]:
        """Integers (..., 2) in; (..., 2) and the saturation flag out."""
        full = fixed.complex_multiply(a, b)
        shift, slack = (self.f - 1, fixed.SLACK) if fine else (self.f, 0)
        p, flag = clipped(rounded_shift(full, shift), self.f + 2, slack)
        return p, any_flag(flag, (-1,))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        f, stages = self.f, self.latency
        m.submodules.multiply = multiply = ComplexMultiply(width=f + 2)
        valid, fine = Signal(stages), Signal(stages - 1)
        advance = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.o.valid.eq(valid[-1]),
            self.i.ready.eq(advance),
            multiply.i.valid.eq(1),
            multiply.o.ready.eq(advance),
            multiply.i.payload.a.eq(self.i.payload.a),
            multiply.i.payload.b.eq(self.i.payload.b),
        ]
        result = Signal.like(self.o.payload, reset_less=True)
        m.d.comb += self.o.payload.eq(result)
        flags = []
        with m.If(advance):
            m.d.sync += [
                valid.eq(Cat(self.i.valid, valid)),
                fine.eq(Cat(self.i.payload.fine, fine)),
            ]
            for part in ("re", "im"):
                # Twice the product, rounded as the product is to a bit more.
                product = multiply.o.payload.p[part]
                scaled = Mux(fine[-2], product << 1, product)
                rounded = Signal(signed(f + 7), name=f"rounded_{part}", reset_less=True)
                coarse, coarse_flag = saturate(rounded, f + 2)
                _, fine_flag = saturate(rounded, f + 2, fixed.SLACK)
                flags.append(Mux(fine[-1], fine_flag, coarse_flag))
                m.d.sync += [rounded.eq(round_shift(scaled, f)), result.p[part].eq(coarse)]
            m.d.sync += result.saturated.eq(flags[0] | flags[1])
        return m
