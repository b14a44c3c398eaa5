"""The engine: blocks joined into the accelerator."""

from .core import Core
from .eigensystem import Eigensystem
from .gossip import GossipDatapath

__all__ = ["Core", "Eigensystem", "GossipDatapath"]
