"""The gateware's end of the link."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh import frames
from tmesh.frames import POSITION_BITS, Kind

from tmesh_hw.engine.words import word_layout
from tmesh_hw.link.queues import CommitQueue, ReplayQueue
from tmesh_hw.link.receiver import FrameReceiver, fits
from tmesh_hw.link.sender import FrameSender
from tmesh_hw.link.wire import BYTE


class Link(wiring.Component):
    """Words of commands from frames, in order, each once; words of replies into frames, again until
    they are acknowledged; see `tmesh.frames`.

    It has no timer: what is lost is sent again when the host asks, or when a later frame shows that
    it is missing. A frame that is damaged changes nothing. Two queues of `depth` words.

    Parameters
    ----------
    link: bits of a word. depth: words that are kept each way, a power of two.

    Members
    -------
    i, o: streams of bytes, from and to the host; any transport that keeps their order
    commands, replies: streams of words, to and from the engine
    reset: for a cycle: begin anew, as after power-up; what comes in the next cycle is ignored too
    """

    def __init__(self, *, link: int, depth: int = 512) -> None:
        self.link, self.depth = link, depth
        word = stream.Signature(word_layout(link))
        super().__init__(
            {
                "i": In(stream.Signature(BYTE, always_ready=True)),
                "o": Out(stream.Signature(BYTE)),
                "commands": Out(word),
                "replies": In(word),
                "reset": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.receiver = receiver = FrameReceiver(link=self.link)
        m.submodules.sender = sender = FrameSender(link=self.link)
        m.submodules.inward = inward = CommitQueue(link=self.link, depth=self.depth)
        m.submodules.outward = outward = ReplayQueue(link=self.link, depth=self.depth)
        m.d.comb += [receiver.i.payload.eq(self.i.payload), receiver.i.valid.eq(self.i.valid)]
        wiring.connect(m, inward.o, wiring.flipped(self.commands))
        wiring.connect(m, wiring.flipped(self.replies), outward.i)
        wiring.connect(m, sender.o, wiring.flipped(self.o))
        still = Signal()
        m.d.sync += still.eq(self.reset)
        m.d.comb += [queue.clear.eq(self.reset | still) for queue in (inward, outward)]

        header, session = receiver.header, Signal(16)
        ours = fits(header, self.link) & (header.session == session) & (header.kind != Kind.RESET)
        # Of the frame that comes: it has words, and some before them have not come.
        bears = Signal()
        missing = (header.position - inward.written)[:POSITION_BITS].as_signed() > 0
        # What the next frame says: anything at all, that something is missing, all begins anew.
        answer, again, hello = Signal(), Signal(), Signal()
        # What the host has said that `outward` does not know yet.
        news, rewind, room = Signal(), Signal(), Signal(POSITION_BITS)
        advertised = Signal(POSITION_BITS)
        m.d.comb += [
            inward.i.payload.eq(receiver.o.payload),
            inward.i.valid.eq(receiver.o.valid & ours & (header.position == inward.written)),
            inward.commit.eq(receiver.good & ours),
            inward.discard.eq(receiver.bad),
            sender.i.payload.eq(outward.o.payload),
            sender.i.valid.eq(outward.o.valid & (outward.position != room)),
            outward.o.ready.eq(sender.i.ready),
            sender.start.payload.kind.eq(Mux(hello, Kind.RESET, Mux(again, Kind.AGAIN, Kind.DATA))),
            sender.start.payload.link.eq(frames.link_code(self.link)),
            sender.start.payload.version.eq(frames.VERSION),
            sender.start.payload.session.eq(session),
            sender.start.payload.position.eq(outward.position),
            sender.start.payload.acknowledged.eq(inward.committed),
            sender.start.payload.limit.eq(inward.limit),
        ]
        # Between frames, so that the words of one follow each other.
        settling = Signal(2)
        m.d.sync += settling.eq(Cat(outward.update, settling))
        with m.If(sender.start.ready & ~settling.any() & ~self.reset):
            with m.If(news):
                m.d.comb += outward.update.eq(1)
                m.d.sync += [news.eq(0), rewind.eq(0)]
            with m.Elif(answer | hello | sender.i.valid):
                m.d.comb += sender.start.valid.eq(1)
                m.d.sync += [
                    answer.eq(0),
                    again.eq(0),
                    hello.eq(0),
                    advertised.eq(inward.limit),
                ]
        with m.If((inward.limit - advertised)[:POSITION_BITS] >= self.depth // 4):
            m.d.sync += answer.eq(1)
        m.d.comb += outward.rewind.eq(rewind)

        m.d.sync += self.reset.eq(0)
        with m.If(receiver.o.valid):
            m.d.sync += bears.eq(1)
        with m.If(receiver.good | receiver.bad):
            m.d.sync += bears.eq(0)
        with m.If(receiver.bad):
            m.d.sync += [answer.eq(1), again.eq(1)]
        with m.If(receiver.good & (header.kind == Kind.RESET)):
            m.d.sync += [
                self.reset.eq(header.session != session),
                session.eq(header.session),
                room.eq(header.limit),
                hello.eq(1),
                news.eq(0),
                rewind.eq(0),
            ]
        with m.If(receiver.good & ours):
            m.d.sync += [
                outward.acknowledged.eq(header.acknowledged),
                room.eq(header.limit),
                news.eq(1),
            ]
            with m.If(bears | missing | (header.kind == Kind.AGAIN)):
                m.d.sync += answer.eq(1)
            with m.If(missing):
                m.d.sync += again.eq(1)
            with m.If(header.kind == Kind.AGAIN):
                m.d.sync += rewind.eq(1)
        return m
