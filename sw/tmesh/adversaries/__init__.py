"""Byzantine agents: one file a family, one small class a kind."""

from tmesh.adversaries import lies, silence
from tmesh.adversaries.byzantine import Byzantine, Plot, kind
from tmesh.adversaries.rounds import Adversary, Poll, View, adversary, names

__all__ = [
    "Adversary",
    "Byzantine",
    "Plot",
    "Poll",
    "View",
    "adversary",
    "kind",
    "lies",
    "names",
    "silence",
]
