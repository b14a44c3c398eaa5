"""The 4×4 operator MAC: Y = L X R†."""

from typing import Any

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from tmesh.numbers import BoolArray, IntArray

from tmesh_hw.blocks.entrywise_mac import ORDER, EntrywiseMac
from tmesh_hw.numbers import matrix


class OperatorMac(wiring.Component):
    """``o.y = left @ x @ right.conj().T`` on 4×4 complex matrices.

    An `EntrywiseMac` with whole matrices on either side, which has formats, rounding and flags:
    with ``hermitian`` only the upper triangle is computed, and the rest is its mirror, for L = R
    and Hermitian X. One transaction per ``interval(hermitian)`` cycles; 4·lanes multipliers.

    Its parameters are those of `EntrywiseMac`.

    Members
    -------
    i: stream of ``{left, x, right: 4×4 Complex(f+2), hermitian: 1, carry}``;
       taken with its last entries
    o: stream of ``{y: 4×4 Complex(2f+7), saturated: 1, carry}``
    """

    #: Results that may be in flight, or wait.
    _RESULTS = 4

    def __init__(self, *, f: int, lanes: int, carry: Any = 0) -> None:
        self.f, self.lanes = f, lanes
        self._mac = EntrywiseMac(f=f, lanes=lanes, carry=carry)
        operand = matrix(4, f + 2)
        command = {"left": operand, "x": operand, "right": operand, "hermitian": 1, "carry": carry}
        reply = {"y": matrix(4, 2 * f + 7), "saturated": 1, "carry": carry}
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(command))),
                "o": Out(stream.Signature(data.StructLayout(reply))),
            }
        )

    def interval(self, hermitian: bool) -> int:
        """Cycles between transactions."""
        return self._mac.interval(hermitian)

    def latency(self, hermitian: bool) -> int:
        """From the last entries, with which a transaction is taken, to the result that waits."""
        return self._mac.latency(hermitian) + 2

    def model(
        self, left: IntArray, x: IntArray, right: IntArray, hermitian: bool
    ) -> tuple[IntArray, BoolArray]:
        """Integers (..., 4, 4, 2) in; full-width Y and the saturation flag out."""
        return self._mac.model(left, x, right, hermitian)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.mac = mac = self._mac
        i, o = self.i.payload, self.o.payload
        beats = 16 // mac.loads
        beat, busy = Signal(range(beats)), Signal()
        m.d.comb += [
            mac.begin.valid.eq(self.i.valid & ~busy & mac.room),
            mac.begin.hermitian.eq(i.hermitian),
            mac.begin.carry.eq(i.carry),
            mac.operators.valid.eq(busy),
            mac.x.valid.eq(busy),
            self.i.ready.eq(busy & (beat == beats - 1)),
        ]
        m.d.sync += busy.eq(mac.begin.valid | (busy & ~self.i.ready))
        with m.If(busy):
            m.d.sync += beat.eq(beat + 1)
        for e in range(mac.loads):
            at = [divmod(n, 4) for n in range(e, 16, mac.loads)]
            for name in ("left", "right"):
                entries = Array(i[name][j][k].as_value() for j, k in at)
                m.d.comb += mac.operators[name][e].as_value().eq(entries[beat])
            m.d.comb += mac.x.x[e].as_value().eq(Array(i.x[k][j].as_value() for j, k in at)[beat])

        # Each product that begins has a place for its result.
        layout = self.o.payload.shape()
        m.submodules.results = results = SyncFIFO(width=layout.size, depth=self._RESULTS)
        result, under_way = Signal(layout, reset_less=True), Signal(range(self._RESULTS + 1))
        begins, leaves = mac.next.valid & mac.next.ready, self.o.valid & self.o.ready
        m.d.sync += [
            under_way.eq(under_way + begins - leaves),
            results.w_en.eq(mac.o.valid & mac.o.last),
        ]
        m.d.comb += [
            mac.next.ready.eq(under_way != self._RESULTS),
            results.w_data.eq(result),
            self.o.valid.eq(results.r_rdy),
            o.eq(data.View(layout, results.r_data)),
            results.r_en.eq(leaves),
        ]
        for number, (p, q) in enumerate(ORDER):
            step, unit = divmod(number, mac.units)
            mirrored = mac.o.hermitian & (p > q)
            entry, y = mac.o.y[unit], result.y
            with m.If(mac.o.valid & (mac.o.step == step) & ~mirrored):
                imaginary = Mux(mac.o.hermitian & (p == q), 0, entry.im)
                m.d.sync += [y[p][q].re.eq(entry.re), y[p][q].im.eq(imaginary)]
                if p < q:
                    with m.If(mac.o.hermitian):
                        m.d.sync += [y[q][p].re.eq(entry.re), y[q][p].im.eq(-entry.im)]
        with m.If(mac.o.valid & mac.o.last):
            m.d.sync += [result.saturated.eq(mac.o.saturated), result.carry.eq(mac.o.carry)]
        return m
