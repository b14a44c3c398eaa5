"""Verilog of a stream component under AXI4-Stream names, by Yosys."""

from typing import Any

from amaranth import ClockDomain, Elaboratable, Module, Signal
from amaranth.back import rtlil

from tmesh_hw import yosys
from tmesh_hw.concise import concise
from tmesh_hw.vendor import VERILATOR

#: Name of the exported top module.
TOP = "tmesh"


class AxiStreamTop(Elaboratable):
    """A component with streams `i` and `o` as ``aclk aresetn s_axis_* m_axis_*``.

    TDATA is the payload, lowest member in the lowest bits, padded with zeros to whole bytes. A
    component that cannot wait ignores m_axis_tready.
    """

    def __init__(self, component: Any) -> None:
        self.component = component
        self.aclk, self.aresetn = Signal(name="aclk"), Signal(name="aresetn")
        self.streams = {}
        for side, prefix in (("i", "s_axis"), ("o", "m_axis")):
            width = len(getattr(component, side).payload.as_value())
            self.streams[side] = {
                "payload": Signal(-(-width // 8) * 8, name=f"{prefix}_tdata"),
                "valid": Signal(name=f"{prefix}_tvalid"),
                "ready": Signal(name=f"{prefix}_tready"),
            }

    @property
    def ports(self) -> list[Any]:
        """Every port of the top."""
        streams = [signal for stream in self.streams.values() for signal in stream.values()]
        return [self.aclk, self.aresetn, *streams]

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.domains.sync = domain = ClockDomain()
        # In a register: the reset reaches all over the device, and whatever depends on an input, a
        # simulator computes twice.
        reset = Signal(init=1, reset_less=True)
        m.d.sync += reset.eq(~self.aresetn)
        m.d.comb += [domain.clk.eq(self.aclk), domain.rst.eq(reset)]
        m.submodules.core = self.component
        i, o = self.streams["i"], self.streams["o"]
        m.d.comb += [
            self.component.i.payload.eq(i["payload"]),
            self.component.i.valid.eq(i["valid"]),
            i["ready"].eq(self.component.i.ready),
            o["payload"].eq(self.component.o.payload.as_value()),
            o["valid"].eq(self.component.o.valid),
        ]
        if not self.component.o.signature.always_ready:
            m.d.comb += self.component.o.ready.eq(o["ready"])
        return m


def to_rtlil(component: Any, platform: Any = None) -> str:
    """RTLIL of `component` with top module `TOP`."""
    top = AxiStreamTop(component)
    return rtlil.convert(top, platform=platform, name=TOP, ports=top.ports, emit_src=False)


def verilog(component: Any, platform: Any = VERILATOR) -> str:
    """Verilog text of `component` with top module `TOP`; the same text for the same source.
    platform: what else than Verilator it is elaborated for."""
    return _verilog(to_rtlil(component, platform))


def pins_verilog(component: Any) -> str:
    """The same of a component without streams: its ports under their own names, clk and rst."""
    return _verilog(rtlil.convert(component, platform=VERILATOR, name=TOP, emit_src=False))


def _verilog(text: str) -> str:
    passes = ("proc -nomux", "memory_collect", "write_verilog -norename -noattr {out}")
    return concise(yosys.run(text, *passes))
