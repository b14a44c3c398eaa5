"""Frames from bytes."""

from typing import Any

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import crc, data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out
from tmesh import frames

from tmesh_hw.engine.words import word_layout
from tmesh_hw.link.cobs import CobsDecoder
from tmesh_hw.link.wire import BYTE

#: Bytes of a header.
HEADER = frames.HEADER.itemsize


def header_layout() -> data.StructLayout:
    """The fields of `tmesh.frames.HEADER`, with those of `tmesh.frames.KIND` in the first."""
    names = [name for name in frames.HEADER.names or () if name != "kind"]
    fields = {name: 8 * frames.HEADER[name].itemsize for name in names}
    return data.StructLayout({**frames.KIND, **fields})


class FrameReceiver(wiring.Component):
    """Takes frames apart. A word arrives three cycles after its last byte. The end of the frame
    tells its validity: it was whole if `good`. Takes a byte every cycle.

    Parameters
    ----------
    link: bits of a word.

    Members
    -------
    i: stream of bytes, never held back
    o: stream of words that cannot wait
    header: of this frame, once there are words, or the end; `position` is that of the word at `o`,
       and at the end that of the word after the last one
    good, bad: for a cycle at the end of a frame; neither after nothing at all
    """

    def __init__(self, *, link: int) -> None:
        self.link = link
        super().__init__(
            {
                "i": In(stream.Signature(BYTE, always_ready=True)),
                "o": Out(stream.Signature(word_layout(link), always_ready=True)),
                "header": Out(header_layout()),
                "good": Out(1),
                "bad": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.decoder = decoder = CobsDecoder()
        m.submodules.crc = check = crc.Processor(CRC32_ISO_HDLC(data_width=8))
        m.d.comb += [decoder.i.payload.eq(self.i.payload), decoder.i.valid.eq(self.i.valid)]
        # Near what they drive: a byte of a frame, or its end.
        byte, broken, arrives, ends = Signal(8, reset_less=True), Signal(), Signal(), Signal()
        m.d.sync += [
            byte.eq(decoder.o.payload.data),
            broken.eq(decoder.o.payload.bad),
            arrives.eq(decoder.o.valid & ~decoder.o.payload.end),
            ends.eq(decoder.o.valid & decoder.o.payload.end),
        ]
        m.d.comb += [
            check.data.eq(byte),
            check.valid.eq(arrives),
            check.start.eq(ends),
        ]
        # A word and its flag have more bytes than the CRC, so the CRC is never taken for a word.
        group = self.link // 8 + 1
        assert group > frames.CRC_BYTES
        count, heard, begun = Signal(range(max(group, HEADER))), Signal(), Signal()
        header, bits = self.header.as_value(), Signal(8 * group, reset_less=True)
        m.d.comb += self.o.payload.eq(bits)
        m.d.sync += self.o.valid.eq(0)
        with m.If(self.o.valid):
            m.d.sync += self.header.position.eq(self.header.position + 1)
        with m.If(arrives):
            m.d.sync += [begun.eq(1), count.eq(count + 1), bits.eq(Cat(bits[8:], byte))]
            with m.If(~heard):
                m.d.sync += header.eq(Cat(header[8:], byte))
                with m.If(count == HEADER - 1):
                    m.d.sync += [count.eq(0), heard.eq(1)]
            with m.Elif(count == group - 1):
                m.d.sync += [count.eq(0), self.o.valid.eq(1)]
        with m.If(ends):
            m.d.sync += [begun.eq(0), count.eq(0), heard.eq(0)]
        whole = heard & (count == frames.CRC_BYTES) & check.match_detected & ~broken
        m.d.comb += [self.good.eq(ends & whole), self.bad.eq(ends & begun & ~whole)]
        return m


def fits(header: Any, link: int) -> Any:
    """Whether a frame is of this version, with words of `link` bits."""
    return (header.version == frames.VERSION) & (header.link == Const(frames.link_code(link), 2))
