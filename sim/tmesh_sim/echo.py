"""A board without an engine, to try the link with."""

from typing import Any

from amaranth import Module, ResetInserter
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh_hw.blocks import Queue
from tmesh_hw.engine.words import word_layout
from tmesh_hw.link import Link
from tmesh_hw.link.wire import BYTE


class Echo(wiring.Component):
    """A `tmesh_hw.link.Link` whose commands are their own replies, but for the lowest bit of a word
    that ends its packet, which changes.

    Members
    -------
    i, o: streams of bytes
    """

    def __init__(self, *, link: int, depth: int) -> None:
        self.link, self.depth = link, depth
        super().__init__(
            {
                "i": In(stream.Signature(BYTE, always_ready=True)),
                "o": Out(stream.Signature(BYTE)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.link = link = Link(link=self.link, depth=self.depth)
        word = Queue(word_layout(self.link), depth=4)
        m.submodules.word = ResetInserter(link.reset)(word)
        m.d.comb += [link.i.payload.eq(self.i.payload), link.i.valid.eq(self.i.valid)]
        wiring.connect(m, link.o, wiring.flipped(self.o))
        wiring.connect(m, link.commands, word.i)
        wiring.connect(m, word.o, link.replies)
        with m.If(word.o.payload.last):
            m.d.comb += link.replies.payload.data[0].eq(~word.o.payload.data[0])
        return m
