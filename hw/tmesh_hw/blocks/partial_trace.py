"""Partial trace of a 4×4 matrix."""

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.golden import fixed
from tmesh.numbers import IntArray

from tmesh_hw.blocks.checks import check_choice
from tmesh_hw.numbers import matrix


class PartialTrace(wiring.Component):
    """``o.r`` is the reduced 2×2 matrix of factor `keep`; NumPy: ``einsum("ikjk->ij", x)`` for the
    first and ``einsum("kikj->ij", x)`` for the second, with x reshaped to (2, 2, 2, 2).

    Format: exact, one bit wider than the input. One register; one transaction per cycle; no
    multipliers.

    Parameters
    ----------
    width: bits of each real and imaginary part.
    keep: the factor that stays, 0 or 1.

    Members
    -------
    i: stream of ``{x: 4×4 Complex(width)}``
    o: stream of ``{r: 2×2 Complex(width + 1)}``
    """

    latency = 1

    def __init__(self, *, width: int, keep: int) -> None:
        self.width = width
        self.keep = check_choice("keep", keep, (0, 1))
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({"x": matrix(4, width)}))),
                "o": Out(stream.Signature(data.StructLayout({"r": matrix(2, width + 1)}))),
            }
        )

    def model(self, x: IntArray) -> IntArray:
        """Integers (..., 4, 4, 2) in, (..., 2, 2, 2) out."""
        return fixed.partial_trace(x, self.keep)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        r = Signal.like(self.o.payload.r, reset_less=True)
        m.d.comb += [self.i.ready.eq(~self.o.valid | self.o.ready), self.o.payload.r.eq(r)]
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
            for i in range(2):
                for j in range(2):
                    for part in ("re", "im"):
                        if self.keep == 0:
                            terms = [self.i.payload.x[2 * i + k][2 * j + k][part] for k in (0, 1)]
                        else:
                            terms = [self.i.payload.x[2 * k + i][2 * k + j][part] for k in (0, 1)]
                        m.d.sync += r[i][j][part].eq(terms[0] + terms[1])
        return m
