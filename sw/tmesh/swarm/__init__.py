"""The swarm: scenario, mesh, gossip on a device, collapse."""

from tmesh.swarm.genesis import genesis
from tmesh.swarm.run import Result, run
from tmesh.swarm.scenario import Scenario

__all__ = ["Result", "Scenario", "genesis", "run"]
