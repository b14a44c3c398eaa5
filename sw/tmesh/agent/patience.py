"""How long an agent waits for silent neighbours."""

from collections import Counter
from collections.abc import Iterable


class Patience:
    """Counts beats of waiting in one epoch: `grace` in each round for all agents together, and
    beyond it `patience` for each agent.

    A neighbour may be late because it waits for a silent agent itself. Such an agent excuses its
    listeners for as long as their own patience with it may last: `SLACK` beats more than this
    agent's would.
    """

    SLACK = 2

    def __init__(self, grace: int, patience: int) -> None:
        self._grace, self._patience = grace, patience
        self._waited = 0
        self._charged, self._behind = Counter[int](), Counter[int]()

    def begin(self) -> None:
        """A new round."""
        self._waited = 0

    def beat(self, silent: Iterable[int], behind: Iterable[int]) -> None:
        """One beat passed. silent: neighbours that had all they need for their next statement.
        behind: agents that others wait for, and that had all they need."""
        self._waited += 1
        if self._waited > self._grace:
            self._charged.update(silent)
        if self._waited > self._grace + self.SLACK:
            self._behind.update(behind)

    def exhausted(self, agent: int) -> bool:
        """Whether the agent leaves the list."""
        return self._charged[agent] > self._patience

    def excuses(self, agent: int) -> bool:
        """Whether agents that wait for this one may still do so."""
        return self._behind[agent] <= self._patience + self.SLACK
