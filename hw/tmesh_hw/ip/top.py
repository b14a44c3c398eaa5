"""The top: an engine between AXI4-Stream and AXI4-Lite."""

import dataclasses
from typing import Any

from amaranth import Const, Elaboratable, Module, Mux, ResetInserter, Signal
from amaranth.lib.wiring import In
from tmesh import packets
from tmesh.config import CoreConfig

from tmesh_hw.axi import add_axi_reset
from tmesh_hw.engine import Engine, MicrocodedEngine
from tmesh_hw.ip.registers import ADDRESS_BITS, MAGIC, AxiLiteRegisters


@dataclasses.dataclass(frozen=True)
class Port:
    """A port of the top."""

    name: str
    width: int
    output: bool
    meaning: str


def ports(config: CoreConfig) -> list[Port]:
    """All ports of the top of a configuration."""
    streams = [
        Port(f"{prefix}_t{name}", width, output != (name == "ready"), meaning)
        for prefix, output, what in (("s_axis", False, "command"), ("m_axis", True, "reply"))
        for name, width, meaning in (
            ("data", config.link, f"a word of a {what}, little-endian"),
            ("last", 1, f"the word ends its {what}"),
            ("valid", 1, "a word is offered"),
            ("ready", 1, "the word is taken"),
        )
    ]
    channels: dict[str, tuple[int, bool, str]] = {
        "awaddr": (ADDRESS_BITS, False, "write address, in bytes"),
        "awvalid": (1, False, "a write address is offered"),
        "awready": (1, True, "the address is taken, with its data"),
        "wdata": (32, False, "data to write"),
        "wstrb": (4, False, "bytes of the data that count"),
        "wvalid": (1, False, "data are offered"),
        "wready": (1, True, "the data are taken, with their address"),
        "bresp": (2, True, "response of the write: OKAY or SLVERR"),
        "bvalid": (1, True, "the write has ended"),
        "bready": (1, False, "the response is taken"),
        "araddr": (ADDRESS_BITS, False, "read address, in bytes"),
        "arvalid": (1, False, "a read address is offered"),
        "arready": (1, True, "the address is taken"),
        "rdata": (32, True, "data read"),
        "rresp": (2, True, "response of the read: OKAY or SLVERR"),
        "rvalid": (1, True, "the read has ended"),
        "rready": (1, False, "the data are taken"),
    }
    return [
        Port("aclk", 1, False, "clock of everything, rising edge"),
        Port("aresetn", 1, False, "reset, low: falls at any time, rises with the clock"),
        *streams,
        *(Port(f"s_axil_{name}", *rest) for name, rest in channels.items()),
    ]


class IpTop(Elaboratable):
    """An engine behind ``s_axis_*`` (commands) and ``m_axis_*`` (replies), the packets of
    `tmesh.packets`, with `REGISTERS` on ``s_axil_*``.

    Words that come while software holds the engine in reset are taken and forgotten. A reply of
    which a word, but not the last, was offered ends with one more, zero. A reply whose last word
    was offered still comes. Neither is counted, and the engine is held until both have gone.
    """

    def __init__(self, engine: Engine | MicrocodedEngine) -> None:
        self.engine = engine
        self.signals = {
            port.name: Signal(port.width, name=port.name) for port in ports(engine.config)
        }

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        port = self.signals
        reset = add_axi_reset(m, port["aclk"], port["aresetn"])

        m.submodules.registers = registers = AxiLiteRegisters()
        for name, member in registers.signature.members.items():
            pin, inside = port.get(f"s_axil_{name}"), getattr(registers, name)
            if pin is None:
                continue
            gated = name.endswith(("valid", "ready"))
            outside = inside & ~reset if gated else inside
            m.d.comb += inside.eq(pin) if member.flow == In else pin.eq(outside)

        asked, held = registers.control[0], Signal()
        engine = self.engine
        m.submodules.engine = ResetInserter(held)(engine)
        i, o = engine.i, engine.o
        # A word of a reply, not reset with the engine, since what was offered has to stay; words of
        # its packet have come, and not the last.
        word, full, begun = Signal(o.payload.shape(), reset_less=True), Signal(), Signal()
        moves = ~full | port["m_axis_tready"]
        m.d.sync += held.eq(asked | held & (full | begun))
        with m.If(moves):
            m.d.sync += full.eq(Mux(held, begun, o.valid))
            with m.If(held):
                m.d.sync += [word.data.eq(0), word.last.eq(1), begun.eq(0)]
            with m.Elif(o.valid):
                m.d.sync += [word.eq(o.payload), begun.eq(~o.payload.last)]
        m.d.comb += [
            i.payload.data.eq(port["s_axis_tdata"]),
            i.payload.last.eq(port["s_axis_tlast"]),
            i.valid.eq(port["s_axis_tvalid"] & ~held),
            port["s_axis_tready"].eq(Mux(held, asked, i.ready) & ~reset),
            port["m_axis_tdata"].eq(word.data),
            port["m_axis_tlast"].eq(word.last),
            port["m_axis_tvalid"].eq(full & ~reset),
            o.ready.eq(moves),
        ]

        steps = {
            "commands": (i.valid & i.ready & i.payload.last, held),
            "replies": (full & port["m_axis_tready"] & word.last, held),
            "waited": (port["s_axis_tvalid"] & ~port["s_axis_tready"], asked),
            "blocked": (full & ~port["m_axis_tready"], asked),
        }
        for name, (step, clear) in steps.items():
            count = Signal(32, name=name)
            with m.If(clear):
                m.d.sync += count.eq(0)
            with m.Else():
                m.d.sync += count.eq(count + step)
            m.d.comb += getattr(registers, name).eq(count)
        c = engine.config
        constants = {
            "identity": MAGIC,
            "version": packets.VERSION,
            "format": c.f | c.gossip_lanes << 8 | c.lanes << 16 | c.cordics << 24,
            "states": c.capacity,
            "operators": c.operators,
            **{f"build{n}": engine.digest >> 32 * n & 0xFFFF_FFFF for n in range(4)},
        }
        for name, value in constants.items():
            m.d.comb += getattr(registers, name).eq(Const(value, 32))
        m.d.comb += registers.pending.eq(registers.commands - registers.replies)
        return m
