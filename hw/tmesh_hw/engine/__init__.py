"""The engine: blocks joined into the accelerator."""

from typing import Any

from tmesh.config import CoreConfig

from .core import Core, core_layouts
from .eigensystem import Eigensystem
from .engine import Engine
from .gossip import GossipDatapath
from .interlock import Interlock
from .lookback import Lookback
from .microcode import MicrocodedEngine
from .resident import Resident, distance
from .rounds import Rounds
from .words import word_layout

__all__ = [
    "Core",
    "Eigensystem",
    "Engine",
    "GossipDatapath",
    "Interlock",
    "Lookback",
    "MicrocodedEngine",
    "Resident",
    "Rounds",
    "component",
    "core_layouts",
    "distance",
    "word_layout",
]


def component(config: CoreConfig, digest: int = 0) -> Any:
    """The component of a configuration: an `Engine` or a `MicrocodedEngine` on packets where states
    are resident, else a `Core` on wide words."""
    if config.microcoded:
        return MicrocodedEngine(config=config, digest=digest)
    if config.gossip_lanes:
        return Engine(config=config, digest=digest)
    return Core(config=config)
