"""What a component is elaborated for."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Verilator:
    """The platform of what is only simulated, by Verilator."""


VERILATOR = Verilator()


def is_ecp5(platform: Any) -> bool:
    """Whether a component may use the macros of a Lattice ECP5."""
    return str(getattr(platform, "device", "")).startswith("LFE5")


def is_verilator(platform: Any) -> bool:
    """Whether a component is only simulated: then what takes time there may be left out, as long as
    nobody can tell."""
    return isinstance(platform, Verilator)
