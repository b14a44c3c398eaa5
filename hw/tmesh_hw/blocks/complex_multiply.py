"""Complex multiplication at full width."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.golden import fixed
from tmesh.numbers import MULTIPLIER_WIDTH, IntArray

from tmesh_hw.blocks.checks import check_choice
from tmesh_hw.numbers import MULTIPLY_LATENCY, Complex, multiply


class ComplexMultiply(wiring.Component):
    """``o.p = i.a * i.b``, or ``i.a * conj(i.b)`` with ``i.conjugate``; equals NumPy's ``a * b``.

    Format: operands ``signed(width)``, result ``signed(2*width + 1)``, exact. The result has one
    bit to spare, so nothing rounds or overflows. Four products, then their sums; one multiplication
    per cycle; 4 multipliers, registered macros on ECP5.

    Parameters
    ----------
    width: operand width in bits, at most 18.

    Members
    -------
    i: stream of ``{a: Complex(width), b: Complex(width), conjugate: 1}``
    o: stream of ``{p: Complex(2*width + 1)}``
    """

    latency = MULTIPLY_LATENCY + 1

    def __init__(self, *, width: int) -> None:
        self.width = check_choice("width", width, range(2, MULTIPLIER_WIDTH + 1))
        operand, product = Complex(width), Complex(2 * width + 1)
        super().__init__(
            {
                "i": In(
                    stream.Signature(
                        data.StructLayout({"a": operand, "b": operand, "conjugate": 1})
                    )
                ),
                "o": Out(stream.Signature(data.StructLayout({"p": product}))),
            }
        )

    def model(self, a: IntArray, b: IntArray, conjugate: bool = False) -> IntArray:
        """Integers (..., 2) in, (..., 2) out."""
        return fixed.complex_multiply(a, b, conjugate)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        advance = Signal()
        valid = Signal(self.latency)
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            self.o.valid.eq(valid[-1]),
        ]
        i, p = self.i.payload, self.o.payload.p
        re_re, im_im, re_im, im_re = (
            multiply(m, i.a[x], i.b[y], platform, advance)
            for x, y in (("re", "re"), ("im", "im"), ("re", "im"), ("im", "re"))
        )
        conjugates = Signal(MULTIPLY_LATENCY, reset_less=True)
        conjugate = conjugates[-1]
        result = Signal.like(p, reset_less=True)
        m.d.comb += p.eq(result)
        with m.If(advance):
            m.d.sync += [
                valid.eq((valid << 1) | self.i.valid),
                conjugates.eq(Cat(i.conjugate, conjugates)),
                result.re.eq(_add(re_re, im_im, ~conjugate)),
                result.im.eq(_add(im_re, re_im, conjugate)),
            ]
        return m


def _add(x: Any, y: Any, subtract: Any) -> Any:
    """x ± y as one adder: y XOR sign, plus carry-in."""
    flipped = (y ^ Mux(subtract, -1, 0)).as_signed()
    return x + flipped + subtract
