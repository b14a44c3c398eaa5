"""CORDIC: vectoring and rotation, pipelined or iterative from one description."""

from typing import Any

from amaranth import Array, C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.golden import cordic
from tmesh.golden.cordic import GUARD, HALF, CordicFormat
from tmesh.numbers import IntArray

from tmesh_hw.numbers import add_subtract


class Cordic(wiring.Component):
    """Vectoring: ``o.x·exp(iπ·o.z) = i.x + i·i.y``; rotation: ``o.x + i·o.y`` is the input turned
    by ``exp(iπ·i.z)``; NumPy: ``np.abs``, ``np.angle``, and a product with ``np.exp``.

    In vectoring the length carries the sign of x and the angle is atan(y/x) in [−½, ½]. The gain is
    compensated: eight signed powers of two, added in three levels. Format: coordinates Q(4, f+6),
    angles Q(1, f+8) in half turns, of any size in rotation; |(x, y)| below 4.8, or the result
    wraps. Error of a component: 1.1 LSB of Q(2, f) at most while |(x, y)| ≤ 2; of a length, 0.35.
    Latency f + 8: two to fold, f + 3 micro-rotations, three of compensation. One operation a cycle,
    or one per ``latency`` cycles if iterative. No multipliers.

    Parameters
    ----------
    f: fraction bits of the datapath's Q(2, f), 4 to 16.
    iterative: one stage used again and again, instead of a stage for each micro-rotation.

    Members
    -------
    i: stream of ``{x, y: signed(f+10), z: signed(f+9), vectoring: 1}``
    o: stream of ``{x, y: signed(f+10), z: signed(f+9)}``
    """

    def __init__(self, *, f: int, iterative: bool = False) -> None:
        self.format = CordicFormat(f)
        self.iterative = iterative
        self._words = {"x": signed(self.format.width), "y": signed(self.format.width)}
        self._words["z"] = signed(self.format.angle + 1)
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({**self._words, "vectoring": 1}))),
                "o": Out(stream.Signature(data.StructLayout(self._words))),
            }
        )

    @property
    def latency(self) -> int:
        """Operand and fold, micro-rotations, compensation."""
        return 2 + self.format.iterations + 3

    @property
    def interval(self) -> int:
        """Cycles between operations."""
        return self.latency if self.iterative else 1

    def model(
        self, x: IntArray, y: IntArray, z: IntArray, vectoring: bool
    ) -> tuple[IntArray, IntArray, IntArray]:
        """Integers in, all three words out."""
        return cordic.transform(x, y, z, vectoring, self.format)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if self.iterative:
            self._iterative(m, platform)
        else:
            self._pipelined(m, platform)
        return m

    def _state(self, name: str) -> Any:
        flags = {"vectoring": 1, "negative": 1, "positive": len(self._words)}
        layout = data.StructLayout({**self._words, **flags})
        # Kept: equal bits of `positive` would be merged again.
        return Signal(layout, name=name, reset_less=True, attrs={"keep": 1})

    def _taken(self) -> dict[str, Any]:
        """The operand, and whether it is to be folded: this drives every bit of the next stage."""
        i, top = self.i.payload, self.format.angle
        negative = Mux(i.vectoring, i.x[-1], i.z[top] ^ i.z[top - 1])
        words = {"x": i.x, "y": i.y, "z": i.z}
        return {**words, "vectoring": i.vectoring, "negative": negative}

    def _folded(self, state: Any) -> dict[str, Any]:
        """Into the right half plane (vectoring), or an angle in [−½, ½) (rotation)."""
        top, negative = self.format.angle, state.negative
        flip = negative.replicate(self.format.width)
        positive = Mux(state.vectoring, state.y[-1] ^ negative, ~(state.z[top] ^ negative))
        return {
            "x": state.x ^ flip,
            "y": state.y ^ flip,
            "z": Mux(state.vectoring, 0, Cat(state.z[:top], state.z[top] ^ negative)),
            "vectoring": state.vectoring,
            "negative": negative,
            "positive": positive.replicate(len(self._words)),
        }

    @staticmethod
    def _turned(m: Module, state: Any, shift: Any, angle: Any, platform: Any) -> dict[str, Any]:
        """One micro-rotation, an adder a word. The next direction is decided here already: it
        drives every adder of the next stage, a copy for each word."""
        x_sign, y_sign, z_sign = state.positive
        y = add_subtract(m, state.y, state.x >> shift, y_sign, platform, inverted=True)
        z = add_subtract(m, state.z, Cat(angle, C(0, 1)), z_sign, platform)
        return {
            "x": add_subtract(m, state.x, state.y >> shift, x_sign, platform),
            "y": y,
            "z": z,
            "vectoring": state.vectoring,
            "negative": state.negative,
            "positive": Mux(state.vectoring, y[-1], ~z[-1]).replicate(len(state.positive)),
        }

    def _compensated(self, m: Module, state: Any, advance: Any) -> Any:
        """Three registered levels of adders after `state`."""
        o = Signal(data.StructLayout(self._words), reset_less=True)
        wide = self.format.width + GUARD
        z, negative = state.z, state.vectoring & state.negative
        terms = {}
        for word in ("x", "y"):
            scaled = Cat(C(0, GUARD), state[word]).as_signed()
            shifted = [(sign, scaled >> shift) for sign, shift in self.format.compensation]
            # The low bits of the largest term are zero: half an LSB for rounding fits there.
            largest = shifted[0][1] >> (GUARD - 1)
            shifted[0] = (1, Cat(C(HALF, GUARD - 1), largest).as_signed())
            terms[word] = shifted
        for level in range(3):
            last = level == 2
            for word, values in terms.items():
                sums = []
                for n, ((s, a), (t, b)) in enumerate(zip(values[::2], values[1::2], strict=True)):
                    # A pair of negative terms is subtracted later, as a whole.
                    total = a + b if s == t else (a - b if s > t else b - a)
                    sign = -1 if s == t == -1 else 1
                    if last:
                        flip = negative & (word == "x")
                        rounded = (total if sign > 0 else -total) >> GUARD
                        flipped = rounded ^ Mux(flip, -1, 0)
                        with m.If(advance):
                            m.d.sync += o[word].eq(flipped)
                        continue
                    register = Signal(signed(wide), name=f"sum_{word}{level}_{n}", reset_less=True)
                    with m.If(advance):
                        m.d.sync += register.eq(total)
                    sums.append((sign, register))
                terms[word] = sums
            after_z = o.z if last else Signal.like(z, name=f"z_{level}", reset_less=True)
            after = Signal(name=f"negative_{level}", reset_less=True)
            with m.If(advance):
                m.d.sync += [after_z.eq(z), after.eq(negative)]
            z, negative = after_z, after
        return o

    def _pipelined(self, m: Module, platform: Any) -> None:
        advance = Signal()
        valid = Signal(self.latency)
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            self.o.valid.eq(valid[-1]),
        ]
        taken, state = self._state("taken"), self._state("folded")
        with m.If(advance):
            m.d.sync += valid.eq((valid << 1) | self.i.valid)
            m.d.sync += [taken[name].eq(value) for name, value in self._taken().items()]
            m.d.sync += [state[name].eq(value) for name, value in self._folded(taken).items()]
        for n, angle in enumerate(self.format.angles):
            after = self._state(f"turned{n}")
            turned = self._turned(m, state, n, C(angle, self.format.angle), platform)
            with m.If(advance):
                m.d.sync += [after[name].eq(value) for name, value in turned.items()]
            state = after
        m.d.comb += self.o.payload.eq(self._compensated(m, state, advance))

    def _iterative(self, m: Module, platform: Any) -> None:
        count, busy = Signal(range(self.latency)), Signal()
        state = self._state("state")
        done = self.latency - 1
        m.d.comb += [
            self.o.valid.eq(busy & (count == done)),
            self.i.ready.eq(~busy | (self.o.valid & self.o.ready)),
            self.o.payload.eq(self._compensated(m, state, count != done)),
        ]
        turn = Signal.like(count)
        m.d.comb += turn.eq(count - 1)
        angle = Array(C(angle, self.format.angle) for angle in self.format.angles)[turn]
        with m.If(busy & (count != done)):
            m.d.sync += count.eq(count + 1)
        with m.If(count == 0):
            m.d.sync += [state[name].eq(value) for name, value in self._folded(state).items()]
        with m.Elif(turn < self.format.iterations):
            turned = self._turned(m, state, turn, angle, platform)
            m.d.sync += [state[name].eq(value) for name, value in turned.items()]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += busy.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [busy.eq(1), count.eq(0)]
            m.d.sync += [state[name].eq(value) for name, value in self._taken().items()]
