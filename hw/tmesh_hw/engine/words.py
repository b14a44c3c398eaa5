"""Between the words of a link and what they carry."""

from typing import Any

from amaranth import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh import packets
from tmesh.packets import Status

from tmesh_hw.blocks import StreamRegister
from tmesh_hw.blocks.stream_register import PART
from tmesh_hw.engine.bundle import slot_layout


def word_layout(link: int) -> data.StructLayout:
    """A word of a link of `link` bits; last: it ends its packet."""
    return data.StructLayout({"data": link, "last": 1})


def reply_layout() -> data.StructLayout:
    """The fields of `tmesh.packets.REPLY`, the body as four integers."""
    fields = {name: 8 * packets.REPLY[name].itemsize for name in packets.REPLY.names or ()}
    return data.StructLayout({**fields, "body": data.ArrayLayout(signed(packets.INTEGER), 4)})


class BundleReader(wiring.Component):
    """Words to bundles, until one is bad.

    Parameters
    ----------
    link: bits of a word. lanes: slots of a bundle. rows: vectors of a bank.

    Members
    -------
    i: stream of words. o: stream of bundles, see `Interlock`
    start: a packet begins: forget the last one
    status, count: OK, or why this bundle and all that follow are not passed on; how many were
    empty: nothing is left inside
    """

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
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        size = packets.bundle_bits(self.lanes)
        words = max(1, size // self.link)
        have, short, left = Signal(range(words)), Signal(), Signal()
        slots = self.o.payload.shape()
        # What is wrong with a bundle is found in one cycle, and added up in the next.
        m.submodules.checked = checked = StreamRegister(
            data.StructLayout({"slots": slots, "fits": 4 * self.lanes})
        )
        m.submodules.summed = summed = StreamRegister(
            data.StructLayout({"slots": slots, "fits": 1})
        )
        into, out_of, good = checked.i.payload, summed.o, Signal(init=1)
        fits = out_of.payload.fits
        m.d.comb += [
            self.i.ready.eq(checked.i.ready),
            checked.i.valid.eq(self.i.valid & (have == words - 1)),
            checked.o.ready.eq(summed.i.ready),
            summed.i.valid.eq(checked.o.valid),
            summed.i.payload.slots.eq(checked.o.payload.slots),
            summed.i.payload.fits.eq(checked.o.payload.fits.all()),
            self.o.payload.eq(out_of.payload.slots),
            self.o.valid.eq(out_of.valid & fits & good),
            out_of.ready.eq(self.o.ready | ~fits | ~good),
            left.eq(checked.o.valid | out_of.valid),
            self.empty.eq(~left & ~short & (have == 0)),
        ]
        # All words of a bundle but its last.
        before = Signal((words - 1) * self.link, reset_less=True)
        bundle = Cat(before, self.i.payload.data)
        m.d.comb += into.fits.eq(self._unpack(m, bundle, into.slots))
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.count.eq(self.count + 1)
        with m.If(out_of.valid & ~fits & good):
            m.d.sync += [self.status.eq(Status.BAD_ADDRESS), good.eq(0)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [before.eq(bundle[self.link :]), have.eq(have + 1)]
            with m.If(have == words - 1):
                m.d.sync += have.eq(0)
            with m.Elif(self.i.payload.last):
                m.d.sync += [have.eq(0), short.eq(1)]
        # What is cut short is said when all before it has gone on.
        with m.If(short & ~left):
            m.d.sync += short.eq(0)
            with m.If(good):
                m.d.sync += [self.status.eq(Status.BAD_LENGTH), good.eq(0)]
        with m.If(self.start):
            m.d.sync += [self.status.eq(Status.OK), good.eq(1), self.count.eq(0)]
        return m

    def _unpack(self, m: Module, bundle: Any, slots: Any) -> Any:
        """Fill the slots; whether the agents of each exist, by rows, bank and kind."""
        packed = data.StructLayout(packets.SLOT)
        fits = []
        for lane, slot in enumerate(slots):
            start = packets.SLOT_STRIDE * lane
            field = data.View(packed, bundle[start : start + packed.size])
            m.d.comb += [slot[name].eq(field[name]) for name in packets.SLOT]
            known = Cat(
                field.own < self.rows,
                field.other < self.rows,
                field.bank < self.lanes,
                ~field.double | (field.bank == lane),
            )
            fits.append(known | ~field.valid.replicate(len(known)))
        return Cat(fits)


class ReplyWriter(wiring.Component):
    """Replies to words.

    Parameters
    ----------
    link: bits of a word. results: bits of an integer that follows a long reply; 0: none is long.

    Members
    -------
    i: stream of ``{reply, long: 1, results: RESULTS × signed}``, reply a `reply_layout`
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
        first, rest = Signal(range(short + 1)), Signal(range(longer + 1))
        empty = Signal(init=1, attrs={"keep": 1})
        m.d.comb += [
            self.i.ready.eq(empty),
            self.o.valid.eq(~empty),
            self.o.payload.data.eq(bits),
            self.o.payload.last.eq(first + rest == 1),
        ]
        waits = Mux(empty, ~self.i.valid, self.o.ready & self.o.payload.last)
        m.d.sync += empty.eq(waits)
        with m.If(empty & self.i.valid):
            m.d.sync += [first.eq(short), rest.eq(Mux(i.long, longer, 0))]
        self._shift(m, bits, i.reply.as_value(), self.link, waits, self.o.ready)
        with m.If(~empty & self.o.ready):
            with m.If(first != 0):
                m.d.sync += first.eq(first - 1)
            with m.Else():
                m.d.sync += rest.eq(rest - 1)
        if longer:
            results = Signal.like(i.results, reset_less=True)
            further = self.o.ready & (first == 0)
            self._shift(m, results.as_value(), i.results.as_value(), each * width, waits, further)
            with m.If(first == 0):
                for n in range(each):
                    word = self.o.payload.data.word_select(n, packets.INTEGER)
                    m.d.comb += word.eq(results[n])
        return m

    @staticmethod
    def _shift(m: Module, bits: Any, coming: Any, step: int, waits: Any, moves: Any) -> None:
        """`bits` are what is `coming` until it is a reply, then they move down. What is no reply is
        not counted, so that a register that stands apart enables each part of them."""
        following = Cat(bits[step:], C(0, step))
        for n in range(0, len(bits), PART):
            free = Signal(name=f"free{n}", init=1, attrs={"keep": 1})
            m.d.sync += free.eq(waits)
            part = slice(n, n + PART)
            with m.If(free):
                m.d.sync += bits[part].eq(Cat(coming, C(0, len(bits)))[part])
            with m.Elif(moves):
                m.d.sync += bits[part].eq(following[part])
