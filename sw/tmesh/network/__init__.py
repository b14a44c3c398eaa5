"""The simulated network: channels, meshes, partitions, messages in the order of time."""

from tmesh.network.channel import PROFILES, Channel
from tmesh.network.network import Network, Partition
from tmesh.network.topology import Mesh, Topology

__all__ = ["PROFILES", "Channel", "Mesh", "Network", "Partition", "Topology"]
