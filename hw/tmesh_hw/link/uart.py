"""An asynchronous serial line: a start bit, eight data bits, lowest first, and a stop bit."""

import operator
from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out
from tmesh.errors import InvalidInput

from tmesh_hw.link.wire import BYTE

#: Fewest clocks a bit that the receiver can find the middle of.
FEWEST = 3

#: Bits of a byte on the line.
_BITS = 10


def _check_divisor(divisor: int) -> int:
    if operator.index(divisor) < FEWEST:
        raise InvalidInput(f"divisor must be at least {FEWEST}, not {divisor!r}")
    return divisor


class UartReceiver(wiring.Component):
    """Bytes from a line; each bit is taken in its middle, counted from the edge of the start bit.

    A byte without a stop bit is dropped. A byte is valid half a bit before its end, for one cycle.

    Parameters
    ----------
    divisor: clocks of a bit, at least `FEWEST`.

    Members
    -------
    rx: the line, not synchronous
    o: stream of bytes that cannot wait
    """

    def __init__(self, *, divisor: int) -> None:
        self.divisor = _check_divisor(divisor)
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(BYTE, always_ready=True))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, line, init=1)
        # Samples that are left of a byte: the start bit, data, the stop bit.
        clock, left = Signal(range(self.divisor)), Signal(range(1 + _BITS))
        m.d.sync += self.o.valid.eq(0)
        with m.If(left == 0):
            m.d.sync += clock.eq(self.divisor // 2 - 1)
            with m.If(~line):
                m.d.sync += left.eq(_BITS)
        with m.Elif(clock != 0):
            m.d.sync += clock.eq(clock - 1)
        with m.Else():
            m.d.sync += [clock.eq(self.divisor - 1), left.eq(left - 1)]
            with m.If(left == _BITS), m.If(line):  # a spike
                m.d.sync += left.eq(0)
            with m.Elif(left == 1):
                m.d.sync += self.o.valid.eq(line)
            with m.Else():
                m.d.sync += self.o.payload.data.eq(Cat(self.o.payload.data[1:], line))
        return m


class UartTransmitter(wiring.Component):
    """Bytes to a line, one after another without a pause.

    Parameters
    ----------
    divisor: clocks of a bit, at least `FEWEST`.

    Members
    -------
    i: stream of bytes
    tx: the line
    """

    def __init__(self, *, divisor: int) -> None:
        self.divisor = _check_divisor(divisor)
        super().__init__({"i": In(stream.Signature(BYTE)), "tx": Out(1, init=1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        clock, left = Signal(range(self.divisor)), Signal(range(1 + _BITS))
        later = Signal(_BITS - 1)
        ends = clock == 0
        m.d.comb += self.i.ready.eq((left == 0) | ((left == 1) & ends))
        m.d.sync += clock.eq(Mux(ends, self.divisor - 1, clock - 1))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                clock.eq(self.divisor - 1),
                left.eq(_BITS),
                self.tx.eq(0),
                later.eq(Cat(self.i.payload.data, 1)),
            ]
        with m.Elif(ends & (left != 0)):
            m.d.sync += [
                left.eq(left - 1),
                self.tx.eq(later[0]),
                later.eq(Cat(later[1:], 1)),
            ]
        return m
