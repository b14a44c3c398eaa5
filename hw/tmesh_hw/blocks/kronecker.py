"""Kronecker product of two 2×2 matrices."""

from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.golden import fixed
from tmesh.numbers import BoolArray, IntArray

from tmesh_hw.blocks.checks import check_choice, check_fraction
from tmesh_hw.blocks.rounded_product import RoundedProduct
from tmesh_hw.numbers import matrix


class Kronecker(wiring.Component):
    """``o.k[2i+k][2j+l] = i.a[i][j] * i.b[k][l]``; equals ``numpy.kron(a, b)``.

    Format: operands Q(2, f). Each entry is a `RoundedProduct`, rounded half to even once, to Q(1,
    f+1) with ``i.fine`` (products of density matrices, whose entries do not exceed 1) or to Q(2, f)
    without. Overflow clips and sets ``o.saturated``. One transaction per ``interval`` = 16/lanes
    cycles; 4·lanes multipliers.

    Parameters
    ----------
    f: fraction bits of Q(2, f).
    lanes: complex multipliers: 1, 2, 4, 8 or 16.

    Members
    -------
    i: stream of ``{a: 2×2 Complex(f+2), b: 2×2 Complex(f+2), fine: 1}``;
       taken with its last entries
    o: stream of ``{k: 4×4 Complex(f+2), saturated: 1}``
    """

    #: From the last entries to the result: the product, and the register of the result.
    latency = RoundedProduct.latency + 1

    def __init__(self, *, f: int, lanes: int) -> None:
        self.f = check_fraction(f)
        self.lanes = check_choice("lanes", lanes, (1, 2, 4, 8, 16))
        width = f + 2
        operands = {"a": matrix(2, width), "b": matrix(2, width), "fine": 1}
        result = {"k": matrix(4, width), "saturated": 1}
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(operands))),
                "o": Out(stream.Signature(data.StructLayout(result))),
            }
        )

    @property
    def interval(self) -> int:
        """Cycles between transactions."""
        return 16 // self.lanes

    def model(self, a: IntArray, b: IntArray, fine: bool) -> tuple[IntArray, BoolArray]:
        """Integers (..., 2, 2, 2) in; (..., 4, 4, 2) and the saturation flag out."""
        return fixed.kron(a, b, self.f, fine)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        i, o, steps = self.i.payload, self.o.payload, self.interval
        entering, leaving = (Signal(range(steps), name=name) for name in ("entering", "leaving"))
        products = [RoundedProduct(f=self.f) for _ in range(self.lanes)]
        k, valid = Signal.like(o.k, reset_less=True), Signal()
        flags, first = Cat(product.o.payload.saturated for product in products), leaving == 0
        into, out_of = products[0].i, products[0].o
        enters, leaves = into.valid & into.ready, out_of.valid & out_of.ready
        m.d.comb += [
            self.i.ready.eq(into.ready & (entering == steps - 1)),
            self.o.valid.eq(valid),
            o.k.eq(k),
        ]
        for turn, moves in ((entering, enters), (leaving, leaves)):
            with m.If(moves):
                m.d.sync += turn.eq(Mux(turn == steps - 1, 0, turn + 1))
        with m.If(self.o.ready):
            m.d.sync += valid.eq(0)
        with m.If(leaves):
            m.d.sync += [
                valid.eq(leaving == steps - 1),
                o.saturated.eq(flags.any() | (o.saturated & ~first)),
            ]
        for lane, product in enumerate(products):
            m.submodules[f"product{lane}"] = product
            mine = [divmod(n, 4) for n in range(lane, 16, self.lanes)]
            a = Array(i.a[p >> 1][q >> 1].as_value() for p, q in mine)[entering]
            b = Array(i.b[p & 1][q & 1].as_value() for p, q in mine)[entering]
            m.d.comb += [
                product.i.valid.eq(self.i.valid),
                product.i.payload.a.as_value().eq(a),
                product.i.payload.b.as_value().eq(b),
                product.i.payload.fine.eq(i.fine),
                product.o.ready.eq(~valid | self.o.ready),
            ]
            for step, (p, q) in enumerate(mine):
                with m.If(leaves & (leaving == step)):
                    m.d.sync += k[p][q].eq(product.o.payload.p)
        return m
