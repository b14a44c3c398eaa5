"""Blocks, each with the part of its owner that a bench needs."""

from typing import Any

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.numbers import BoolArray, IntArray
from tmesh_hw.blocks import PartialTraces, PauliLane
from tmesh_hw.blocks.entrywise_mac import ORDER, UPPER
from tmesh_hw.numbers import matrix


class PatientLane(wiring.Component):
    """`PauliLane`, with its parameters and its transactions: a coefficient waits until no vector is
    in progress."""

    def __init__(self, *, f: int) -> None:
        self.f, self._lane = f, PauliLane(f=f)
        payload = self._lane.i.payload.shape()
        super().__init__({"i": In(stream.Signature(payload)), "o": Out(self._lane.o.signature)})

    @property
    def latency(self) -> int:
        """The block's."""
        return self._lane.latency

    def model(self, c: IntArray, own: IntArray, other: IntArray) -> tuple[IntArray, BoolArray]:
        """The block's."""
        return self._lane.model(c, own, other)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.lane = lane = self._lane
        wiring.connect(m, lane.o, wiring.flipped(self.o))
        under_way = Signal(range(self.latency + 1))
        m.d.comb += [
            lane.i.payload.eq(self.i.payload),
            lane.i.valid.eq(self.i.valid & self.i.ready),
            self.i.ready.eq(~self.i.payload.load | (under_way == 0)),
        ]
        with m.If(lane.i.valid & ~lane.i.payload.load):
            m.d.sync += under_way.eq(self.latency)
        with m.Elif(under_way != 0):
            m.d.sync += under_way.eq(under_way - 1)
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
