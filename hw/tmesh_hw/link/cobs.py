"""Consistent overhead byte stuffing: frames without zero bytes, and a zero byte after each.

S. Cheshire, M. Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on Networking 7
(1999). A block is a code, 1 to 255, and code − 1 bytes that are not zero. After every block but the
last of a frame comes a zero, unless its code is 255.
"""

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tmesh_hw.link.wire import BYTE

#: Bytes of the longest block, without its code.
LONGEST = 254


class CobsDecoder(wiring.Component):
    """Bytes of a line to those of frames; one register, a byte every cycle.

    Parameters: none.

    Members
    -------
    i: stream of bytes, never held back
    o: stream of ``{data: 8, end: 1, bad: 1}`` that cannot wait. With `end` there is no data: the
       frame is over, and it is `bad` if its last block was not complete.
    """

    def __init__(self) -> None:
        layout = data.StructLayout({"data": 8, "end": 1, "bad": 1})
        super().__init__(
            {
                "i": In(stream.Signature(BYTE, always_ready=True)),
                "o": Out(stream.Signature(layout, always_ready=True)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        i, o = self.i.payload.data, self.o.payload
        # Bytes that are left of the block; whether a zero comes before the next one.
        left, zero = Signal(8), Signal()
        m.d.sync += [self.o.valid.eq(0), o.data.eq(i), o.end.eq(0)]
        with m.If(self.i.valid):
            with m.If(i == 0):
                m.d.sync += [
                    self.o.valid.eq(1),
                    o.end.eq(1),
                    o.bad.eq(left != 0),
                    left.eq(0),
                    zero.eq(0),
                ]
            with m.Elif(left != 0):
                m.d.sync += [self.o.valid.eq(1), left.eq(left - 1)]
            with m.Else():
                m.d.sync += [
                    self.o.valid.eq(zero),
                    o.data.eq(0),
                    left.eq(i - 1),
                    zero.eq(i != LONGEST + 1),
                ]
        return m


class CobsEncoder(wiring.Component):
    """Bytes of frames to those of a line.

    A block is kept until its code is known, then sent: 2 n + 2 cycles for one of n bytes. One block
    memory.

    Members
    -------
    i: stream of ``{data: 8, last: 1}``
    o: stream of bytes
    """

    def __init__(self) -> None:
        layout = data.StructLayout({"data": 8, "last": 1})
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(BYTE))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.block = memory = Memory(shape=8, depth=256, init=[])
        write, read = memory.write_port(), memory.read_port()
        i, o = self.i, self.o
        count, sent = Signal(8), Signal(8)
        # Of the block: it ends the frame; a zero that ends the frame makes an empty block after it.
        last, after = Signal(), Signal()
        zero = i.payload.data == 0
        m.d.comb += [
            write.addr.eq(count),
            write.data.eq(i.payload.data),
            read.addr.eq(sent),
        ]
        with m.FSM():
            with m.State("FILL"):
                m.d.comb += i.ready.eq(1)
                m.d.sync += sent.eq(0)
                with m.If(i.valid):
                    m.d.comb += write.en.eq(~zero)
                    m.d.sync += [
                        count.eq(count + ~zero),
                        last.eq(i.payload.last & ~zero),
                        after.eq(i.payload.last & zero),
                    ]
                    with m.If(zero | i.payload.last | (count == LONGEST - 1)):
                        m.next = "CODE"
            with m.State("CODE"):
                m.d.comb += [o.valid.eq(1), o.payload.data.eq(count + 1)]
                with m.If(o.ready):
                    m.next = "BYTES"
            with m.State("BYTES"):
                m.d.comb += [o.valid.eq(sent != count), o.payload.data.eq(read.data)]
                with m.If(sent == count):
                    m.d.sync += [count.eq(0), sent.eq(0), after.eq(0), last.eq(after)]
                    with m.If(last):
                        m.next = "END"
                    with m.Elif(after):
                        m.next = "CODE"
                    with m.Else():
                        m.next = "FILL"
                with m.Elif(o.ready):
                    m.d.comb += read.addr.eq(sent + 1)
                    m.d.sync += sent.eq(sent + 1)
            with m.State("END"):
                m.d.comb += o.valid.eq(1)
                with m.If(o.ready):
                    m.next = "FILL"
        return m
