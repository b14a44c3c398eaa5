"""The reset of AXI interfaces."""

from typing import Any

from amaranth import ClockDomain, Module, Signal


def add_axi_reset(m: Module, aclk: Any, aresetn: Any) -> Signal:
    """Clock everything by `aclk`, and return the reset of everything.

    ARESETn may fall at any time. From then on no VALID may be high until the first edge of the
    clock after its rise (IHI 0022, A3.1.2). So the reset is a register that ARESETn sets at once
    and that edge clears. Whatever is valid or ready at a port is gated by it. Everything behind the
    ports is reset by the clock, through the same register, since it reaches all over the device.
    """
    m.domains.axi_reset = at_once = ClockDomain(async_reset=True, local=True)
    m.domains.sync = domain = ClockDomain()
    reset = Signal(init=1, name="axi_reset")
    m.d.axi_reset += reset.eq(0)
    m.d.comb += [
        at_once.clk.eq(aclk),
        at_once.rst.eq(~aresetn),
        domain.clk.eq(aclk),
        domain.rst.eq(reset),
    ]
    return reset
