"""Conversion between the words of a link and their content."""

from typing import Any

from amaranth import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh import packets
from tmesh.packets import Status

from tmesh_hw.blocks import Queue
from tmesh_hw.blocks.stream_register import PART
from tmesh_hw.engine.bundle import slot_layout
from tmesh_hw.numbers import copies


def word_layout(link: int) -> data.StructLayout:
    """A word of a link of `link` bits; last: it ends its packet."""
    return data.StructLayout({"data": link, "last": 1})


def reply_layout() -> data.StructLayout:
    """The fields of `tmesh.packets.REPLY`, the body as four integers."""
    fields = {name: 8 * packets.REPLY[name].itemsize for name in packets.REPLY.names or ()}
    return data.StructLayout({**fields, "body": data.ArrayLayout(signed(packets.INTEGER), 4)})


class BundleReader(wiring.Component):
    """Words to bundles, until one is bad.

    Words inside do not stall: they end in a queue that has room for all of them.

    Parameters
    ----------
    link: bits of a word. lanes: slots of a bundle. rows: vectors of a bank.

    Members
    -------
    i: stream of words. o: stream of bundles, see `Interlock`
    start: a packet begins: forget the last one
    status, count: OK, or why this bundle and all that follow are not passed on; how many were
    empty: nothing was left inside in the cycle before
    """

    #: Bundles inside: those in flight, and room until it is known that one has left.
    DEPTH = 16

    def __init__(self, *, link: int, lanes: int, rows: int) -> None:
        self.link, self.lanes, self.rows = link, lanes, rows
        row = max(1, (rows - 1).bit_length())
        super().__init__(
            {
                "i": In(stream.Signature(word_layout(link))),
                "o": Out(stream.Signature(data.ArrayLayout(slot_layout(row), lanes))),
                "start": In(1),
                "status": Out(Status),
                "count": Out(32),
                "empty": Out(1, init=1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        words = max(1, packets.bundle_bits(self.lanes) // self.link)
        have, short, left = Signal(range(words)), Signal(), Signal()
        shape = self.o.payload.shape()
        m.submodules.queue = queue = Queue(shape, depth=self.DEPTH)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        # A bundle is complete; its errors are found, then added up.
        packed = data.StructLayout(packets.SLOT)
        whole = Signal(data.ArrayLayout(packed, self.lanes), reset_less=True)
        found, summed = (Signal(shape, name=n, reset_less=True) for n in ("found", "summed"))
        fits, all_fit = Signal(4 * self.lanes, reset_less=True), Signal(reset_less=True)
        stages, good = Signal(3), Signal(init=1)
        arrives, enters = self.i.valid & self.i.ready, Signal()
        passes = stages[-1] & all_fit & good
        m.d.comb += [
            enters.eq(arrives & (have == words - 1)),
            queue.i.payload.eq(summed),
            queue.i.valid.eq(passes),
            left.eq(stages.any() | queue.o.valid),
        ]
        # All words of a bundle but its last.
        before = Signal((words - 1) * self.link, reset_less=True)
        bundle = Cat(before, self.i.payload.data)
        for lane, (now, slot) in enumerate(zip(whole, found, strict=True)):
            start = packets.SLOT_STRIDE * lane
            m.d.sync += now.eq(bundle[start : start + packed.size])
            m.d.sync += [slot[name].eq(now[name]) for name in packets.SLOT]
        m.d.sync += [
            stages.eq(Cat(enters, stages)),
            fits.eq(Cat(self._fits(lane, slot) for lane, slot in enumerate(whole))),
            summed.eq(found),
            all_fit.eq(fits.all()),
            self.empty.eq(~left & ~short & (have == 0)),
        ]
        # Places that no bundle has; one more may come before it is seen that there are few.
        places, freed = Signal(range(self.DEPTH), init=self.DEPTH - 1), Signal(2)
        m.d.sync += [
            freed.eq((self.o.valid & self.o.ready) + (stages[-1] & ~passes)),
            places.eq(places + freed - enters),
            self.i.ready.eq(places > 2),
        ]
        with m.If(passes):
            m.d.sync += self.count.eq(self.count + 1)
        with m.If(stages[-1] & ~all_fit & good):
            m.d.sync += [self.status.eq(Status.BAD_ADDRESS), good.eq(0)]
        with m.If(arrives):
            m.d.sync += [before.eq(bundle[self.link :]), have.eq(have + 1)]
            with m.If(have == words - 1):
                m.d.sync += have.eq(0)
            with m.Elif(self.i.payload.last):
                m.d.sync += [have.eq(0), short.eq(1)]
        # A cut packet is reported when all bundles before it have left.
        with m.If(short & ~left):
            m.d.sync += short.eq(0)
            with m.If(good):
                m.d.sync += [self.status.eq(Status.BAD_LENGTH), good.eq(0)]
        with m.If(self.start):
            m.d.sync += [self.status.eq(Status.OK), good.eq(1), self.count.eq(0)]
        return m

    def _fits(self, lane: int, slot: Any) -> Any:
        """Whether the agents of a slot exist, by rows, bank and kind: all of these bits are set."""
        known = Cat(
            slot.own < self.rows,
            slot.other < self.rows,
            slot.bank < self.lanes,
            ~slot.double | (slot.bank == lane),
        )
        return known | ~slot.valid.replicate(len(known))


class ReplyWriter(wiring.Component):
    """Replies to words, a cycle for each. They end in a queue, and none leaves unless the queue has
    room. That is known before, so one register enables each slice, to limit fan-out.

    Parameters
    ----------
    link: bits of a word. results: bits of an integer that follows a long reply; 0: none is long.

    Members
    -------
    i: stream of ``{reply, long: 1, results: RESULTS × signed}``, reply a `reply_layout`; none is
       taken in its first cycle
    o: stream of words of `link` bits
    """

    def __init__(self, *, link: int, results: int = 0) -> None:
        self.link, self.results = link, results
        integers = data.ArrayLayout(signed(max(1, results)), packets.RESULTS)
        layout = data.StructLayout({"reply": reply_layout(), "long": 1, "results": integers})
        super().__init__(
            {
                "i": In(stream.Signature(layout)),
                "o": Out(stream.Signature(word_layout(link))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        i, each, width = self.i.payload, self.link // packets.INTEGER, self.results
        short = -(-i.reply.as_value().shape().width // self.link)
        longer = packets.RESULTS // each if width else 0
        bits = Signal(short * self.link, reset_less=True)
        m.submodules.queue = queue = Queue(self.o.payload.shape())
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        # Words that are left: of the reply, whether one or none, and of all, whether one.
        first, one, none = Signal(range(short + 1)), Signal(), Signal(init=1)
        left, last = Signal(range(short + longer + 1)), Signal()
        empty, may_go, room = Signal(init=1), Signal(), Signal()
        goes = ~empty & may_go
        # Whether there is a reply is found far from here.
        seen = Signal()
        word = queue.i.payload
        m.d.comb += [
            self.i.ready.eq(seen),
            queue.i.valid.eq(goes),
            word.data.eq(bits),
            word.last.eq(last),
        ]
        waits = Mux(empty, ~seen, may_go & last)
        # One may have entered the queue in the cycle before, in this one, and in the next.
        m.d.sync += [
            seen.eq(empty & self.i.valid & ~seen),
            empty.eq(waits),
            may_go.eq(room),
            room.eq(queue.level < queue.depth - 3),
        ]
        with m.If(seen):
            m.d.sync += [
                first.eq(short),
                one.eq(0),  # a reply has two words at the least
                none.eq(0),
                left.eq(Mux(i.long, short + longer, short)),
                last.eq(0),
            ]
        with m.Elif(goes):
            m.d.sync += [
                first.eq(first - 1),
                one.eq(first == 2),
                none.eq(one | none),
                left.eq(left - 1),
                last.eq(left == 2),
            ]
        self._shift(m, platform, "reply", bits, i.reply.as_value(), self.link, (waits, room))
        if longer:
            results = Signal.like(i.results, reset_less=True)
            when = waits, room & ~empty & (none | (one & may_go))
            coming, step = i.results.as_value(), each * width
            self._shift(m, platform, "results", results.as_value(), coming, step, when)
            with m.If(none):
                for n in range(each):
                    m.d.comb += word.data.word_select(n, packets.INTEGER).eq(results[n])
        return m

    @staticmethod
    def _shift(
        m: Module, platform: Any, name: str, bits: Any, coming: Any, step: int, when: Any
    ) -> None:
        """`bits` are what is `coming` until it is a reply, then they move down; `when`: whether
        they will wait, or else move, in the next cycle. Words that are no reply are not counted, so
        separate registers can enable each slice of them."""
        following = Cat(bits[step:], C(0, step))
        parts = [slice(n, n + PART) for n in range(0, len(bits), PART)]
        waits, moves = when
        free, changes = (
            copies(m, value, len(parts), platform, name=f"{name}_{what}", init=1)
            for what, value in (("free", waits), ("changes", waits | moves))
        )
        for part, is_free, changing in zip(parts, free, changes, strict=True):
            with m.If(changing):
                new = Cat(coming, C(0, len(bits)))[part]
                m.d.sync += bits[part].eq(Mux(is_free, new, following[part]))
