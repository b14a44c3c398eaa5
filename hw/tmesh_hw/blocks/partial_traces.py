"""Partial traces of a 4×4 matrix that comes entry by entry."""

from typing import Any

import numpy as np
from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.golden import fixed
from tmesh.numbers import IntArray

from tmesh_hw.blocks.checks import check_choice
from tmesh_hw.blocks.entrywise_mac import UPPER
from tmesh_hw.numbers import Complex, matrix


class PartialTraces(wiring.Component):
    """``o.r`` are both reduced 2×2 matrices of a Hermitian 4×4 matrix; NumPy:
    ``einsum("ikjk->ij", x)`` and ``einsum("kikj->ij", x)``, x reshaped to (2, 2, 2, 2).

    Format: exact, one bit wider than the input. The upper triangle of x comes row by row, `units`
    entries a cycle; no entry is taken while a result waits. No multipliers.

    Parameters
    ----------
    width: bits of each real and imaginary part. units: entries at a time, 1, 2 or 4.

    Members
    -------
    i: stream of ``{x: units × Complex(width)}``, units behind the last entry are ignored
    o: stream of ``{r: 2 × 2×2 Complex(width + 1)}``, the first factor first
    """

    latency = 1

    def __init__(self, *, width: int, units: int) -> None:
        self.width = width
        self.units = check_choice("units", units, (1, 2, 4))
        entries = data.StructLayout({"x": data.ArrayLayout(Complex(width), units)})
        result = data.StructLayout({"r": data.ArrayLayout(matrix(2, width + 1), 2)})
        super().__init__({"i": In(stream.Signature(entries)), "o": Out(stream.Signature(result))})

    def model(self, x: IntArray) -> IntArray:
        """Integers (..., 4, 4, 2) in, (..., 2, 2, 2, 2) out."""
        return np.stack([fixed.partial_trace(x, keep) for keep in (0, 1)], axis=-4)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        units = self.units
        beats = -(-len(UPPER) // units)
        step, there = Signal(range(beats)), Signal()
        takes, last = self.i.valid & ~there, step == beats - 1
        m.d.comb += [self.o.valid.eq(there), self.i.ready.eq(~there)]
        m.d.sync += there.eq(Mux(there, ~self.o.ready, self.i.valid & last))
        with m.If(takes):
            m.d.sync += step.eq(Mux(last, 0, step + 1))
        for keep, (i, j) in ((keep, ij) for keep in (0, 1) for ij in ((0, 0), (1, 1), (0, 1))):
            pairs = [
                (2 * i + k, 2 * j + k) if keep == 0 else (2 * k + i, 2 * k + j) for k in (0, 1)
            ]
            (s0, u0), (s1, u1) = (divmod(UPPER.index(pair), units) for pair in pairs)
            r = self.o.payload.r[keep]
            for part in ("re", "im") if i < j else ("re",):
                total = Signal(signed(self.width + 1), name=f"{part}{keep}{i}{j}", reset_less=True)
                entry = Mux(step == s0, self.i.payload.x[u0][part], self.i.payload.x[u1][part])
                with m.If(takes & ((step == s0) | (step == s1))):
                    m.d.sync += total.eq(Mux(step == s0, 0, total) + entry)
                m.d.comb += r[i][j][part].eq(total)
                if i < j:
                    m.d.comb += r[j][i][part].eq(total if part == "re" else -total)
        return m
