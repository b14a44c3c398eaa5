"""Checks further back than the last step, at level `sampled`.

Byzantine agents could show false statements to each other only, and cite them in statements whose
last step holds. So an agent follows random walks back from each statement that it hears, and checks
each step on them. The walks follow from the statement's digest, which its author cannot foresee.
Its author took the same walks before it made the statement, so it can show everything on them. An
author that does not is silent to the agents that ask.
"""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from tmesh.agent.history import History
from tmesh.agent.statement import Statement, digest


class Walk(NamedTuple):
    """A walk that goes on from a statement: `number` picks one of its citations."""

    statement: Statement
    number: int


class Spots:
    """The walks behind statements that wait for a check, so many from each."""

    def __init__(self, history: History, spot: int) -> None:
        self._history, self._spot = history, spot
        self._steps: list[tuple[Statement, list[Statement]]] = []
        self._walks: dict[bytes, tuple[Statement, list[Walk]]] = {}
        self._seen = set[bytes]()

    def passed(self, statement: Statement) -> bool:
        """Go on with the walks from a statement whose last step holds; whether all have ended."""
        begun = [Walk(statement, number) for number in range(self._spot)]
        _, walks = self._walks.pop(statement.id, (statement, begun))
        left = [one for walk in walks if (one := self._follow(walk)) is not None]
        if left:
            self._walks[statement.id] = statement, left
        return not left

    def take(self) -> list[tuple[Statement, list[Statement]]]:
        """New statements on the walks, with their citations: the steps to check."""
        steps, self._steps = self._steps, []
        return steps

    def waiting(self) -> list[Statement]:
        """Statements whose walks have not ended."""
        return [statement for statement, _ in self._walks.values()]

    def missing(self) -> Iterator[tuple[int, Statement]]:
        """Authors of such statements, and the statements behind them whose citations are missing:
        the author can show these."""
        for statement, walks in self._walks.values():
            yield from ((statement.author, self._picked(walk)[0]) for walk in walks)

    def _follow(self, walk: Walk) -> Walk | None:
        """Go on with a walk until it ends, or until citations are missing."""
        while walk.statement.round:
            picked, number, last = self._picked(walk)
            if not picked.round:
                return None
            cited = self._citations(picked)
            if cited is None:
                return walk
            if picked.id not in self._seen:
                self._seen.add(picked.id)
                self._steps.append((picked, cited))
            if last:
                return None
            walk = Walk(picked, number)
        return None

    def _picked(self, walk: Walk) -> tuple[Statement, int, bool]:
        """The citation that a walk picks, the number for the next one, and whether it is the last:
        from SHA-256(digest of the citations ‖ number)."""
        cited = self._history.cited(walk.statement)
        assert cited is not None
        data = hashlib.sha256(walk.statement.cites + bytes([walk.number])).digest()
        place = int.from_bytes(data[:4]) % len(cited)
        return cited[place], data[4] % self._spot, data[5] % 2 == 1

    def _citations(self, statement: Statement) -> list[Statement] | None:
        cited = self._history.cited(statement)
        if cited is None or digest(one.id for one in cited) != statement.cites:
            return None
        return cited
