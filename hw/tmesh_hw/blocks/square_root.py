"""The integer square root."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.errors import InvalidInput
from tmesh.golden import rounds
from tmesh.numbers import IntArray


class SquareRoot(wiring.Component):
    """``o.root = math.isqrt(i.n)``, digit by digit: a bit a cycle, one number at a time. No other
    is taken while a result waits, so no path goes through it.

    Parameters
    ----------
    width: bits of the root; n has twice as many, at most 52.

    Members
    -------
    i: stream of ``{n: unsigned(2·width)}``
    o: stream of ``{root: unsigned(width)}``
    """

    def __init__(self, *, width: int) -> None:
        if not 1 <= width <= 26:
            raise InvalidInput(f"width must be from 1 to 26, not {width!r}")
        self.width = width
        operand = data.StructLayout({"n": unsigned(2 * width)})
        result = data.StructLayout({"root": unsigned(width)})
        super().__init__({"i": In(stream.Signature(operand)), "o": Out(stream.Signature(result))})

    @property
    def latency(self) -> int:
        """Load, and a cycle for each bit."""
        return self.width + 1

    def model(self, n: IntArray) -> IntArray:
        """Integers (...,) in and out."""
        return rounds.square_root(n)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        width = self.width
        rest = Signal(width + 2, reset_less=True)  # the rest of the examined digits
        digits = Signal(2 * width, reset_less=True)
        left, busy = Signal(range(width + 1)), Signal()
        root = self.o.payload.root
        m.d.comb += [
            self.o.valid.eq(busy & (left == 0)),
            self.i.ready.eq(~busy),
        ]
        trial = Cat(digits[-2:], rest) - Cat(1, 0, root)
        bit = trial >= 0
        with m.If(busy & (left != 0)):
            m.d.sync += [
                left.eq(left - 1),
                rest.eq(Mux(bit, trial, Cat(digits[-2:], rest))),
                digits.eq(digits << 2),
                root.eq(Cat(bit, root)),
            ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += busy.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                busy.eq(1),
                left.eq(width),
                rest.eq(0),
                digits.eq(self.i.payload.n),
                root.eq(0),
            ]
        return m
