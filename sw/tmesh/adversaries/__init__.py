"""Byzantine agents: one file a family, one small class a kind."""

from tmesh.adversaries import lies, silence, votes, wire
from tmesh.adversaries.byzantine import Byzantine, Plot, kind, names

__all__ = ["Byzantine", "Plot", "kind", "lies", "names", "silence", "votes", "wire"]
