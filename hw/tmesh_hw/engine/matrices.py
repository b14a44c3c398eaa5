"""Commands on matrices in the packet, for an engine that has a core for them."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh import packets
from tmesh.config import CoreConfig
from tmesh.golden import fixed
from tmesh.numbers import IntArray
from tmesh.opcodes import Opcode
from tmesh.packets import SATURATED, Status

from tmesh_hw.blocks import Queue, StreamRegister
from tmesh_hw.engine.core import Core, core_layouts
from tmesh_hw.engine.gather import TAG
from tmesh_hw.engine.words import reply_layout


def answer_layout(config: CoreConfig) -> data.StructLayout:
    """A reply and the integers behind it."""
    results = data.ArrayLayout(signed(config.f + 2), packets.RESULTS)
    return data.StructLayout({"reply": reply_layout(), "results": results})


class Matrices(wiring.Component):
    """`Core` between packets: as many commands as it takes are in progress; answers in order.

    Parameters
    ----------
    config: the core configuration.

    Members
    -------
    i: stream of ``{tag, command}``, command of `core_layouts`
    idle: no command is in progress
    saturates: an answer that saturated is taken
    o: stream of ``{reply, results: 36 × signed(f+2)}``: eigenvalues and the matrix, see
       `ReplyWriter`
    """

    def __init__(self, *, config: CoreConfig) -> None:
        self.config = config
        command, _ = core_layouts(config)
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({"tag": TAG, "command": command}))),
                "idle": Out(1, init=1),
                "saturates": Out(1),
                "o": Out(stream.Signature(answer_layout(config))),
            }
        )

    def model(self, opcode: Opcode, u: IntArray, x: IntArray) -> fixed.Reply:
        """Integers (..., 4, 4, 2) in; the exact reply."""
        return fixed.execute(opcode, u, x, self.config.f)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.core = core = Core(config=self.config)
        m.submodules.tags = tags = Queue(TAG, depth=Core.DEPTH)
        m.submodules.tag = tag = StreamRegister(TAG)
        m.submodules.entry = entry = StreamRegister(self.i.payload.command.shape(), every=3)
        # A command is taken together with its tag.
        wiring.connect(m, tags.o, tag.i)
        accepted, answered = Signal(), Signal()
        under_way = Signal(range(Core.DEPTH + 4))
        answer, reply = core.o.payload, self.o.payload.reply
        m.d.comb += [
            core.i.payload.eq(entry.o.payload),
            core.i.valid.eq(entry.o.valid),
            entry.o.ready.eq(core.i.ready),
            self.i.ready.eq(entry.i.ready & tags.i.ready),
            entry.i.valid.eq(self.i.valid & tags.i.ready),
            entry.i.payload.eq(self.i.payload.command),
            tags.i.valid.eq(self.i.valid & entry.i.ready),
            tags.i.payload.eq(self.i.payload.tag),
            self.o.valid.eq(core.o.valid & tag.o.valid),
            core.o.ready.eq(self.o.ready & tag.o.valid),
            tag.o.ready.eq(self.o.ready & core.o.valid),
            accepted.eq(self.i.valid & self.i.ready),
            answered.eq(self.o.valid & self.o.ready),
            self.saturates.eq(answered & answer.saturated),
            reply.status.eq(Mux(answer.vanished, Status.VANISHED, Status.OK)),
            reply.flags.eq(Mux(answer.saturated, SATURATED, 0)),
            reply.tag.eq(tag.o.payload),
            reply.body[0].eq(answer.weight),
            reply.body[1].eq(answer.entropy),
            self.o.payload.results.eq(Cat(answer["values"].as_value(), answer.y.as_value())),
        ]
        remains = Mux(answered, under_way != 1, under_way != 0)
        m.d.sync += [
            under_way.eq(under_way + accepted - answered),
            self.idle.eq(~accepted & ~remains),
        ]
        return m
