"""The states of a round, read in the order of its packet."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh import packets
from tmesh.config import CoreConfig
from tmesh.packets import INTEGER, Command, Status

from tmesh_hw.engine.resident import place_layout, read_latency
from tmesh_hw.engine.words import word_layout

#: Bits of a tag.
TAG = 8 * packets.HEADER["tag"].itemsize


def round_layout(config: CoreConfig) -> data.StructLayout:
    """A round with all that it reads: `total` is the sum of own and others, `other` the last of
    them, `asked` a `tmesh.packets.ROUND`."""
    vector = data.ArrayLayout(signed(config.f + 2), 3)
    most = packets.ROUND["others"]
    return data.StructLayout(
        {
            "command": Command,
            "tag": TAG,
            "asked": data.StructLayout(packets.ROUND),
            "own_place": place_layout(config.rows),
            "other_place": place_layout(config.rows),
            "own": vector,
            "other": vector,
            "total": data.ArrayLayout(signed(config.f + 2 + most), 3),
        }
    )


class Gather(wiring.Component):
    """Takes the body of a round's packet and reads a state a cycle, but none that an earlier round
    has still to write.

    Parameters
    ----------
    config: the core configuration. pending: writes that earlier rounds may still have to do.

    Members
    -------
    start: ``{command, tag, place, valid: 1}``: the words of a round follow, unless it is an OBSERVE
    i: stream of words
    done, status, ended: the words are taken, or refused and nothing is done; whether the last word
       of the packet is among them
    read: ``{place, valid: 1}``: a state to read, again while it `waits`; r: its value,
       `read_latency` cycles later
    pending: ``{place, valid: 1}``: places that are still to be written
    waits: a state is waited for
    o: stream of rounds, see `round_layout`
    """

    def __init__(self, *, config: CoreConfig, pending: int) -> None:
        self.config = config
        place = place_layout(config.rows)
        target = data.StructLayout({"place": place, "valid": 1})
        start = {"command": Command, "tag": TAG, "place": place, "valid": 1}
        super().__init__(
            {
                "start": In(data.StructLayout(start)),
                "i": In(stream.Signature(word_layout(config.link))),
                "done": Out(1),
                "status": Out(Status),
                "ended": Out(1),
                "read": Out(target),
                "r": In(data.ArrayLayout(signed(config.f + 2), 3)),
                "pending": In(data.ArrayLayout(target, pending)),
                "waits": Out(1),
                "o": Out(stream.Signature(round_layout(config))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config, o = self.config, self.o.payload
        left = Signal(packets.ROUND["others"])
        wants = Signal()
        integer, there, take = self._integers(m, wants)
        short = ~there & self.ended
        asked = data.View(
            data.StructLayout(packets.ROUND), integer[: o.asked.as_value().shape().width]
        )
        row, bank = integer[: packets.ROW_BITS], integer[packets.ROW_BITS :]
        # Whether an agent exists is seen a cycle later, and said in the end.
        beyond, missing = Signal(), Signal()
        m.d.sync += missing.eq(missing | beyond)
        # A place is compared in one cycle and waits, if it must, in the next: until its round has
        # left, pending places stay, except for `valid`.
        coming, comparing = Signal.like(self.read), Signal(len(self.pending))
        stall, reads = Signal(), Signal()
        conflict = Cat(c & p.valid for c, p in zip(comparing, self.pending, strict=True)).any()
        m.d.comb += [
            stall.eq(self.read.valid & conflict),
            reads.eq(self.read.valid & ~conflict),
            self.waits.eq(stall),
        ]
        with m.If(~stall):
            m.d.sync += [
                self.read.eq(coming),
                comparing.eq(Cat(p.place == coming.place for p in self.pending)),
                coming.valid.eq(0),
            ]
        arrived = self._arriving(m, reads) & ~coming.valid & ~self.read.valid

        pair = (o.command == Command.INTERFERE) | (o.command == Command.EVOLVE)
        unknown = (o.command == Command.EVOLVE) & (asked.operator >= config.operators)
        # The status of the request; and of the whole packet.
        wrong, verdict = Signal(Status), Signal(Status)
        with m.If(wrong != Status.OK):
            m.d.comb += verdict.eq(wrong)
        with m.Elif(missing):
            m.d.comb += verdict.eq(Status.BAD_ADDRESS)
        with m.Elif((left != 0) | ~self.ended):
            m.d.comb += verdict.eq(Status.BAD_LENGTH)

        def read(row: Any, bank: Any) -> None:
            m.d.sync += [
                coming.place.row.eq(row),
                coming.place.bank.eq(bank),
                coming.valid.eq(1),
            ]

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [
                    o.command.eq(self.start.command),
                    o.tag.eq(self.start.tag),
                    o.own_place.eq(self.start.place),
                    o.asked.eq(0),
                    left.eq(0),
                    beyond.eq(0),
                    missing.eq(0),
                    wrong.eq(Status.OK),
                    self.ended.eq(self.start.command == Command.OBSERVE),
                ]
                with m.If(self.start.valid):
                    read(self.start.place.row, self.start.place.bank)
                    m.next = "ASKED"
                    with m.If(self.start.command == Command.OBSERVE):
                        m.next = "END"
            with m.State("ASKED"):
                m.d.comb += [wants.eq(1), take.eq(there)]
                m.d.sync += [o.asked.eq(asked), left.eq(asked.others)]
                with m.If(pair & (asked.others != 1)):
                    m.d.sync += wrong.eq(Status.BAD_VALUE)
                with m.Elif(unknown):
                    m.d.sync += wrong.eq(Status.BAD_ADDRESS)
                with m.Else():
                    m.d.sync += wrong.eq(Status.OK)
                with m.If(there):
                    m.next = "OTHERS"
                    with m.If(asked.others == 0):
                        m.next = "END"
            with m.State("OTHERS"):
                m.d.comb += wants.eq(1)
                m.d.sync += [o.other_place.row.eq(row), o.other_place.bank.eq(bank)]
                with m.If(short):
                    m.next = "END"
                with m.Elif(there & ~stall):
                    read(row, bank)
                    m.d.comb += take.eq(1)
                    m.d.sync += [
                        left.eq(left - 1),
                        beyond.eq((row >= config.rows) | (bank >= config.gossip_lanes)),
                    ]
                    with m.If(left == 1):
                        m.next = "END"
            with m.State("END"), m.If(arrived):
                m.d.sync += self.status.eq(verdict)
                m.next = "REFUSE"
                with m.If(verdict == Status.OK):
                    m.next = "OFFER"
            with m.State("REFUSE"):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
            with m.State("OFFER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
        return m

    def _integers(self, m: Module, wants: Any) -> tuple[Any, Any, Any]:
        """The next integer of the packet, where one `wants` it; whether it has arrived, and the
        signal that takes it."""
        link = self.config.link
        word, have, take = (
            Signal(link, reset_less=True),
            Signal(range(link // INTEGER + 1)),
            Signal(),
        )
        m.d.comb += self.i.ready.eq(wants & (have == 0) & ~self.ended)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                word.eq(self.i.payload.data),
                have.eq(link // INTEGER),
                self.ended.eq(self.i.payload.last),
            ]
        with m.Elif(take):
            m.d.sync += [word.eq(word >> INTEGER), have.eq(have - 1)]
        with m.If(self.start.valid):
            m.d.sync += have.eq(0)
        return word[:INTEGER], have != 0, take

    def _arriving(self, m: Module, reads: Any) -> Any:
        """Add up the states read, the first as own; whether all have arrived."""
        o, first = self.o.payload, Signal()
        coming = Signal(read_latency(self.config.gossip_lanes))
        m.d.sync += coming.eq(Cat(reads, coming))
        with m.If(self.start.valid):
            m.d.sync += first.eq(1)
        with m.If(coming[-1]):
            m.d.sync += first.eq(0)
            for n in range(3):
                m.d.sync += [
                    o.other[n].eq(self.r[n]),
                    o.total[n].eq(Mux(first, 0, o.total[n]) + self.r[n]),
                ]
                with m.If(first):
                    m.d.sync += o.own[n].eq(self.r[n])
        return ~coming.any()
