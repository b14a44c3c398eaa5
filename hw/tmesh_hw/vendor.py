"""Whose macros a component may use."""

from typing import Any


def is_ecp5(platform: Any) -> bool:
    """Whether a component is elaborated for a Lattice ECP5; simulation has no platform."""
    return str(getattr(platform, "device", "")).startswith("LFE5")
