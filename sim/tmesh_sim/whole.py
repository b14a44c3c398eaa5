"""Blocks that take a matrix entry by entry, with a stream of whole matrices on either side."""

from typing import Any

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.numbers import BoolArray, IntArray
from tmesh_hw.blocks import OperatorMac, PartialTraces
from tmesh_hw.blocks.operator_mac import ORDER, UPPER
from tmesh_hw.numbers import matrix


class WholeMac(wiring.Component):
    """`OperatorMac`, with its parameters.

    Members
    -------
    i: stream of ``{left, x, right: 4×4 Complex(f+2), hermitian: 1, carry}``
    o: stream of ``{y: 4×4 Complex(2f+7), saturated: 1, carry}``
    """

    def __init__(self, *, f: int, lanes: int, carry: Any = 0) -> None:
        self.f = f
        self._mac = OperatorMac(f=f, lanes=lanes, carry=carry)
        operand, result = matrix(4, f + 2), matrix(4, 2 * f + 7)
        command = {"left": operand, "x": operand, "right": operand, "hermitian": 1, "carry": carry}
        reply = {"y": result, "saturated": 1, "carry": carry}
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(command))),
                "o": Out(stream.Signature(data.StructLayout(reply))),
            }
        )

    def latency(self, hermitian: bool) -> int:
        """From the last entry taken, which is the command's, to the result in its register."""
        return self._mac.latency(hermitian) + 1

    def model(
        self, left: IntArray, x: IntArray, right: IntArray, hermitian: bool
    ) -> tuple[IntArray, BoolArray]:
        """As the block's."""
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

        taken = Signal()
        m.d.comb += mac.next.ready.eq(~taken)
        with m.If(mac.next.valid & mac.next.ready):
            m.d.sync += taken.eq(1)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [taken.eq(0), self.o.valid.eq(0)]
        for number, (p, q) in enumerate(ORDER):
            step, unit = divmod(number, mac.units)
            mirrored = mac.o.hermitian & (p > q)
            with m.If(mac.o.valid & (mac.o.step == step) & ~mirrored):
                entry = mac.o.y[unit]
                real = mac.o.hermitian & (p == q)
                m.d.sync += [o.y[p][q].re.eq(entry.re), o.y[p][q].im.eq(Mux(real, 0, entry.im))]
                if p < q:
                    with m.If(mac.o.hermitian):
                        m.d.sync += [o.y[q][p].re.eq(entry.re), o.y[q][p].im.eq(-entry.im)]
        with m.If(mac.o.valid & mac.o.last):
            m.d.sync += [
                self.o.valid.eq(1),
                o.saturated.eq(mac.o.saturated),
                o.carry.eq(mac.o.carry),
            ]
        return m


class WholeTraces(wiring.Component):
    """`PartialTraces`, with its parameters.

    Members
    -------
    i: stream of ``{x: 4×4 Complex(width)}``
    o: stream of ``{r: 2 × 2×2 Complex(width + 1)}``
    """

    def __init__(self, *, width: int, units: int) -> None:
        self.width, self._units = width, units
        self._traces = PartialTraces(width=width, units=units)
        command = data.StructLayout({"x": matrix(4, width)})
        super().__init__({"i": In(stream.Signature(command)), "o": Out(self._traces.o.signature)})

    @property
    def latency(self) -> int:
        """From the last entries taken, which are the command's."""
        return self._traces.latency

    def model(self, x: IntArray) -> IntArray:
        """As the block's."""
        return self._traces.model(x)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.traces = traces = self._traces
        wiring.connect(m, traces.o, wiring.flipped(self.o))
        beats = -(-len(UPPER) // self._units)
        beat = Signal(range(beats))
        m.d.comb += [
            traces.i.valid.eq(self.i.valid),
            self.i.ready.eq(traces.i.ready & (beat == beats - 1)),
        ]
        with m.If(traces.i.valid & traces.i.ready):
            m.d.sync += beat.eq(Mux(self.i.ready, 0, beat + 1))
        for unit in range(self._units):
            at = [ORDER[n] for n in range(unit, beats * self._units, self._units)]
            entries = Array(self.i.payload.x[p][q].as_value() for p, q in at)
            m.d.comb += traces.i.payload.x[unit].as_value().eq(entries[beat])
        return m
