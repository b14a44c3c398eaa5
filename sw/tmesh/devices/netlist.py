"""The synthesised core: cells of a vendor instead of the source, Verilated, in process."""

from typing import TYPE_CHECKING

from tmesh.config import CoreConfig
from tmesh.devices.verilator import VerilatorDevice
from tmesh.errors import InvalidInput

if TYPE_CHECKING:
    from tmesh_sim.harness import Source

#: Families of devices that there is synthesis for.
FAMILIES = ("ecp5", "ice40")


class NetlistDevice(VerilatorDevice):
    """The core after Yosys, with models of the family's cells; built at first use and cached.

    A large configuration takes long to build. `verilog` replaces the netlist: the tests use it
    to show that a fault of synthesis is noticed.
    """

    name = "netlist"

    def __init__(
        self, config: str | CoreConfig = "default", family: str = "ecp5", verilog: str | None = None
    ) -> None:
        if family not in FAMILIES:
            raise InvalidInput(f"family must be one of {', '.join(FAMILIES)}, not {family!r}")
        self.family = family
        super().__init__(config, verilog=verilog)

    def _source(self, digest: int, verilog: str | None) -> "Source":
        from tmesh_hw.engine import component
        from tmesh_hw.synthesis.netlist import netlist
        from tmesh_sim.cells import with_models
        from tmesh_sim.harness import Source

        plain = Source(
            lambda: verilog or netlist(component(self.config, digest), self.family),
            verilog or self._digest,
        )
        return with_models(plain, self.family)
