"""The engine: blocks joined into the accelerator."""

from .core import Core
from .eigensystem import Eigensystem
from .engine import Engine
from .gossip import GossipDatapath
from .interlock import Interlock
from .resident import Resident

__all__ = ["Core", "Eigensystem", "Engine", "GossipDatapath", "Interlock", "Resident"]
