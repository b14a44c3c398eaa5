"""Many runs of one function: every cell with every seed, on all cores.

A result is in a file as soon as its run ends. After Ctrl-C, a kill or a power failure the same
campaign measures only what is missing.
"""

from tmesh.campaigns.campaign import Campaign, Run
from tmesh.campaigns.store import Store

__all__ = ["Campaign", "Run", "Store"]
