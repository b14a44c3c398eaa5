"""Division of Hermitian 2×2 matrices by their common trace."""

import operator
from typing import Any

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.golden import fixed
from tmesh.numbers import IntArray

from tmesh_hw.blocks.checks import check_fraction
from tmesh_hw.blocks.reciprocal import Reciprocal
from tmesh_hw.numbers import matrix, round_shift, saturate


class Normalise(wiring.Component):
    """``o.states[s] = i.y[s] / trace(i.y[0])`` for Hermitian 2×2 matrices of one trace p.

    The weight p in [2^-8, 2) is scaled to [½, 1) by a shift, which also scales the numerators
    (Bloch components times p) before their one rounding to f+2 bits; each is multiplied by 1/p
    from `Reciprocal` and rounded half to even to Q(2, f). The result has trace exactly 1. A weight
    below 2^-8 sets ``vanished`` and gives I/2; p >= 2 saturates. Elements go one after another
    through one shifter and one multiplier: a transaction per ``max(3·states + 1, interval)``.

    Parameters
    ----------
    f: fraction bits of Q(2, f); inputs have 2f+1 fraction bits.
    width: bits of the input's parts.
    states: matrices per transaction.
    interval: cycles between transactions that the reciprocal must sustain, at least 3.

    Members
    -------
    i: stream of ``{y: states × 2×2 Complex(width), saturated: 1}``, the flag of earlier steps
    o: stream of ``{states: states × 2×2 Complex(f+2), weight: signed(f+2), saturated: 1,
       vanished: 1}``
    """

    def __init__(self, *, f: int, width: int, states: int, interval: int) -> None:
        self.f = check_fraction(f)
        if operator.index(width) < 2 * f + 4:
            raise ValueError(f"width must be at least 2f + 4 = {2 * f + 4}, not {width!r}")
        if operator.index(states) < 1:
            raise ValueError(f"states must be at least 1, not {states!r}")
        self.width, self.states = width, states
        self._flags = data.StructLayout({"weight": signed(f + 2), "saturated": 1, "vanished": 1})
        self._numerators = data.ArrayLayout(signed(f + 2), 3 * states)
        carry = data.StructLayout({"numerators": self._numerators, "flags": self._flags})
        self._reciprocal = Reciprocal(f=f, interval=interval, carry=carry)
        result = {
            "states": data.ArrayLayout(matrix(2, f + 2), states),
            "weight": signed(f + 2),
            "saturated": 1,
            "vanished": 1,
        }
        inputs = {"y": data.ArrayLayout(matrix(2, width), states), "saturated": 1}
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(inputs))),
                "o": Out(stream.Signature(data.StructLayout(result))),
            }
        )

    @property
    def latency(self) -> int:
        """Scaling (load, shift amount, 3 elements a state, round), reciprocal, products."""
        return (3 + 3 * self.states) + self._reciprocal.latency + (3 + 3 * self.states)

    def model(self, y: IntArray) -> fixed.Normalised:
        """Integers (..., states, 2, 2, 2) in; without the flag of earlier steps."""
        return fixed.normalise(y, self.f)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.reciprocal = self._reciprocal
        self._scale(m)
        self._multiply(m)
        return m

    def _scale(self, m: Module) -> None:
        """Weight and numerators to [½, 1), into the reciprocal."""
        f, elements = self.f, 3 * self.states
        full = 2 * f + 2
        o = self._reciprocal.i
        raw = Signal(data.ArrayLayout(signed(self.width + 1), elements), reset_less=True)
        p = Signal(signed(self.width + 1), reset_less=True)
        loaded, decoded, done, saturated = Signal(), Signal(), Signal(), Signal()
        left = Signal(range(elements + 1))
        shift = Signal(range(fixed.WEIGHT_BITS + 1), reset_less=True)

        # p < 2^-8, p >= 2, and what is left between, by bits: a comparison takes a carry chain.
        bits = fixed.WEIGHT_BITS
        window, above = p[full - 1 - bits : full], p[full:-1].any()
        vanished, overflow = p[-1] | ~(above | window.any()), ~p[-1] & above
        amount = Signal.like(shift)
        for k in range(bits + 1):
            with m.If(window[k] & ~p[-1] & ~above):
                m.d.comb += amount.eq(bits - k)
        weight, _ = saturate(round_shift(p, f + 1), f + 2)

        shifted = Signal(signed(self.width + 1 + fixed.WEIGHT_BITS + 1), reset_less=True)
        shifting, shifted_valid, waiting = Signal(), Signal(), Signal()
        rounded, flag = saturate(round_shift(shifted, f + 1), f + 2, fixed.SLACK)
        result = Signal.like(o.payload, reset_less=True)
        m.d.comb += o.payload.eq(result)
        flags, numerators = result.carry.flags, result.carry.numerators
        held_flags, beyond = Signal(self._flags, reset_less=True), Signal(reset_less=True)
        held_p = Signal(f + 5, reset_less=True)
        # A cycle after `shift`; that of the first element to be rounded.
        bounded = Mux(held_flags.vanished, 1 << (full - 1), Mux(beyond, (1 << full) - 1, p[:full]))
        m.d.sync += held_p.eq((bounded << shift) >> (f - 3))
        collected = Signal(range(elements + 1))
        m.d.comb += [
            waiting.eq(o.valid & ~o.ready),
            shifting.eq(decoded & (left != 0) & ~waiting),
            done.eq(shifting & (left == 1)),
            self.i.ready.eq(~loaded | done),
        ]
        with m.If(loaded & ~decoded & ~waiting):
            m.d.sync += [
                decoded.eq(1),
                left.eq(elements),
                shift.eq(amount),
                beyond.eq(overflow),
                held_flags.weight.eq(weight),
                held_flags.saturated.eq(overflow | saturated),
                held_flags.vanished.eq(vanished),
            ]
        with m.If(shifting):
            m.d.sync += [
                left.eq(left - 1),
                shifted.eq(Mux(held_flags.vanished, 0, raw[0] << shift)),
                Cat(raw[e] for e in range(elements)).eq(Cat(raw[e] for e in range(1, elements))),
            ]
        with m.If(done):
            m.d.sync += [loaded.eq(0), decoded.eq(0)]
        with m.If(self.i.valid & self.i.ready):
            y = self.i.payload.y
            m.d.sync += [
                loaded.eq(1),
                p.eq(y[0][0][0].re + y[0][1][1].re),
                saturated.eq(self.i.payload.saturated),
            ]
            for s in range(self.states):
                m.d.sync += [
                    raw[3 * s].eq(y[s][0][0].re - y[s][1][1].re),
                    raw[3 * s + 1].eq(y[s][0][1].re << 1),
                    raw[3 * s + 2].eq(y[s][0][1].im << 1),
                ]
        with m.If(~waiting):
            m.d.sync += [shifted_valid.eq(shifting), o.valid.eq(0)]
            with m.If(shifted_valid):
                parts = [numerators[e] for e in range(1, elements)]
                m.d.sync += [
                    Cat(numerators).eq(Cat(*parts, rounded)),
                    collected.eq(collected + 1),
                ]
                with m.If(collected == 0):
                    m.d.sync += [
                        result.p.eq(held_p),
                        flags.eq(held_flags),
                        flags.saturated.eq(held_flags.saturated | flag),
                    ]
                with m.Elif(flag):
                    m.d.sync += flags.saturated.eq(1)
                with m.If(collected == elements - 1):
                    m.d.sync += [o.valid.eq(1), collected.eq(0)]

    def _multiply(self, m: Module) -> None:
        """Numerators times 1/p, rounded into the output."""
        f, elements = self.f, 3 * self.states
        i, o = self._reciprocal.o, self.o
        result = Signal.like(o.payload, reset_less=True)
        m.d.comb += o.payload.eq(result)
        numerators = Signal(self._numerators, reset_less=True)
        g = Signal(signed(f + 2), reset_less=True)
        flags = Signal(self._flags, reset_less=True)
        leaving = Signal(self._flags, reset_less=True)
        left = Signal(range(elements + 1))
        tag = data.StructLayout({"valid": 1, "element": range(elements)})
        tags = [Signal(tag, name=f"multiply_tag{n}") for n in range(3)]
        arriving = tags[-1]
        advance = Signal()
        a, b = Signal(signed(f + 2), reset_less=True), Signal(signed(f + 2), reset_less=True)
        product = Signal(signed(2 * f + 4), reset_less=True)
        through = Signal(signed(f + 2), reset_less=True)
        # 1/p = 3/2 + h with h in [-½, ½): one multiplier operand of f+2 bits and an addition.
        total = product + ((through << (f + 2)) + (through << (f + 1)))
        m.d.comb += [
            advance.eq(~(arriving.valid & o.valid & ~o.ready)),
            tags[0].valid.eq(left != 0),
            tags[0].element.eq(elements - left),
            i.ready.eq(advance & (left <= 1)),
        ]
        with m.If(o.ready):
            m.d.sync += o.valid.eq(0)
        with m.If(advance):
            m.d.sync += [
                tags[1].eq(tags[0]),
                tags[2].eq(tags[1]),
                a.eq(numerators[0]),
                b.eq(g),
                product.eq(a * b),
                through.eq(a),
            ]
            with m.If(left != 0):
                m.d.sync += [
                    left.eq(left - 1),
                    Cat(numerators).eq(Cat(numerators[e] for e in range(1, elements))),
                ]
            with m.If(left == 1):
                m.d.sync += leaving.eq(flags)
            with m.If(arriving.valid):
                for s in range(self.states):
                    rho = result.states[s]
                    z = round_shift((1 << (2 * f + 3)) + total, f + 4)
                    c = round_shift(total, f + 4)
                    with m.If(arriving.element == 3 * s):
                        m.d.sync += [
                            rho[0][0].re.eq(z),
                            rho[0][0].im.eq(0),
                            rho[1][1].re.eq((1 << f) - z),
                            rho[1][1].im.eq(0),
                        ]
                    with m.If(arriving.element == 3 * s + 1):
                        m.d.sync += [rho[0][1].re.eq(c), rho[1][0].re.eq(c)]
                    with m.If(arriving.element == 3 * s + 2):
                        m.d.sync += [rho[0][1].im.eq(c), rho[1][0].im.eq(-c)]
                with m.If(arriving.element == elements - 1):
                    m.d.sync += [
                        o.valid.eq(1),
                        result.weight.eq(leaving.weight),
                        result.saturated.eq(leaving.saturated),
                        result.vanished.eq(leaving.vanished),
                    ]
        with m.If(i.valid & i.ready):
            top = i.payload.g[f + 1]
            m.d.sync += [
                numerators.eq(i.payload.carry.numerators),
                flags.eq(i.payload.carry.flags),
                g.eq(Cat(i.payload.g[: f + 1], ~top).as_signed()),
                left.eq(elements),
            ]
