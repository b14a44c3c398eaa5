"""Who decides what: all agents together, or subsets of them among themselves."""

import dataclasses
from functools import cached_property
from typing import Self

import numpy as np

from tmesh.finality import Decision
from tmesh.numbers import BoolArray
from tmesh.swarm.scenario import Scenario


@dataclasses.dataclass(frozen=True)
class Group:
    """Agents who decide something, `there` (agents,), of whom `faults` may lie. decisions: which
    ones, by number; who has a part in one has in all. name: empty for that of all agents."""

    name: str
    there: BoolArray
    faults: int
    decisions: range
    labels: tuple[str, ...]

    def decision(self, number: int) -> Decision:
        """One of them, as it is signed."""
        agents = sum(1 << agent for agent in np.nonzero(self.there)[0].tolist())
        place = number - self.decisions.start
        resource = f"subset {self.name}" if self.name else "swarm"
        return Decision(resource.encode(), agents, self.faults, self.labels, place)


@dataclasses.dataclass(frozen=True)
class Roster:
    """All groups of a swarm, and the decisions of each, in one order."""

    groups: tuple[Group, ...]

    @classmethod
    def of(cls, scenario: Scenario) -> Self:
        """Those of a scenario: all agents, if they decide anything, and its subsets."""
        everyone = np.ones(scenario.agents, dtype=np.bool_)
        digits = len(str(scenario.outcomes - 1))
        labels = tuple(f"{outcome:0{digits}}" for outcome in range(scenario.outcomes))
        groups = [Group("", everyone, scenario.declared, range(scenario.decisions), labels)]
        for subset in scenario.subsets:
            there = np.zeros(scenario.agents, dtype=np.bool_)
            there[list(subset.agents)] = True
            first = groups[-1].decisions.stop
            decisions = range(first, first + subset.decisions)
            groups.append(Group(subset.name, there, subset.declared, decisions, labels))
        return cls(tuple(group for group in groups if group.decisions))

    @cached_property
    def decisions(self) -> list[Decision]:
        """All decisions, those of all agents first."""
        return [group.decision(one) for group in self.groups for one in group.decisions]

    @cached_property
    def members(self) -> BoolArray:
        """Who has a part in which decision, (decisions, agents)."""
        return np.stack([group.there for group in self.groups for _ in group.decisions])
