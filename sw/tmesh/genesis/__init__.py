"""The genesis of a swarm: members, fault bound, links and rules, and the swarm id of all of it."""

from tmesh.genesis.genesis import Genesis
from tmesh.genesis.rules import SwarmRules

__all__ = ["Genesis", "SwarmRules"]
