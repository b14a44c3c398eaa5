"""How long an agent waits for silent neighbours."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple


class Wait(NamedTuple):
    """A listener waits for an author's statement of a round, and the author has all it needs."""

    listener: int
    author: int
    round: int


class Patience:
    """Counts the beats of such waits in one epoch: each is free for `grace` beats, and beyond that
    a listener has `patience` beats for each author.

    A neighbour may be late because it waits for a silent agent itself. So an agent counts the waits
    of others, too, as they would. It gives them `SLACK` more beats of both kinds, because it
    learns of everything later.
    """

    SLACK = 2

    def __init__(self, me: int, grace: int, patience: int) -> None:
        self._me, self._grace, self._patience = me, grace, patience
        self._waited, self._charged = Counter[Wait](), Counter[tuple[int, int]]()

    def begin(self) -> None:
        """A new generation: rounds begin again."""
        self._waited.clear()

    def beat(self, waits: Iterable[Wait]) -> None:
        """One beat passed."""
        for wait in waits:
            self._waited[wait] += 1
            if self._waited[wait] > self._grace + self._slack(wait.listener):
                self._charged[wait.listener, wait.author] += 1

    def exhausted(self, listener: int, author: int) -> bool:
        """Whether a listener waits no more for an author, which leaves its list."""
        return self._charged[listener, author] > self._patience + self._slack(listener)

    def _slack(self, listener: int) -> int:
        return 0 if listener == self._me else self.SLACK
