"""The engine: blocks joined into the accelerator."""

from .gossip import GossipDatapath

__all__ = ["GossipDatapath"]
