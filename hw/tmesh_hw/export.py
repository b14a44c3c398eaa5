"""Verilog of a stream component under AXI4-Stream names, by Yosys."""

import hashlib
import re
from typing import Any

from amaranth import ClockDomain, Elaboratable, Module, Signal, Value
from amaranth.back import rtlil
from amaranth.lib import wiring
from tmesh.errors import InvalidInput

from tmesh_hw import yosys
from tmesh_hw.axi import add_axi_reset
from tmesh_hw.blocks import Queue
from tmesh_hw.concise import concise
from tmesh_hw.portable import portable_verilog
from tmesh_hw.vendor import VERILATOR

#: Name of the top module in this project's own simulations and syntheses.
TOP = "tmesh"


class StreamTop(Elaboratable):
    """A component with streams `i` and `o` as ``aclk aresetn s_axis_* m_axis_*``, and nothing else:
    for simulators, and to count the component's own cells. `AxiStreamTop` obeys AXI, too.

    TDATA is the payload, lowest member in the lowest bits, padded with zeros to whole bytes. A
    component that cannot wait ignores m_axis_tready.
    """

    def __init__(self, component: Any) -> None:
        self.component = component
        self.aclk, self.aresetn = Signal(name="aclk"), Signal(name="aresetn")
        self.streams = {}
        for side, prefix in (("i", "s_axis"), ("o", "m_axis")):
            width = len(Value.cast(getattr(component, side).payload))
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
            Value.cast(self.component.i.payload).eq(i["payload"]),
            self.component.i.valid.eq(i["valid"]),
            i["ready"].eq(self.component.i.ready),
            o["payload"].eq(Value.cast(self.component.o.payload)),
            o["valid"].eq(self.component.o.valid),
        ]
        if not self.component.o.signature.always_ready:
            m.d.comb += self.component.o.ready.eq(o["ready"])
        return m


class AxiStreamTop(StreamTop):
    """`StreamTop` by the rules of AXI4-Stream (IHI 0051).

    No output depends on an input of the same clock. VALID and its payload wait for READY. VALID is
    low during a reset. A queue on each side ensures this for every component, so a transaction
    takes `LATENCY` clocks longer than in the component.

    Raises ``ValueError`` for a component that cannot wait.
    """

    #: Clocks in both queues.
    LATENCY = 2 * Queue.latency

    def __init__(self, component: Any) -> None:
        if component.o.signature.always_ready:
            kind = type(component).__name__
            raise InvalidInput(f"component must be able to wait with its output, not {kind}")
        super().__init__(component)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        reset = add_axi_reset(m, self.aclk, self.aresetn)
        m.submodules.core = component = self.component
        m.submodules.into = into = Queue(component.i.payload.shape(), depth=4)
        m.submodules.out_of = out_of = Queue(component.o.payload.shape(), depth=4)
        m.d.comb += [
            component.i.payload.eq(into.o.payload),
            component.i.valid.eq(into.o.valid),
            into.o.ready.eq(component.i.ready),
        ]
        wiring.connect(m, component.o, out_of.i)
        i, o = self.streams["i"], self.streams["o"]
        m.d.comb += [
            Value.cast(into.i.payload).eq(i["payload"]),
            into.i.valid.eq(i["valid"]),
            i["ready"].eq(into.i.ready & ~reset),
            o["payload"].eq(Value.cast(out_of.o.payload)),
            o["valid"].eq(out_of.o.valid & ~reset),
            out_of.o.ready.eq(o["ready"]),
        ]
        return m


def to_rtlil(component: Any, platform: Any = None) -> str:
    """RTLIL of `component` alone with top module `TOP`, for synthesis."""
    top = StreamTop(component)
    return rtlil.convert(top, platform=platform, name=TOP, ports=top.ports, emit_src=False)


def verilog(component: Any, name: str | None = None) -> str:
    """Verilog of `AxiStreamTop` as one module without vendor macros; the same text for the same
    source.

    name: of the module; else it is made of the component's class and a digest of its circuit, so
    no two components have one name. Raises ``ValueError`` for a name that no module can have, and
    for a component that cannot wait.
    """
    top = AxiStreamTop(component)
    text = rtlil.convert(top, name=TOP, ports=top.ports, emit_src=False)
    if name is None:
        words = re.sub(r"(?<!^)(?=[A-Z])", "_", type(component).__name__).lower()
        name = f"{TOP}_{words}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return portable_verilog(text, TOP, name)


def simulation_verilog(component: Any, platform: Any = VERILATOR) -> str:
    """Verilog of `StreamTop` with top module `TOP`, in the form that Verilator simulates fastest.
    platform: another one to elaborate the component for."""
    return _simulated(to_rtlil(component, platform))


def pins_verilog(component: Any) -> str:
    """The same of a component without streams: its ports under their own names, clk and rst."""
    return _simulated(rtlil.convert(component, platform=VERILATOR, name=TOP, emit_src=False))


def _simulated(text: str) -> str:
    passes = ("proc -nomux", "memory_collect", "write_verilog -norename -noattr {out}")
    return concise(yosys.run(text, *passes))
