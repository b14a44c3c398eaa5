"""The result of synthesis of a component: Verilog of vendor cells."""

import dataclasses
from typing import Any

from tmesh_hw import yosys
from tmesh_hw.export import to_rtlil
from tmesh_hw.synthesis import Ecp5, Ice40


@dataclasses.dataclass(frozen=True)
class Family:
    """A family of devices: the platform that components see, and the passes of Yosys."""

    platform: Any
    passes: tuple[str, ...]


#: Families by name.
FAMILIES = {
    "ecp5": Family(Ecp5(), yosys.SYNTH_ECP5),
    "ice40": Family(Ice40(), yosys.SYNTH_ICE40),
}

#: A signal for each bit, since bits of one bus may depend on each other, and short names: a netlist
#: compiles several times faster so.
_WRITE = (
    "opt_clean -purge",
    "splitnets",
    "rename -hide",
    "rename -enumerate -pattern n%",
    "write_verilog -noattr {out}",
)


def netlist(component: Any, family: str) -> str:
    """Verilog of `component` in cells of a family, top module `tmesh_hw.export.TOP`."""
    chosen = FAMILIES[family]
    return yosys.run(to_rtlil(component, chosen.platform), *chosen.passes, *_WRITE)
