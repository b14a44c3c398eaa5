"""Tables of a scenario: decisions of some agents only."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from tmesh.errors import InvalidInput
from tmesh.finality import quorum, tolerated
from tmesh.network.network import Agents
from tmesh.settings import Settings

#: The most decisions of a scenario.
MOST_DECISIONS = 4096


class Subset(Settings):
    """Some agents that take decisions among themselves. faults: the Byzantine agents that their
    quorum tolerates, by default the largest number below a third."""

    name: Annotated[str, Field(min_length=1)]
    agents: Agents
    decisions: Annotated[int, Field(ge=1, le=MOST_DECISIONS)] = 1
    faults: Annotated[int | None, Field(ge=0)] = None

    @property
    def declared(self) -> int:
        """The Byzantine agents that the quorum tolerates."""
        return tolerated(len(self.agents)) if self.faults is None else self.faults

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.agents)) != len(self.agents):
            raise InvalidInput("agents: one is named twice")
        if len(self.agents) < 2:
            raise InvalidInput(f"agents: {len(self.agents)} cannot ask each other")
        quorum(len(self.agents), self.declared)
        return self
