"""The core: gossip datapath and eigensolver behind one command stream."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.config import CoreConfig
from tmesh.golden import fixed
from tmesh.numbers import IntArray
from tmesh.opcodes import OPCODE_BITS, SPECTRAL, Opcode

from tmesh_hw.blocks import Queue, StreamRegister
from tmesh_hw.engine.eigensystem import Eigensystem
from tmesh_hw.engine.gossip import GossipDatapath
from tmesh_hw.numbers import matrix, one_of


def core_layouts(config: CoreConfig) -> tuple[data.StructLayout, data.StructLayout]:
    """Payloads of a command and of a reply."""
    width = config.f + 2
    command = {"opcode": OPCODE_BITS, "u": matrix(4, width), "x": matrix(4, width)}
    reply = {
        "y": matrix(4, width),
        "weight": signed(width),
        "values": data.ArrayLayout(signed(width), 4),
        "entropy": signed(width),
        "saturated": 1,
        "vanished": 1,
    }
    return data.StructLayout(command), data.StructLayout(reply)


class Core(wiring.Component):
    """Every `Opcode` of its configuration; equals `tmesh.golden.fixed.execute`.

    Gossip commands go to `GossipDatapath`, the others to `Eigensystem`; both work at the same time,
    and replies keep the order of the commands. Nothing is checked here: the host does not send
    an opcode of a block that the configuration lacks, or an unknown one.

    Parameters
    ----------
    config: the core configuration.

    Members
    -------
    i: stream of ``{opcode, u: 4×4, x: 4×4 Complex(f+2)}``
    o: stream of ``{y: 4×4 Complex(f+2), weight: signed(f+2), values: 4 × signed(f+2),
       entropy: signed(f+2), saturated: 1, vanished: 1}``
    """

    #: Commands that may be in progress.
    DEPTH = 64

    def __init__(self, *, config: CoreConfig) -> None:
        self.config = config
        command, reply = core_layouts(config)
        super().__init__({"i": In(stream.Signature(command)), "o": Out(stream.Signature(reply))})

    def model(self, opcode: Opcode, u: IntArray, x: IntArray) -> fixed.Reply:
        """Integers (..., 4, 4, 2) in; the exact reply."""
        return fixed.execute(opcode, u, x, self.config.f)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.gossip = gossip = GossipDatapath(config=self.config)
        i, o = self.i, self.o
        m.d.comb += [
            gossip.i.payload.opcode.eq(i.payload.opcode),
            gossip.i.payload.u.eq(i.payload.u),
            gossip.i.payload.x.eq(i.payload.x),
        ]
        if not self.config.cordics:
            m.d.comb += [
                gossip.i.valid.eq(i.valid),
                i.ready.eq(gossip.i.ready),
                o.valid.eq(gossip.o.valid),
                gossip.o.ready.eq(o.ready),
            ]
            # The rest stays zero.
            m.d.comb += [o.payload[n].eq(gossip.o.payload[n]) for n, _ in gossip.o.payload.shape()]
            return m

        m.submodules.eigensystem = eigen = Eigensystem(config=self.config)
        # For each command in progress, whose reply is next.
        m.submodules.order = order = Queue(1, depth=self.DEPTH)
        m.submodules.turn = turn = StreamRegister(1)
        wiring.connect(m, order.o, turn.i)
        # The same, kept apart: it selects all bits of a reply.
        is_eigen = Signal(attrs={"keep": 1}, reset_less=True)
        with m.If(turn.i.ready):
            m.d.sync += is_eigen.eq(order.o.payload)
        # Which way a command goes is decided a cycle after it came, its order written in another,
        # and the next one not taken before that.
        asked, to_eigen = Signal(), Signal()
        m.d.sync += [
            asked.eq(i.valid & ~i.ready & ~order.i.valid),
            to_eigen.eq(Cat(*(i.payload.opcode == code for code in SPECTRAL)).any()),
            order.i.valid.eq(i.valid & i.ready),
            order.i.payload.eq(to_eigen),
        ]
        m.d.comb += [
            eigen.i.payload.opcode.eq(i.payload.opcode),
            eigen.i.payload.x.eq(i.payload.x),
            gossip.i.valid.eq(asked & order.i.ready & ~to_eigen),
            eigen.i.valid.eq(asked & order.i.ready & to_eigen),
            i.ready.eq(asked & order.i.ready & Mux(to_eigen, eigen.i.ready, gossip.i.ready)),
            turn.o.ready.eq(o.valid & o.ready),
            o.valid.eq(turn.o.valid & Mux(turn.o.payload, eigen.o.valid, gossip.o.valid)),
            eigen.o.ready.eq(turn.o.valid & turn.o.payload & o.ready),
            gossip.o.ready.eq(turn.o.valid & ~turn.o.payload & o.ready),
        ]
        for name, _ in o.payload.shape():
            parts = [
                (turn, payload[name])
                for payload, turn in ((eigen.o.payload, is_eigen), (gossip.o.payload, ~is_eigen))
                if name in dict(payload.shape())
            ]
            m.d.comb += Value.cast(o.payload[name]).eq(one_of(*zip(*parts, strict=True)))
        return m
