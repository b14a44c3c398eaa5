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

    It has no timer. A lost word is sent again when the host asks, or when a later frame shows that
    it is missing. A frame that is damaged changes nothing. Two queues of `depth` words.

    Parameters
    ----------
    link: bits of a word. depth: words that are kept each way, a power of two.

    Members
    -------
    i, o: streams of bytes, from and to the host; any transport that keeps their order
    commands, replies: streams of words, to and from the engine
    reset: for a cycle: restart, as after power-up; replies in the next two are ignored too
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
        still = Signal(2)
        m.d.sync += still.eq(Cat(self.reset, still))
        m.d.comb += [queue.clear.eq(self.reset | still.any()) for queue in (inward, outward)]

        # A frame is checked in two separate cycles. Nothing else comes until that is done, and the
        # header stays: the next frame begins with a byte of which `CobsDecoder` makes none. Signals
        # of two bits hold the values of the last two cycles.
        header, session = receiver.header, Signal(16)
        word, ends, bad = Signal(2), Signal(2), Signal(2)
        payload = Signal(receiver.o.payload.shape(), reset_less=True)
        with m.If(receiver.o.valid):
            m.d.sync += payload.eq(receiver.o.payload)
        # It is of this session; its word is the next one; some before it have not come.
        ours, follows, missing = Signal(), Signal(), Signal(2)
        # The frame is whole, and ours, or resets; its word is the next one; it asks for words
        # again.
        good, renewed, enters, asks = Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            word.eq(Cat(receiver.o.valid, word)),
            ends.eq(Cat(receiver.good, ends)),
            bad.eq(Cat(receiver.bad, bad)),
            ours.eq(
                fits(header, self.link) & (header.session == session) & (header.kind < Kind.RESET)
            ),
            follows.eq(header.position == inward.written),
            missing.eq(
                Cat((header.position - inward.written)[:POSITION_BITS].as_signed() > 0, missing)
            ),
            good.eq(ends[0] & ours),
            renewed.eq(ends[0] & (header.kind == Kind.RESET)),
            enters.eq(word[0] & ours & follows),
            asks.eq(header.kind == Kind.AGAIN),
        ]
        # The frame that comes has words.
        bears = Signal()
        # Content of the next frame: any at all, an AGAIN, a RESET.
        answer, again, hello = Signal(), Signal(), Signal()
        # The host's news that `outward` does not know yet.
        news, rewind, room = Signal(), Signal(), Signal(POSITION_BITS)
        advertised = Signal(POSITION_BITS)
        # There is room for the word at `outward.o`; a cycle late, but words are further apart.
        more = Signal()
        m.d.sync += more.eq(outward.position != room)
        m.d.comb += [
            inward.i.payload.eq(payload),
            inward.i.valid.eq(enters),
            inward.commit.eq(good),
            inward.discard.eq(bad[1]),
            sender.i.payload.eq(outward.o.payload),
            sender.i.valid.eq(outward.o.valid & more),
            outward.o.ready.eq(sender.i.ready),
            sender.start.payload.kind.eq(Mux(hello, Kind.RESET, Mux(again, Kind.AGAIN, Kind.DATA))),
            sender.start.payload.link.eq(frames.link_code(self.link)),
            sender.start.payload.version.eq(frames.VERSION),
            sender.start.payload.session.eq(session),
            sender.start.payload.position.eq(outward.position),
            sender.start.payload.acknowledged.eq(inward.committed),
            sender.start.payload.limit.eq(inward.limit),
        ]
        # A quarter of the queue has become free since that was said, two cycles ago at the least.
        gap, said, freed = Signal(POSITION_BITS), Signal(), Signal()
        m.d.sync += [
            gap.eq(inward.limit - advertised),
            said.eq(sender.start.valid),
            freed.eq((gap >= self.depth // 4) & ~said & ~sender.start.valid),
        ]
        with m.If(freed):
            m.d.sync += answer.eq(1)
        # Between frames, so that the words of one follow each other; the next one starts when
        # `outward`, five cycles after its update, and `more` hold again.
        renews, settling = Signal(), Signal(6)
        m.d.sync += [
            outward.update.eq(renews),
            outward.rewind.eq(rewind),
            settling.eq(Cat(renews, settling)),
        ]
        with m.If(sender.start.ready & ~settling.any() & ~self.reset):
            with m.If(news):
                m.d.comb += renews.eq(1)
                m.d.sync += [news.eq(0), rewind.eq(0)]
            with m.Elif(answer | hello | sender.i.valid):
                m.d.comb += sender.start.valid.eq(1)
                m.d.sync += [
                    answer.eq(0),
                    again.eq(0),
                    hello.eq(0),
                    advertised.eq(inward.limit),
                ]

        m.d.sync += self.reset.eq(0)
        with m.If(word[1]):
            m.d.sync += bears.eq(1)
        with m.If(ends[1] | bad[1]):
            m.d.sync += bears.eq(0)
        with m.If(bad[1]):
            m.d.sync += [answer.eq(1), again.eq(1)]
        with m.If(renewed):
            m.d.sync += [
                self.reset.eq(header.session != session),
                session.eq(header.session),
                room.eq(header.limit),
                hello.eq(1),
                news.eq(0),
                rewind.eq(0),
            ]
        with m.If(good):
            m.d.sync += [
                outward.acknowledged.eq(header.acknowledged),
                room.eq(header.limit),
                news.eq(1),
            ]
            with m.If(bears | missing[1] | asks):
                m.d.sync += answer.eq(1)
            with m.If(missing[1]):
                m.d.sync += again.eq(1)
            with m.If(asks):
                m.d.sync += rewind.eq(1)
        return m
