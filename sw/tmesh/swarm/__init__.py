"""The swarm: scenario, mesh, gossip on a device, collapse."""

from tmesh.swarm.genesis import genesis
from tmesh.swarm.result import Result
from tmesh.swarm.rounds import Sweep, sweep
from tmesh.swarm.run import run
from tmesh.swarm.scenario import Scenario

__all__ = ["Result", "Scenario", "Sweep", "genesis", "run", "sweep"]
