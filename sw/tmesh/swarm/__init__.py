"""The swarm: a scenario, its agents in simulated time, and the result."""

from tmesh.swarm.linear import linear
from tmesh.swarm.result import Result
from tmesh.swarm.run import run
from tmesh.swarm.scenario import Scenario

__all__ = ["Result", "Scenario", "linear", "run"]
