"""The engine: blocks joined into the accelerator."""

from .core import Core, core_layouts
from .eigensystem import Eigensystem
from .engine import Engine
from .gossip import GossipDatapath
from .interlock import Interlock
from .resident import DISTANCE, Resident
from .words import word_layout

__all__ = [
    "DISTANCE",
    "Core",
    "Eigensystem",
    "Engine",
    "GossipDatapath",
    "Interlock",
    "Resident",
    "core_layouts",
    "word_layout",
]
