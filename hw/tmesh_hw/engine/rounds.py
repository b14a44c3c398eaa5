"""Whole rounds of agents, several at a time."""

from typing import Any

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.config import CoreConfig
from tmesh.golden.cordic import CordicFormat
from tmesh.packets import SATURATED, Command, Status

from tmesh_hw.blocks import Entropy, Quotient, SquareRoot
from tmesh_hw.engine.gather import Gather
from tmesh_hw.engine.resident import place_layout
from tmesh_hw.engine.weigh import Weigh, ticket_layout
from tmesh_hw.engine.words import reply_layout, word_layout
from tmesh_hw.numbers import round_shift, saturate


class Rounds(wiring.Component):
    """UPDATE, INTERFERE, EVOLVE and OBSERVE, answered in order.

    Fractions (`Gather`, `Weigh`) go to a `Quotient`, `config.rounds` of them at once. Vectors are
    written in turn; until then no round reads the states that they will replace. Then follow the
    entropy and the reply.

    Parameters
    ----------
    config: the core configuration.

    Members
    -------
    start, i, done, status, ended, read, r, waits: see `Gather`
    address, coefficient: see `Weigh`
    write: ``{place, r: 3 × signed(f+2), valid: 1}``
    idle: no round was in progress in the cycle before
    saturates: a vector that saturated is written
    o: stream of replies, see `ReplyWriter`
    """

    def __init__(self, *, config: CoreConfig) -> None:
        self.config = config
        self._gather = Gather(config=config, pending=config.rounds)
        self._weigh = Weigh(config=config)
        gather, weigh = self._gather.signature.members, self._weigh.signature.members
        vector = data.ArrayLayout(signed(config.f + 2), 3)
        write = {"place": place_layout(config.rows), "r": vector, "valid": 1}
        passed = ("start", "done", "status", "ended", "read", "r", "waits")
        super().__init__(
            {
                "i": In(stream.Signature(word_layout(config.link))),
                **{name: gather[name] for name in passed},
                **{name: weigh[name] for name in ("address", "coefficient")},
                "write": Out(data.StructLayout(write)),
                "idle": Out(1, init=1),
                "saturates": Out(1),
                "o": Out(stream.Signature(reply_layout())),
            }
        )
        self._passed = passed

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.gather = gather = self._gather
        m.submodules.weigh = weigh = self._weigh
        wiring.connect(m, wiring.flipped(self.i), gather.i)
        wiring.connect(m, gather.o, weigh.i)
        for part, names in ((gather, self._passed), (weigh, ("address", "coefficient"))):
            for name in names:
                inner, outer = getattr(part, name), getattr(self, name)
                into = part.signature.members[name].flow == In
                m.d.comb += inner.eq(outer) if into else outer.eq(inner)

        m.submodules.quotient = self._quotient = quotient = Quotient(
            f=self.config.f, vectors=self.config.rounds, carry=ticket_layout(self.config)
        )
        wiring.connect(m, weigh.o, quotient.i)
        enters, leaves = (s.valid & s.ready for s in (quotient.i, quotient.o))
        into, out_of = (Signal(len(gather.pending), name=n, init=1) for n in ("into", "out_of"))
        under_way = Signal(range(len(gather.pending) + 1))
        ticket = weigh.o.payload.carry
        for k, target in enumerate(gather.pending):
            # It is written a cycle after it is taken.
            taken = Signal(name=f"taken{k}")
            m.d.sync += taken.eq(leaves & out_of[k])
            with m.If(taken):
                m.d.sync += target.valid.eq(0)
            with m.If(enters & into[k]):
                m.d.sync += [target.valid.eq(ticket.writes), target.place.eq(ticket.place)]
        for turn, moves in ((into, enters), (out_of, leaves)):
            with m.If(moves):
                m.d.sync += turn.eq(turn.rotate_left(1))
        m.d.sync += under_way.eq(under_way + enters - leaves)
        finishing = self._finish(m)
        m.d.sync += self.idle.eq((under_way == 0) & ~finishing & ~gather.o.valid)
        return m

    def _finish(self, m: Module) -> Any:
        """Write, observe and answer, one after another; whether that is going on."""
        f, o = self.config.f, self._quotient.o
        fraction = CordicFormat(f).fraction
        extra, half = fraction - f - 1, 1 << (fraction - 1)
        m.submodules.root = root = SquareRoot(width=f + 2 + extra)
        m.submodules.entropy = entropy = Entropy(f=f, n=2)
        done, saturated = Signal(o.payload.shape(), reset_less=True), Signal()
        arriving, ticket, takes = o.payload.carry, done.carry, Signal()
        kinds = Command.OBSERVE, Command.UPDATE, Command.INTERFERE
        observing, updating, _ = self._kinds = [Signal(name=kind.name.lower()) for kind in kinds]
        length = Signal(f + 2 + extra, reset_less=True)
        z = done.r[2]
        m.d.comb += [
            root.i.payload.n.eq(ticket.weight << (2 * extra)),
            entropy.i.payload["values"][0].eq(half - length),
            entropy.i.payload["values"][1].eq(half + length),
            self.write.place.eq(arriving.place),
            self.write.r.eq(o.payload.r),
            self.write.valid.eq(takes & arriving.writes),
            self.saturates.eq(self.write.valid & o.payload.saturated),
            takes.eq(o.valid & o.ready),
        ]
        # Whether a vector is taken; two registers, since what is wide hangs on it.
        taking, keeps = (Signal(name=n, init=1, attrs={"keep": 1}) for n in ("taking", "keeps"))
        m.d.comb += o.ready.eq(taking)
        with m.If(keeps):
            m.d.sync += done.eq(o.payload)
            m.d.sync += [
                kind.eq(arriving.command == command)
                for kind, command in zip(self._kinds, kinds, strict=True)
            ]
        with m.FSM():
            with m.State("TAKE"), m.If(takes):
                m.d.sync += saturated.eq(saturated | o.payload.saturated)
                with m.If(arriving.answers):
                    m.d.sync += [taking.eq(0), keeps.eq(0)]
                    m.next = "LENGTH"
            with m.State("LENGTH"):
                m.d.sync += length.eq(Mux(z < 0, -z, z) << extra)
                with m.If(observing):
                    m.d.comb += root.i.valid.eq(1)
                    with m.If(root.i.ready):
                        m.next = "ROOT"
                with m.Elif(updating):
                    m.next = "ENTROPY"
                with m.Else():
                    m.next = "FIGURE"
            with m.State("ROOT"), m.If(root.o.valid):
                m.d.comb += root.o.ready.eq(1)
                m.d.sync += length.eq(root.o.payload.root)
                m.next = "ENTROPY"
            with m.State("ENTROPY"):
                m.d.comb += entropy.i.valid.eq(1)
                with m.If(entropy.i.ready):
                    m.next = "REPLY"
            with m.State("FIGURE"):
                m.next = "REPLY"
            with m.State("REPLY"):
                spectral = observing | updating
                m.d.comb += [
                    self.o.valid.eq(~spectral | entropy.o.valid),
                    entropy.o.ready.eq(self.o.ready & spectral),
                ]
                with m.If(self.o.valid & self.o.ready):
                    m.d.sync += [saturated.eq(0), taking.eq(1), keeps.eq(1)]
                    m.next = "TAKE"
        finishing = ~taking
        with m.If(finishing):
            self._answer(m, done, length)
        reply, answer = self.o.payload, entropy.o.payload.entropy
        m.d.comb += [
            reply.tag.eq(ticket.tag),
            reply.status.eq(Mux(ticket.vanished, Status.VANISHED, Status.OK)),
            reply.flags.eq(Mux(saturated & ~ticket.vanished, SATURATED, 0)),
            reply.value.eq(self._value),
            *(body.eq(value) for body, value in zip(reply.body, self._first, strict=False)),
            reply.body[2].eq(Mux(observing, answer, z)),
            reply.body[3].eq(Mux(updating, answer, self._figure)),
        ]
        return finishing

    def _answer(self, m: Module, done: Any, length: Any) -> None:
        """Figures that are rounded for the reply, in two cycles, so they arrive with the entropy. ½
        is added behind the rounding, which it does not change. A vanished vector gives 0."""
        f, ticket = self.config.f, done.carry
        half, shift = 1 << (f - 1), CordicFormat(f).fraction - f
        weight, visibility = (
            Signal(len(ticket.weight), name=name, reset_less=True)
            for name in ("weight", "visibility")
        )
        z = Signal(signed(f + 2), reset_less=True)
        rounded = Signal(f + 2, reset_less=True)
        # States are not checked: |r|² may be 12, for which the purity is 6½.
        self._figure = Signal(signed(f + 4), reset_less=True)
        self._first = [Signal(signed(f + 3), name=f"first{n}", reset_less=True) for n in range(2)]
        self._value = Signal(signed(f + 3), reset_less=True)
        m.d.sync += [
            weight.eq(round_shift(ticket.weight, f + 1)),
            visibility.eq(round_shift(ticket.weight, f + 2)),
            z.eq(round_shift(ticket.z, 1)),
            rounded.eq(round_shift(length, shift)),
            self._value.eq(0),
            *(first.eq(done.r[n]) for n, first in enumerate(self._first)),
        ]
        observing, updating, interfering = self._kinds
        with m.If(observing):
            m.d.sync += [
                self._figure.eq(half + weight),
                self._value.eq(half + z),
                self._first[0].eq(half - rounded),
                self._first[1].eq(half + rounded),
            ]
        with m.Elif(updating):
            m.d.sync += self._value.eq(done.r[2] < 0)
        with m.Else():
            evolved, _ = saturate(weight, f + 2)
            m.d.sync += self._figure.eq(Mux(interfering, visibility, evolved))
            with m.If(ticket.vanished):
                m.d.sync += [done.r.eq(0), self._figure.eq(0)]
                m.d.sync += [first.eq(0) for first in self._first]
