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

    Fractions (`Gather`, `Weigh`) go to `config.rounds` × `Quotient` in turn. Vectors are written
    when their turn has come; until then nobody reads what they will replace. Then follow the
    entropy and the reply.

    Parameters
    ----------
    config: the core configuration.

    Members
    -------
    start, i, done, status, ended, read, r, waits: see `Gather`
    address, coefficient: see `Weigh`
    write: ``{place, r: 3 × signed(f+2), valid: 1}``
    idle: no round was under way in the cycle before
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

        quotients = [
            Quotient(f=self.config.f, carry=ticket_layout(self.config))
            for _ in range(self.config.rounds)
        ]
        # The turn of a result, and once more to choose its bits.
        into, out_of, chosen = (
            Signal(range(len(quotients)), name=name, attrs={"keep": 1})
            for name in ("into", "out_of", "chosen")
        )
        self._done = Signal(quotients[0].o.payload.shape())
        self._done_valid, self._take = Signal(), Signal()
        for k, (quotient, target) in enumerate(zip(quotients, gather.pending, strict=True)):
            m.submodules[f"quotient{k}"] = quotient
            m.d.comb += quotient.i.payload.eq(weigh.o.payload)
            with m.If(into == k):
                m.d.comb += [
                    quotient.i.valid.eq(weigh.o.valid),
                    weigh.o.ready.eq(quotient.i.ready),
                ]
            with m.If(chosen == k):
                m.d.comb += self._done.eq(quotient.o.payload)
            with m.If(out_of == k):
                m.d.comb += [
                    self._done_valid.eq(quotient.o.valid),
                    quotient.o.ready.eq(self._take),
                ]
            # It is written a cycle after it is taken.
            taken = Signal(name=f"taken{k}")
            m.d.sync += taken.eq(quotient.o.valid & quotient.o.ready)
            with m.If(taken):
                m.d.sync += target.valid.eq(0)
            with m.If(quotient.i.valid & quotient.i.ready):
                m.d.sync += [
                    target.valid.eq(weigh.o.payload.carry.writes),
                    target.place.eq(weigh.o.payload.carry.place),
                ]
        last = len(quotients) - 1
        accepted, under_way = weigh.o.valid & weigh.o.ready, Signal(range(len(quotients) + 1))
        for turn, moves in ((into, accepted), (out_of, self._take), (chosen, self._take)):
            with m.If(moves):
                m.d.sync += turn.eq(Mux(turn == last, 0, turn + 1))
        m.d.sync += under_way.eq(under_way + accepted - self._take)
        finishing = self._finish(m)
        m.d.sync += self.idle.eq((under_way == 0) & ~finishing & ~gather.o.valid)
        return m

    def _finish(self, m: Module) -> Any:
        """Write, observe and answer, one after another; whether that is going on."""
        f = self.config.f
        fraction = CordicFormat(f).fraction
        extra = fraction - f - 1
        m.submodules.root = root = SquareRoot(width=f + 2 + extra)
        m.submodules.entropy = entropy = Entropy(f=f, n=2)
        done, ticket = Signal.like(self._done), Signal.like(self._done.carry)
        m.d.comb += ticket.eq(done.carry)
        arriving, saturated = self._done.carry, Signal()
        length = Signal(f + 2 + extra)
        z = self._done.r[2]
        m.d.comb += [
            root.i.payload.n.eq(ticket.weight << (2 * extra)),
            entropy.i.payload["values"][0].eq((1 << (fraction - 1)) - length),
            entropy.i.payload["values"][1].eq((1 << (fraction - 1)) + length),
            self.write.place.eq(arriving.place),
            self.write.r.eq(self._done.r),
            self.write.valid.eq(self._take & arriving.writes),
            self.saturates.eq(self.write.valid & self._done.saturated),
        ]
        with m.FSM() as fsm:
            with m.State("TAKE"), m.If(self._done_valid):
                m.d.comb += self._take.eq(1)
                m.d.sync += [
                    done.eq(self._done),
                    length.eq(Mux(z < 0, -z, z) << extra),
                    saturated.eq(saturated | self._done.saturated),
                ]
                with m.If(arriving.answers), m.Switch(arriving.command):
                    with m.Case(Command.OBSERVE):
                        m.next = "ROOT"
                    with m.Case(Command.UPDATE):
                        m.next = "ENTROPY"
                    with m.Default():
                        m.next = "REPLY"
            with m.State("ROOT"):
                m.d.comb += root.i.valid.eq(1)
                with m.If(root.i.ready):
                    m.next = "LENGTH"
            with m.State("LENGTH"), m.If(root.o.valid):
                m.d.comb += root.o.ready.eq(1)
                m.d.sync += length.eq(root.o.payload.root)
                m.next = "ENTROPY"
            with m.State("ENTROPY"):
                m.d.comb += entropy.i.valid.eq(1)
                with m.If(entropy.i.ready):
                    m.next = "REPLY"
            with m.State("REPLY"):
                spectral = (ticket.command == Command.OBSERVE) | (ticket.command == Command.UPDATE)
                m.d.comb += [
                    self.o.valid.eq(~spectral | entropy.o.valid),
                    entropy.o.ready.eq(self.o.ready & spectral),
                ]
                with m.If(self.o.valid & self.o.ready):
                    m.d.sync += saturated.eq(0)
                    m.next = "TAKE"
        self._answer(m, done, saturated, length, entropy.o.payload.entropy)
        return ~fsm.ongoing("TAKE")

    def _answer(self, m: Module, done: Any, saturated: Any, length: Any, entropy: Any) -> None:
        """The fields of the reply."""
        f, reply, ticket = self.config.f, self.o.payload, done.carry
        fraction = CordicFormat(f).fraction
        vector = [*done.r]
        m.d.comb += reply.tag.eq(ticket.tag)
        with m.If(ticket.vanished):
            m.d.comb += reply.status.eq(Status.VANISHED)
        with m.Else():
            m.d.comb += reply.flags.eq(Mux(saturated, SATURATED, 0))
            with m.Switch(ticket.command):
                with m.Case(Command.UPDATE):
                    self._body(m, *vector, entropy)
                    m.d.comb += reply.value.eq(done.r[2] < 0)
                with m.Case(Command.INTERFERE):
                    self._body(m, *vector, round_shift(ticket.weight, f + 2))
                with m.Case(Command.EVOLVE):
                    weight, _ = saturate(round_shift(ticket.weight, f + 1), f + 2)
                    self._body(m, *vector, weight)
                with m.Case(Command.OBSERVE):
                    half = 1 << (fraction - 1)
                    shift = fraction - f
                    low, high = (round_shift(x, shift) for x in (half - length, half + length))
                    purity = round_shift(ticket.weight + (1 << (2 * f)), f + 1)
                    self._body(m, low, high, entropy, purity)
                    diagonal = Signal(signed(f + 3))
                    m.d.comb += [
                        diagonal.eq(round_shift(ticket.z + (1 << f), 1)),
                        reply.value.eq(diagonal),
                    ]

    def _body(self, m: Module, *values: Any) -> None:
        for n, value in enumerate(values):
            m.d.comb += self.o.payload.body[n].eq(value)
