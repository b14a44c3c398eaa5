"""Division of Hermitian 2×2 matrices by their common trace."""

import itertools
import operator
from typing import Any

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.errors import InvalidInput
from tmesh.golden import fixed
from tmesh.numbers import IntArray

from tmesh_hw.blocks.checks import check_fraction
from tmesh_hw.blocks.reciprocal import Reciprocal
from tmesh_hw.blocks.stream_register import StreamRegister
from tmesh_hw.numbers import MULTIPLY_LATENCY, matrix, multiply, round_shift, saturate


class Normalise(wiring.Component):
    """``o.states[s] = i.y[s] / trace(i.y[0])`` for Hermitian 2×2 matrices of one trace p.

    The weight p in [2^-8, 2) is scaled to [½, 1) by a shift, which also scales the numerators
    (Bloch components times p) before their one rounding to f+2 bits. Each is multiplied by 1/p from
    `Reciprocal` and rounded half to even to Q(2, f). The result has trace exactly 1. A weight below
    2^-8 sets ``vanished`` and gives I/2; p >= 2 saturates. Elements go one after another through
    one shifter and one multiplier: a transaction per ``max(3·states + 1, interval)``.

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
            raise InvalidInput(f"width must be at least 2f + 4 = {2 * f + 4}, not {width!r}")
        if operator.index(states) < 1:
            raise InvalidInput(f"states must be at least 1, not {states!r}")
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
        """Scaling (load, shift amount, 3 elements a state, round, clip, hand over), reciprocal,
        products (load, 3 elements a state, two registers of the multiplier, sum, rounding, its
        place, hand over)."""
        return (5 + 3 * self.states) + self._reciprocal.latency + (7 + 3 * self.states)

    def model(self, y: IntArray) -> fixed.Normalised:
        """Integers (..., states, 2, 2, 2) in; without the flag of earlier steps."""
        return fixed.normalise(y, self.f)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.reciprocal = self._reciprocal
        self._scale(m)
        self._multiply(m, platform)
        return m

    def _place(self, m: Module, begins: Any, register: Any) -> Any:
        """Whether a transaction may begin for which `register` is the place behind the last step,
        so that nothing before it need stall: there, the one before will have gone on."""
        ahead, moves = Signal(2), register.i.valid & register.i.ready
        m.d.sync += ahead.eq(ahead + begins - moves)
        return (ahead == 0) | ((ahead == 1) & register.i.ready)

    def _scale(self, m: Module) -> None:
        """Weight and numerators to [½, 1), into the reciprocal."""
        f, elements = self.f, 3 * self.states
        full = 2 * f + 2
        m.submodules.scaled = scaled = StreamRegister(self._reciprocal.i.payload.shape())
        wiring.connect(m, scaled.o, self._reciprocal.i)
        raw = Signal(data.ArrayLayout(signed(self.width + 1), elements), reset_less=True)
        p = Signal(signed(self.width + 1), reset_less=True)
        saturated = Signal(reset_less=True)
        loaded, begins, shifting = Signal(), Signal(), Signal()
        # Kept apart from the outer handshake: the selects and enables of all elements.
        ready, free, moving = (
            Signal(name=name, init=1, attrs={"keep": 1}) for name in ("ready", "free", "moving")
        )
        left = Signal(range(elements + 1))
        shift = Signal(range(fixed.WEIGHT_BITS + 1), reset_less=True)
        place = self._place(m, begins, scaled)
        last = shifting & (left == 2)
        following, still = Mux(ready, ~self.i.valid, last), begins | (shifting & (left != 1))
        m.d.comb += [self.i.ready.eq(ready), begins.eq(loaded & place)]
        m.d.sync += [
            ready.eq(following),
            free.eq(following),
            moving.eq(following | still),
            loaded.eq((self.i.valid & ready) | (loaded & ~begins)),
            shifting.eq(still),
            left.eq(Mux(begins, elements, left - 1)),
        ]
        y = self.i.payload.y
        with m.If(free):
            m.d.sync += [
                p.eq(y[0][0][0].re + y[0][1][1].re),
                saturated.eq(self.i.payload.saturated),
            ]
        with m.If(moving):
            for s in range(self.states):
                loads = (y[s][0][0].re - y[s][1][1].re, y[s][0][1].re << 1, y[s][0][1].im << 1)
                for e, value in enumerate(loads, start=3 * s):
                    moved = raw[e + 1] if e + 1 < elements else value
                    m.d.sync += raw[e].eq(Mux(free, value, moved))

        # p < 2^-8, p >= 2, and the range between, by bits: a comparison takes a carry chain.
        bits = fixed.WEIGHT_BITS
        window, above = p[full - 1 - bits : full], p[full:-1].any()
        vanished, overflow = p[-1] | ~(above | window.any()), ~p[-1] & above
        amount = Signal.like(shift)
        for k in range(bits + 1):
            with m.If(window[k] & ~p[-1] & ~above):
                m.d.comb += amount.eq(bits - k)
        whole, begun = Signal(signed(self.width + 1 - f), reset_less=True), Signal()
        weight, _ = saturate(whole, f + 2)
        m.d.sync += [whole.eq(round_shift(p, f + 1)), begun.eq(begins)]
        held, beyond = Signal(self._flags, reset_less=True), Signal(reset_less=True)
        with m.If(begins):
            m.d.sync += [
                shift.eq(amount),
                beyond.eq(overflow),
                held.saturated.eq(overflow | saturated),
                held.vanished.eq(vanished),
            ]
        with m.If(begun):
            m.d.sync += held.weight.eq(weight)
        # A cycle after `shift`, as long as elements are shifted.
        held_p = Signal(f + 5, reset_less=True)
        bounded = Mux(held.vanished, 1 << (full - 1), Mux(beyond, (1 << full) - 1, p[:full]))
        m.d.sync += held_p.eq((bounded << shift) >> (f - 3))

        # Shifted, rounded, clipped and collected.
        shifted = Signal(signed(self.width + 1 + fixed.WEIGHT_BITS + 1), reset_less=True)
        rounded = Signal(signed(len(shifted) - f), reset_less=True)
        clipped, flag = saturate(rounded, f + 2, fixed.SLACK)
        valid, collected = Signal(2), Signal(range(elements))
        result, there = Signal.like(scaled.i.payload, reset_less=True), Signal()
        numerators, flags = result.carry.numerators, result.carry.flags
        m.d.comb += [scaled.i.payload.eq(result), scaled.i.valid.eq(there)]
        complete = valid[1] & (collected == elements - 1)
        m.d.sync += [
            valid.eq(Cat(shifting, valid[0])),
            shifted.eq(Mux(held.vanished, 0, raw[0] << shift)),
            rounded.eq(round_shift(shifted, f + 1)),
            there.eq(complete | (there & ~scaled.i.ready)),
        ]
        with m.If(valid[1]):
            parts = [numerators[e] for e in range(1, elements)]
            m.d.sync += [
                Cat(numerators).eq(Cat(*parts, clipped)),
                collected.eq(Mux(complete, 0, collected + 1)),
                flags.saturated.eq(flag | Mux(collected == 0, held.saturated, flags.saturated)),
            ]
            with m.If(collected == 0):
                m.d.sync += [
                    result.p.eq(held_p),
                    flags.weight.eq(held.weight),
                    flags.vanished.eq(held.vanished),
                ]

    def _multiply(self, m: Module, platform: Any) -> None:
        """Numerators times 1/p, rounded into the output."""
        f, elements = self.f, 3 * self.states
        i = self._reciprocal.o
        m.submodules.result = register = StreamRegister(self.o.payload.shape())
        wiring.connect(m, register.o, wiring.flipped(self.o))
        result = Signal.like(self.o.payload, reset_less=True)
        numerators = Signal(self._numerators, reset_less=True)
        g = Signal(signed(f + 2), reset_less=True)
        flags = Signal(self._flags, reset_less=True)
        begins, shifting = Signal(), Signal()
        left = Signal(range(elements + 1))
        place = self._place(m, begins, register)
        m.d.comb += [i.ready.eq(~shifting & place), begins.eq(i.valid & i.ready)]
        m.d.sync += [
            shifting.eq(begins | (shifting & (left != 1))),
            left.eq(Mux(begins, elements, left - 1)),
        ]
        # Any vector that waits, unless earlier ones are in progress.
        for e in range(elements):
            new = i.payload.carry.numerators[e]
            m.d.sync += numerators[e].eq(
                Mux(shifting, numerators[e + 1], new) if e + 1 < elements else new
            )
        with m.If(~shifting):
            top = i.payload.g[f + 1]
            m.d.sync += [
                flags.eq(i.payload.carry.flags),
                g.eq(Cat(i.payload.g[: f + 1], ~top).as_signed()),
            ]

        # The multiplier's registers, sum and rounded sum.
        tag = data.StructLayout({"valid": 1, "element": range(elements)})
        tags = [Signal(tag, name=f"multiply_tag{n}") for n in range(MULTIPLY_LATENCY + 3)]
        a = Signal(signed(f + 2), reset_less=True)
        product = multiply(m, numerators[0], g, platform)
        offset, offset_later = (
            Signal(signed(2 * f + 6), name=n, reset_less=True) for n in ("offset", "offset_later")
        )
        total = Signal(signed(2 * f + 7), reset_less=True)
        rounded = Signal(signed(f + 3), reset_less=True)
        firsts = Cat(tags[1].element == 3 * s for s in range(self.states)).any()
        m.d.comb += [tags[0].valid.eq(shifting), tags[0].element.eq(elements - left)]
        m.d.sync += [
            *(after.eq(before) for before, after in itertools.pairwise(tags)),
            a.eq(numerators[0]),
            # 1/p = 3/2 + h with h in [-½, ½): one multiplier operand of f+2 bits and an addition.
            # The first of three elements is half of the difference of two values with the sum 1.
            offset.eq((a << (f + 2)) + (a << (f + 1)) + (firsts << (2 * f + 3))),
            offset_later.eq(offset),
            total.eq(product + offset_later),
            rounded.eq(round_shift(total, f + 4)),
        ]
        arriving, there, leaving = tags[-1], Signal(), Signal(self._flags, reset_less=True)
        with m.If(tags[1].valid & (tags[1].element == elements - 1)):
            m.d.sync += leaving.eq(flags)
        for s in range(self.states):
            rho = result.states[s]
            with m.If(arriving.valid & (arriving.element == 3 * s)):
                m.d.sync += [rho[0][0].re.eq(rounded), rho[1][1].re.eq((1 << f) - rounded)]
            with m.If(arriving.valid & (arriving.element == 3 * s + 1)):
                m.d.sync += [rho[0][1].re.eq(rounded), rho[1][0].re.eq(rounded)]
            with m.If(arriving.valid & (arriving.element == 3 * s + 2)):
                m.d.sync += [rho[0][1].im.eq(rounded), rho[1][0].im.eq(-rounded)]
        complete = arriving.valid & (arriving.element == elements - 1)
        m.d.comb += [register.i.payload.eq(result), register.i.valid.eq(there)]
        m.d.sync += there.eq(complete | (there & ~register.i.ready))
        with m.If(complete):
            m.d.sync += [
                result.weight.eq(leaving.weight),
                result.saturated.eq(leaving.saturated),
                result.vanished.eq(leaving.vanished),
            ]
