"""The core: gossip datapath and eigensolver behind one command stream."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from tmesh.config import CoreConfig
from tmesh.golden import fixed
from tmesh.numbers import IntArray
from tmesh.opcodes import OPCODE_BITS, SPECTRAL, Opcode

from tmesh_hw.engine.eigensystem import Eigensystem
from tmesh_hw.engine.gossip import GossipDatapath
from tmesh_hw.numbers import matrix


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

    #: Commands that may be under way.
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
            self._reply(m, gossip.o.payload)
            return m

        m.submodules.eigensystem = eigen = Eigensystem(config=self.config)
        # For each command under way, whose reply is next.
        m.submodules.order = order = SyncFIFOBuffered(width=1, depth=self.DEPTH)
        to_eigen = Signal()
        m.d.comb += [
            to_eigen.eq(Cat(*(i.payload.opcode == code for code in SPECTRAL)).any()),
            eigen.i.payload.opcode.eq(i.payload.opcode),
            eigen.i.payload.x.eq(i.payload.x),
            gossip.i.valid.eq(i.valid & order.w_rdy & ~to_eigen),
            eigen.i.valid.eq(i.valid & order.w_rdy & to_eigen),
            i.ready.eq(order.w_rdy & Mux(to_eigen, eigen.i.ready, gossip.i.ready)),
            order.w_en.eq(i.valid & i.ready),
            order.w_data.eq(to_eigen),
            order.r_en.eq(o.valid & o.ready),
        ]
        with m.If(order.r_data):
            m.d.comb += [
                o.valid.eq(order.r_rdy & eigen.o.valid),
                eigen.o.ready.eq(order.r_rdy & o.ready),
            ]
            self._reply(m, eigen.o.payload)
        with m.Else():
            m.d.comb += [
                o.valid.eq(order.r_rdy & gossip.o.valid),
                gossip.o.ready.eq(order.r_rdy & o.ready),
            ]
            self._reply(m, gossip.o.payload)
        return m

    def _reply(self, m: Module, payload: Any) -> None:
        """Copy what `payload` has; the rest stays zero."""
        for name, _ in payload.shape():
            m.d.comb += self.o.payload[name].eq(payload[name])
