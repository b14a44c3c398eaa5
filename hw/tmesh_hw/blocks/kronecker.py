"""Kronecker product of two 2×2 matrices."""

import itertools
from typing import Any

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.golden import fixed
from tmesh.numbers import BoolArray, IntArray

from tmesh_hw.blocks.checks import check_choice, check_fraction
from tmesh_hw.blocks.complex_multiply import ComplexMultiply
from tmesh_hw.numbers import matrix, round_shift, saturate


class Kronecker(wiring.Component):
    """``o.k[2i+k][2j+l] = i.a[i][j] * i.b[k][l]``; equals ``numpy.kron(a, b)``.

    Format: operands Q(2, f); each entry is rounded half to even once, to Q(1, f+1) with ``i.fine``
    (products of density matrices, whose entries do not exceed 1) or to Q(2, f) without; overflow
    clips and sets ``o.saturated``. One transaction per ``interval`` = 16/lanes cycles; 4·lanes
    multipliers.

    Parameters
    ----------
    f: fraction bits of Q(2, f).
    lanes: complex multipliers: 1, 2, 4, 8 or 16.

    Members
    -------
    i: stream of ``{a: 2×2 Complex(f+2), b: 2×2 Complex(f+2), fine: 1}``
    o: stream of ``{k: 4×4 Complex(f+2), saturated: 1}``
    """

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

    @property
    def latency(self) -> int:
        """Operand register, 16/lanes issues, the multiplier, the rounding register."""
        return 16 // self.lanes + ComplexMultiply.latency + 1

    def model(self, a: IntArray, b: IntArray, fine: bool) -> tuple[IntArray, BoolArray]:
        """Integers (..., 2, 2, 2) in; (..., 4, 4, 2) and the saturation flag out."""
        return fixed.kron(a, b, self.f, fine)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        _f, width, lanes = self.f, self.f + 2, self.lanes
        steps = 16 // lanes
        # Entry n of the product, row major: (a row, a column, b row, b column).
        entries = [(n >> 3, n >> 1 & 1, n >> 2 & 1, n & 1) for n in range(16)]

        tag = data.StructLayout({"valid": 1, "step": range(steps), "fine": 1})
        tags = [Signal(tag, name=f"tag{n}") for n in range(ComplexMultiply.latency + 1)]
        arriving = tags[-1]
        operands = Signal(self.i.payload.shape(), reset_less=True)
        busy, last, advance = Signal(), Signal(), Signal()
        step = Signal(range(steps))
        m.d.comb += [
            # Stall as a whole rather than overwrite a result that was not taken yet.
            advance.eq(~(arriving.valid & self.o.valid & ~self.o.ready)),
            last.eq(step == steps - 1),
            self.i.ready.eq(advance & (~busy | last)),
            tags[0].valid.eq(busy),
            tags[0].step.eq(step),
            tags[0].fine.eq(operands.fine),
        ]
        with m.If(advance & busy):
            m.d.sync += step.eq(Mux(last, 0, step + 1))
            with m.If(last):
                m.d.sync += busy.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [busy.eq(1), operands.eq(self.i.payload)]
        with m.If(advance):
            m.d.sync += [after.eq(before) for before, after in itertools.pairwise(tags)]

        saturated = Signal()
        overflow = Signal(lanes)
        k = Signal.like(self.o.payload.k, reset_less=True)
        m.d.comb += self.o.payload.k.eq(k)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        for lane in range(lanes):
            m.submodules[f"multiply{lane}"] = multiply = ComplexMultiply(width=width)
            mine = [entries[s * lanes + lane] for s in range(steps)]
            m.d.comb += [
                multiply.i.valid.eq(1),
                multiply.o.ready.eq(advance),
                multiply.i.payload.a.eq(Array(operands.a[p][q] for p, q, _, _ in mine)[step]),
                multiply.i.payload.b.eq(Array(operands.b[p][q] for _, _, p, q in mine)[step]),
            ]
            flags = []
            for s in range(steps):
                n = s * lanes + lane
                entry = k[n >> 2][n & 3]
                with m.If(advance & arriving.valid & (arriving.step == s)):
                    for part in ("re", "im"):
                        rounded, flag = self._round(multiply.o.payload.p[part], arriving.fine)
                        m.d.sync += entry[part].eq(rounded)
                        if s == 0:
                            flags.append(flag)
            m.d.comb += overflow[lane].eq(flags[0] | flags[1])
        with m.If(advance & arriving.valid):
            so_far = overflow.any() | (saturated & (arriving.step != 0))
            m.d.sync += [saturated.eq(so_far), self.o.payload.saturated.eq(so_far)]
            with m.If(arriving.step == steps - 1):
                m.d.sync += self.o.valid.eq(1)
        return m

    def _round(self, product: Any, fine: Any) -> tuple[Any, Any]:
        """A full product rounded to either format, and its overflow flag."""
        f = self.f
        coarse, coarse_flag = saturate(round_shift(product, f), f + 2)
        finer, finer_flag = saturate(round_shift(product, f - 1), f + 2, fixed.SLACK)
        return Mux(fine, finer, coarse), Mux(fine, finer_flag, coarse_flag)
