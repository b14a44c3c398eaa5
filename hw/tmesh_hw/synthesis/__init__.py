"""The cost of blocks and cores on a device: cells after synthesis, clock rates after routing."""

import dataclasses

#: Options of nextpnr-ecp5. Its other router leaves some wires with detours that make the clock.
ROUTER = ("--router", "router1")


@dataclasses.dataclass(frozen=True)
class Ecp5:
    """All that a component needs to know of its platform: whose macros to use."""

    device: str = "LFE5U"


@dataclasses.dataclass(frozen=True)
class Ice40:
    """The same of iCE40UP5K."""

    device: str = "iCE40UP5K"
