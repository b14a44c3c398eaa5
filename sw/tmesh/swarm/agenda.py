"""Tables of a scenario: decisions of some agents only, and outcomes that come late."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from tmesh.errors import InvalidInput
from tmesh.finality import quorum, tolerated
from tmesh.network.network import Agents
from tmesh.settings import Settings

#: A scenario has at most so many.
MOST_DECISIONS = 4096


class Subset(Settings):
    """Some agents, who have decisions of their own. faults: how many of them may lie, by default
    the most there can be."""

    name: Annotated[str, Field(min_length=1)]
    agents: Agents
    decisions: Annotated[int, Field(ge=1, le=MOST_DECISIONS)] = 1
    faults: Annotated[int | None, Field(ge=0)] = None

    @property
    def declared(self) -> int:
        """How many may lie."""
        return tolerated(len(self.agents)) if self.faults is None else self.faults

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.agents)) != len(self.agents):
            raise InvalidInput("agents: one is named twice")
        if len(self.agents) < 2:
            raise InvalidInput(f"agents: {len(self.agents)} cannot ask each other")
        quorum(len(self.agents), self.declared)
        return self


class LateOutcome(Settings):
    """An outcome that nobody knows at first: an honest agent proposes it, in a round of its own."""

    outcome: Annotated[int, Field(ge=0)]
    round: Annotated[int, Field(ge=1)]
