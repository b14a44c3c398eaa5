"""Targets of elaboration."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Verilator:
    """The platform of components that are only simulated, by Verilator."""


VERILATOR = Verilator()


def is_ecp5(platform: Any) -> bool:
    """Whether a component may use the macros of a Lattice ECP5."""
    return str(getattr(platform, "device", "")).startswith("LFE5")


def is_verilator(platform: Any) -> bool:
    """Whether a component is only simulated: then costly work may be left out if that has no
    visible effect."""
    return isinstance(platform, Verilator)
