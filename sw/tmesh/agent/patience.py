"""How long an agent waits for silent neighbours."""

from collections.abc import Iterable


class Patience:
    """Counts beats of waiting in one epoch: `grace` in each round for all neighbours together, and
    beyond it `patience` for each neighbour."""

    def __init__(self, grace: int, patience: int) -> None:
        self._grace, self._patience = grace, patience
        self._waited = 0
        self._charged: dict[int, int] = {}

    def begin(self) -> None:
        """A new round."""
        self._waited = 0

    def beat(self, silent: Iterable[int]) -> None:
        """One beat passed. silent: neighbours that had all they need for their next statement. Only
        these are charged: another one may itself wait for a silent agent."""
        self._waited += 1
        if self._waited > self._grace:
            for agent in silent:
                self._charged[agent] = self._charged.get(agent, 0) + 1

    def exhausted(self, agent: int) -> bool:
        """Whether the agent leaves the list."""
        return self._charged.get(agent, 0) > self._patience
