"""Bytes from frames."""

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import crc, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out
from tmesh import frames

from tmesh_hw.blocks import StreamRegister
from tmesh_hw.engine.words import word_layout
from tmesh_hw.link.cobs import CobsEncoder
from tmesh_hw.link.receiver import HEADER, header_layout
from tmesh_hw.link.wire import BYTE


class FrameSender(wiring.Component):
    """Puts frames together: a header, the words that wait, `tmesh.frames.words_per_frame` at most,
    and the CRC. Makes a byte in three cycles.

    Parameters
    ----------
    link: bits of a word.

    Members
    -------
    start: stream of headers; ready when no frame is in progress
    i: stream of words; the frame ends when none waits
    o: stream of bytes
    """

    def __init__(self, *, link: int) -> None:
        self.link = link
        super().__init__(
            {
                "start": In(stream.Signature(header_layout())),
                "i": In(stream.Signature(word_layout(link))),
                "o": Out(stream.Signature(BYTE)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.encoder = encoder = CobsEncoder()
        m.submodules.crc = check = crc.Processor(CRC32_ISO_HDLC(data_width=8))
        # Bytes come late, from a memory.
        m.submodules.leaving = leaving = StreamRegister(BYTE)
        wiring.connect(m, encoder.o, leaving.i)
        wiring.connect(m, leaving.o, wiring.flipped(self.o))
        group, most = self.link // 8 + 1, frames.words_per_frame(self.link)
        bits = Signal(8 * max(group, HEADER), reset_less=True)
        left, words = Signal(range(max(group, HEADER) + 1)), Signal(range(most + 1))
        # A word comes late, from a memory.
        word = Signal(self.i.payload.shape(), reset_less=True)
        m.d.sync += word.eq(self.i.payload)
        byte = encoder.i
        m.d.comb += [byte.payload.data.eq(bits[:8]), check.data.eq(bits[:8])]
        with m.If(byte.valid & byte.ready):
            m.d.comb += check.valid.eq(1)
            m.d.sync += [bits.eq(bits >> 8), left.eq(left - 1)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.start.ready.eq(1), check.start.eq(1)]
                m.d.sync += [bits.eq(self.start.payload.as_value()), left.eq(HEADER), words.eq(0)]
                with m.If(self.start.valid):
                    m.next = "BYTES"
            with m.State("BYTES"):
                m.d.comb += byte.valid.eq(left != 0)
                with m.If(left == 0):
                    m.next = "WORD"
            with m.State("WORD"):
                with m.If(self.i.valid & (words != most)):
                    m.d.comb += self.i.ready.eq(1)
                    m.d.sync += words.eq(words + 1)
                    m.next = "LOAD"
                with m.Else():
                    m.d.sync += [bits.eq(check.crc), left.eq(frames.CRC_BYTES)]
                    m.next = "CRC"
            with m.State("LOAD"):
                m.d.sync += [bits.eq(word), left.eq(group)]
                m.next = "BYTES"
            with m.State("CRC"):
                m.d.comb += [byte.valid.eq(1), byte.payload.last.eq(left == 1)]
                with m.If(byte.ready & (left == 1)):
                    m.next = "IDLE"
        return m
