"""A block that takes a matrix entry by entry, with a stream of whole matrices before it."""

from typing import Any

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.numbers import IntArray
from tmesh_hw.blocks import PartialTraces
from tmesh_hw.blocks.entrywise_mac import ORDER, UPPER
from tmesh_hw.numbers import matrix


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
