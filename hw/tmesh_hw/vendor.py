"""Whose macros a component may use, and what its tools are told."""

from typing import Any

#: Options of nextpnr-ecp5 for what fills a device and has a floorplan: by default it is placed too
#: densely to be routed.
SPREAD = ("--placer", "static", "--router", "router2")


def is_ecp5(platform: Any) -> bool:
    """Whether a component is elaborated for a Lattice ECP5; simulation has no platform."""
    return str(getattr(platform, "device", "")).startswith("LFE5")
