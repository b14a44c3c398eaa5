"""Queues of statements and votes for the drawn neighbours."""

from collections.abc import Iterable

from tmesh.agent.draw import Draw
from tmesh.agent.statement import Statement
from tmesh.finality import Signed


class Spread:
    """Outgoing queues, one for each drawn neighbour.

    Messages follow broadcast trees of the draw, so without losses each reaches each agent once.
    An agent asks for statements that a loss or a silent agent keeps back.
    So the trees are not mended, as Leitão, Pereira and Rodrigues (2007) do.
    """

    def __init__(self, me: int, draw: Draw) -> None:
        self._me, self._draw, self._members = me, draw, draw.members
        self.neighbours = draw.lists[me]
        self._authors = dict(zip(self.neighbours, draw.children[me], strict=True))
        self._statements: dict[int, list[Statement]] = {}
        self._votes: dict[int, list[Signed]] = {}

    def add(self, statement: Statement) -> None:
        """Pass a statement to the neighbours below this agent in its author's tree."""
        for other in self._below(statement.author):
            self._statements.setdefault(other, []).append(statement)

    def add_own(self, statement: Statement, cited: Iterable[Statement]) -> None:
        """Pass an own statement to the neighbours, at level `sampled`, with the citations that a
        neighbour does not hear itself."""
        some = list(cited)
        for other in self.neighbours:
            hears = self._draw.neighbours[other] | 1 << other
            queue = self._statements.setdefault(other, [])
            queue += [one for one in some if not hears >> one.author & 1]
            queue.append(statement)

    def add_votes(self, votes: Iterable[Signed]) -> None:
        """Pass votes on, in the trees of their authors."""
        for vote in votes:
            for other in self._below(vote.author):
                self._votes.setdefault(other, []).append(vote)

    def take(self) -> list[tuple[int, list[Statement], list[Signed]]]:
        """The contents of the queues, by neighbour; they are empty afterwards."""
        statements, self._statements = self._statements, {}
        votes, self._votes = self._votes, {}
        return [
            (other, statements.get(other, []), votes.get(other, []))
            for other in sorted(statements.keys() | votes.keys())
        ]

    def _below(self, author: int) -> list[int]:
        if not self._members >> author & 1:  # excluded, so without a tree; its votes still count
            return [other for other in self.neighbours if other != author]
        return [
            other
            for other, authors in self._authors.items()
            if authors >> author & 1 and other != author
        ]
