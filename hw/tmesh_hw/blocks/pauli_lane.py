"""One new Bloch vector per cycle from a pair of them."""

from typing import Any

import numpy as np
from amaranth import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.golden import pauli
from tmesh.numbers import BoolArray, IntArray

from tmesh_hw.blocks.checks import check_fraction
from tmesh_hw.numbers import MULTIPLY_LATENCY, clip, copies, delayed, multiply, round_shift
from tmesh_hw.vendor import is_verilator


class PauliLane(wiring.Component):
    """``o.r_i = Σ_jk c_ijk · (1, own)_j · (1, other)_k``, renormalised to |r| ≤ 1 + 2 LSB.

    With c from `tmesh.golden.pauli.transfer` that is one side of a two-body operator on Bloch
    vectors; NumPy: ``einsum("ijk,j,k->i", c, r, t)``. Formats and roundings are those of
    `tmesh.golden.pauli`. The lane keeps the two forms of one operator; 96 transactions with `load`,
    which have no result, bring others. No other transaction may be in progress then. One vector per
    cycle. It never stalls: the owner takes every result. Multipliers: 48, registered macros on
    ECP5, of which 45 contract (36 with `other`, 9 with `own`) and 3 measure the length. For
    Verilator all registers of the pipeline are retimed to its end, one delay: less to simulate.

    Parameters
    ----------
    f: fraction bits of Q(2, f). far: registers more where wires are long, since lanes fill a
    device: copies of the operands, and two behind each product.

    Members
    -------
    i: stream of ``{own: 3 × signed(f+2), other: 3 × signed(f+2), second: 1, value: signed(f+2),
       load: 1}``; second: take the second form; load: shift `value` in as the last coefficient
    o: stream of ``{r: 3 × signed(f+2), saturated: 1}``
    """

    #: Registers that say `load`, since that goes to all coefficients.
    COPIES = 24

    def __init__(self, *, f: int, far: bool = False) -> None:
        self.f, self.far = check_fraction(f), far
        vector = data.ArrayLayout(signed(f + 2), 3)
        coefficient = {"value": signed(f + 2), "load": 1}
        operands = {"own": vector, "other": vector, "second": 1, **coefficient}
        result = {"r": vector, "saturated": 1}
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(operands), always_ready=True)),
                "o": Out(stream.Signature(data.StructLayout(result), always_ready=True)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles of a vector."""
        return self.latency_of(self.far)

    @staticmethod
    def latency_of(far: bool) -> int:
        """Operands in two; two contractions of two levels of adders, rounding, clipping in two;
        length and correction."""
        product = MULTIPLY_LATENCY + 2 * far
        return 2 + 2 * (product + 5) + product + 8

    def model(self, c: IntArray, own: IntArray, other: IntArray) -> tuple[IntArray, BoolArray]:
        """Integers (3, 4, 4), (m, 3), (m, 3) in; new vectors (m, 3), and which saturated."""
        forms, r, t = (x.astype(np.float64) for x in (c, own.T, other.T))
        result, saturated = pauli.evolve(forms, r, t, self.f)
        return result.T.astype(np.int64), saturated

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        f, i = self.f, Signal.like(self.i.payload, reset_less=True)
        m.d.sync += i.eq(self.i.payload)
        valid = Signal(self.latency)
        m.d.sync += valid.eq(Cat(self.i.valid & ~self.i.payload.load, valid))
        m.d.comb += self.o.valid.eq(valid[-1])
        self._m, self._platform, self._retimed = m, platform, is_verilator(platform)
        forms = self._forms(m, i.value)

        # M_ij = c_ij0 + Σ_k c_ijk t_k, M_i0 as late as needed.
        latency = MULTIPLY_LATENCY + 2 * self.far
        until = latency + 3
        # Whether the second form is wanted, cycle by cycle.
        wanted = [i.second if self._retimed else self.i.payload.second]
        for _ in range(until + latency):
            wanted.append(self._kept(wanted[-1]))
        late = self._after(until, *i.other)
        others = [*self._copies(late, 1), *self._copies(i.other, 3)]
        owns = self._copies(self._after(latency + 5, *i.own), 3)
        flags, whole, fine = [], [], []
        for n in range(3):
            for j in range(4):
                entering = until if j == 0 else 0
                second, later = (Signal(attrs={"keep": 1}) for _ in range(2))
                self._stage(second.eq(wanted[entering]), later.eq(wanted[entering + latency]))
                first = 16 * n + 4 * j
                constant, *c = (
                    self._kept(
                        Mux(later if k == 0 else second, forms[48 + first + k], forms[first + k])
                    )
                    for k in range(4)
                )
                x, y, z = (self._product(a, b) for a, b in zip(c, others[j], strict=True))
                total = self._sum(x, y, z, constant.shift_left(f))
                if j == 0:
                    whole.append(total)
                else:
                    rounded = self._kept(round_shift(total, f - 1))
                    value, flag = clip(rounded, f + 2, pauli.SLACK, self._kept)
                    fine.append(self._kept(value))
                    flags.append(self._kept(flag))
        # r_i = M_i0 + Σ_j M_ij r_j.
        results = []
        for n in range(3):
            x, y, z = (self._product(fine[3 * n + j], owns[n][j]) for j in range(3))
            rounded = self._kept(round_shift(self._sum(x, y, z, whole[n].shift_left(1)), f + 1))
            value, flag = clip(rounded, f + 2, kept=self._kept)
            results.append(self._kept(value))
            flags.append(self._kept(flag))
        (early,) = self._after(latency + 5, Cat(*flags[:9]).any())
        self._renormalise(results, self._kept(early | Cat(*flags[9:]).any()))
        return m

    def _forms(self, m: Module, value: Any) -> list[Any]:
        """The coefficients of both forms, in separate registers: one wide one is slow to
        simulate."""
        forms = [
            Signal(signed(self.f + 2), name=f"form{n}", reset_less=True) for n in range(2 * 48)
        ]
        part = len(forms) // self.COPIES
        loads = self.i.valid & self.i.payload.load
        for n, load in enumerate(copies(m, loads, self.COPIES, self._platform, name="load")):
            with m.If(load):
                following = [*forms, value][part * n + 1 : part * (n + 1) + 1]
                m.d.sync += [a.eq(b) for a, b in zip(forms[part * n :], following, strict=False)]
        return forms

    def _renormalise(self, r: list[Any], saturated: Any) -> None:
        """Shorten by as many LSB as the vector is too long."""
        m, f, latency = self._m, self.f, MULTIPLY_LATENCY + 2 * self.far
        one = 1 << (2 * f)
        a, b, c = (self._product(x, x) for x in r)
        excess = self._sum(a, b, c, C(-one + (1 << f), signed(2 * f + 4))).shift_right(f + 1)
        # From 0 to the most, which is all ones.
        bits = pauli.LONGEST.bit_length()
        beyond, negative, low = map(self._kept, (excess[bits:-1].any(), excess[-1], excess[:bits]))
        kept = low | beyond.replicate(bits)
        r = self._after(latency + 4, *r)
        # Four bits times a part: two sums of two, then one. Each sum has the bits in separate
        # registers.
        partial = []
        for x in r:
            sums = []
            for pair in ((0, 1), (2, 3)):
                longer = Signal(2, attrs={"keep": 1}, reset_less=True)
                self._stage(longer.eq(kept.bit_select(pair[0], 2) & ~negative.replicate(2)))
                sums.append(
                    self._kept(sum(Mux(longer[n], x.shift_left(b), 0) for n, b in enumerate(pair)))
                )
            partial.append(sums)
        corrections = [self._kept(round_shift(self._kept(a + b), f)) for a, b in partial]
        r = self._after(3, *r)
        r = [self._kept(x - correction) for x, correction in zip(r, corrections, strict=True)]
        (flag,) = self._after(latency + 7, saturated)
        last = Signal.like(self.o.payload)
        m.d.comb += [*(last.r[n].eq(x) for n, x in enumerate(r)), last.saturated.eq(flag)]
        cycles = self.latency - 1 if self._retimed else 0
        m.d.comb += self.o.payload.eq(delayed(m, last, cycles, self._platform))

    def _stage(self, *statements: Any) -> None:
        """A register of the pipeline, or, where it is retimed, a wire."""
        self._m.d["comb" if self._retimed else "sync"] += statements

    def _product(self, a: Any, b: Any) -> Any:
        if self._retimed:
            return self._kept(a * b)
        product = multiply(self._m, a, b, self._platform)
        return self._kept(self._kept(product)) if self.far else product

    def _copies(self, vector: Any, count: int) -> list[list[Any]]:
        """`vector` a stage later, as often as needed: in separate registers where wires are long,
        else in the same."""
        if not self.far:
            return [self._after(1, *vector)] * count
        vectors = [
            [Signal(x.shape(), reset_less=True, attrs={"keep": 1}) for x in vector]
            for _ in range(count)
        ]
        for copy in vectors:
            self._stage(*(a.eq(b) for a, b in zip(copy, vector, strict=True)))
        return vectors

    def _sum(self, a: Any, b: Any, c: Any, d: Any) -> Any:
        """Two levels of adders, a stage each."""
        return self._kept(self._kept(a + b) + self._kept(c + d))

    def _kept(self, value: Any) -> Any:
        """`value` a stage later."""
        register = Signal(Value.cast(value).shape(), reset_less=True)
        self._stage(register.eq(value))
        return register

    def _after(self, cycles: int, *values: Any) -> list[Any]:
        """`values`, `cycles` stages later."""
        if self._retimed:
            return list(values)
        casts = [Value.cast(value) for value in values]
        whole = delayed(self._m, Cat(casts), cycles, self._platform)
        parts, start = [], 0
        for cast in casts:
            part = whole[start : start + len(cast)]
            parts.append(part.as_signed() if cast.shape().signed else part)
            start += len(cast)
        return parts
