"""A signal that goes everywhere."""

from typing import Any

from amaranth import Instance, Module, Signal

from tmesh_hw.vendor import is_ecp5


def global_net(m: Module, signal: Any, platform: Any) -> Any:
    """`signal`, of one bit, for thousands of registers: on ECP5 through a clock network of the
    device, which reaches all of them at once; elsewhere itself."""
    if not is_ecp5(platform):
        return signal
    everywhere = Signal()
    m.submodules += Instance("DCCA", i_CLKI=signal, o_CLKO=everywhere)
    return everywhere
