"""The checked statements of one place, and the frontier test on them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tmesh.agent.sight import Frontier
from tmesh.agent.statement import Statement, digest
from tmesh.agent.step import PlaceRules
from tmesh.errors import InvalidInput
from tmesh.finality.encoding import bitmap, bits
from tmesh.numbers import IntArray

#: Statements of one author that wait for what they cite: rounds beyond its last checked one.
AHEAD = 64


class Entry(NamedTuple):
    """A checked statement, with figures of its past. Level `sampled` has no figures.

    heard: its list. known: for each agent of the swarm the last round in the statement's past, −1
    for none. amplified: branchings that somebody amplifies in its past or in itself. stands:
    whether its author's opinions are settled. It then stands for every later round, and its author
    makes no more.
    """

    statement: Statement
    heard: tuple[int, ...]
    list_: int
    known: IntArray
    amplified: int
    stands: bool


class History:
    """Statements of one place: one for each author and round.

    A statement is `offer`ed, waits for its citations, and is `admit`ted once it was checked. At
    level `sampled` only statements of `me` and its drawn neighbours are: those of other authors are
    citations, which nobody here checks.
    """

    def __init__(self, rules: PlaceRules, me: int) -> None:
        self.rules, self.draw = rules, rules.draw
        self._branchings = len(rules.tree.branchings)
        self._chains: dict[int, list[Entry]] = {}
        self._waiting: dict[int, dict[int, Statement]] = {}
        near = 1 << me | self.draw.neighbours[me]
        self._near = near if rules.sampled else self.draw.members
        self._cited: dict[int, dict[int, Statement]] = {}
        self._standing: dict[int, Statement] = {}

    def height(self, author: int) -> int:
        """The number of its checked statements, so the round that its next one is of."""
        return len(self._chains.get(author, ()))

    def last(self, author: int) -> Entry | None:
        """The author's last checked statement."""
        chain = self._chains.get(author)
        return chain[-1] if chain else None

    def at(self, author: int, count: int) -> Entry | None:
        """The author's statement for a round: that of the round, or one before that stands."""
        chain = self._chains.get(author)
        if not chain or count < 0:
            return None
        if count < len(chain):
            return chain[count]
        return chain[-1] if chain[-1].stands else None

    def offer(self, statement: Statement) -> Statement | None:
        """Let a statement wait for its check. Returns a different statement of the same author and
        round, if there is one. Raises `InvalidInput` for a statement that cannot be of this place.
        """
        author, count = statement.author, statement.round
        statement.heard(self.draw)
        if len(statement.opinions.z) != self._branchings or not self._takes_part(author):
            raise InvalidInput(f"statement: agent {author} has no part in it")
        known = self.signed(author, count)
        if known is not None:
            return known if known.id != statement.id else None
        if count < self.height(author) + AHEAD and self._near >> author & 1:
            self._waiting.setdefault(author, {})[count] = statement
        if self.rules.sampled:
            self._cited.setdefault(author, {})[count] = statement
            if self.rules.stands(statement):
                self._standing[author] = statement
        return None

    def signed(self, author: int, count: int) -> Statement | None:
        """The author's statement of a round, checked or not."""
        chain = self._chains.get(author, ())
        if count < len(chain):
            return chain[count].statement
        return self._cited.get(author, {}).get(count) or self.waiting(author, count)

    def waiting(self, author: int, count: int) -> Statement | None:
        """The statement that waits for a check."""
        return self._waiting.get(author, {}).get(count)

    def cited(self, statement: Statement) -> list[Statement] | None:
        """The citations of a statement: its author's last one, then those of its list. None as long
        as one of them is missing or, but for level `sampled`, not checked."""
        before = statement.round - 1
        found = list[Statement]()
        for author in (statement.author, *statement.heard(self.draw)):
            entry = self.at(author, before)
            one = entry.statement if entry is not None else self._citation(author, before)
            if one is None:
                return None
            found.append(one)
        return found

    def _citation(self, author: int, count: int) -> Statement | None:
        """The author's statement for a round at level `sampled`."""
        standing = self._standing.get(author)
        if standing is not None and standing.round <= count:
            return standing
        return self._cited.get(author, {}).get(count)

    def admit(self, statement: Statement, known: Entry | None = None) -> Entry:
        """Add a checked statement after those that it cites. known: its entry in another agent's
        history, which is the same."""
        entry = known or self._entry(statement)
        self._chains.setdefault(statement.author, []).append(entry)
        self._waiting.get(statement.author, {}).pop(statement.round, None)
        return entry

    def followers(self, statement: Statement) -> Iterator[Statement]:
        """Waiting statements that may cite this one."""
        for author in (statement.author, *self.draw.lists[statement.author]):
            waiting = self._waiting.get(author)
            if waiting:
                yield from [waiting[count] for count in sorted(waiting) if count > statement.round]

    def doubtful(self) -> list[Statement]:
        """Waiting statements whose digest is not that of the statements that are here: others of
        the same authors and rounds exist, or none at all. At level `sampled` also those whose
        citations are missing, which nobody else sends."""
        found = []
        for waiting in self._waiting.values():
            for statement in waiting.values():
                ready = 0 < statement.round == self.height(statement.author)
                cited = self.cited(statement) if ready else None
                other = cited is not None and digest(one.id for one in cited) != statement.cites
                if other or (ready and cited is None and self.rules.sampled):
                    found.append(statement)
        return found

    def beyond(self, heights: Sequence[int], authors: int) -> Iterator[Statement]:
        """Checked statements of some authors, the bits of a number, from these rounds (agents,) on,
        the earliest rounds first."""
        found = [
            entry.statement
            for author, chain in self._chains.items()
            if authors >> author & 1
            for entry in chain[heights[author] :]
        ]
        yield from sorted(found, key=lambda one: (one.round, one.author))

    def heights(self, agents: int) -> list[int]:
        """`height` of every agent of the swarm."""
        return [self.height(agent) for agent in range(agents)]

    def frontier(self, author: int, count: int, heard: Sequence[int]) -> Frontier:
        """The frontier test for round `count` of an author with this list.

        For a round R, the present authors are those that lists lead to from the author: the list
        of round R + 1 where it is in the past, else that of round R. The test takes the latest R of
        which all present authors' statements are in the past. One sign of all their opinions then
        stays the sign of all (docs/sheaf.md has the proof).
        """
        cited = self.past(author, count, heard)
        known = np.maximum.reduce([entry.known for entry in cited]).tolist()
        present, reached = self._present(author, count, bitmap(heard), known)
        none = (0,) * self._branchings
        if not present:
            return Frontier(0, none)
        entries = [self.at(one, reached) for one in bits(present)]
        z = [entry.statement.opinions.z for entry in entries if entry is not None]
        signs = tuple(
            1 if min(some) > 0 else -1 if max(some) < 0 else 0 for some in zip(*z, strict=True)
        )
        return Frontier(present, signs)

    def tied(self, present: int, faults: int) -> int:
        """The branchings for each side of which more than `faults` of the present authors opened,
        as the bits of a number. A round 0 that cites a lock is no opening."""
        entries = [self.at(author, 0) for author in bits(present)]
        openings = [one.statement for one in entries if one is not None and not one.statement.lock]
        found = 0
        for place in range(self._branchings):
            z = [one.opinions.z[place] for one in openings]
            if min(sum(one > 0 for one in z), sum(one < 0 for one in z)) > faults:
                found |= 1 << place
        return found

    def past(self, author: int, count: int, heard: Sequence[int]) -> list[Entry]:
        """The entries that a statement of round `count` with this list cites."""
        return [self._chains[author][count - 1]] + [
            entry for one in heard if (entry := self.at(one, count - 1)) is not None
        ]

    def _present(self, author: int, count: int, list_: int, known: list[int]) -> tuple[int, int]:
        """The present authors, as the bits of a number, and the latest round R."""
        reached = count - 1
        while reached >= 0:
            present = left = 1 << author
            while left:
                low = left & -left
                left ^= low
                one = low.bit_length() - 1
                if one == author and reached + 1 == count:
                    near = list_
                else:
                    entry = self._in_past(one, reached + 1, known[one])
                    entry = entry or self._in_past(one, reached, known[one])
                    if entry is None:
                        # An earlier list has no fewer agents, so this one is present there too.
                        reached = known[one]
                        break
                    near = entry.list_
                left |= near & ~present
                present |= near
            else:
                return present, reached
        return 0, -1

    def _in_past(self, author: int, count: int, known: int) -> Entry | None:
        """The author's statement for a round, if it is in a past that ends with round `known`."""
        if known < 0:
            return None
        chain = self._chains[author]
        if count <= known:
            return chain[count]
        return chain[known] if chain[known].stands else None

    def _entry(self, statement: Statement) -> Entry:
        heard, count = statement.heard(self.draw), statement.round
        if self.rules.sampled:
            return Entry(statement, heard, bitmap(heard), _NOTHING, 0, self.rules.stands(statement))
        known = np.full(len(self.draw.lists), -1, dtype=np.int64)
        amplified = statement.opinions.amplified
        if count:
            cited = self.past(statement.author, count, heard)
            known = np.maximum.reduce([entry.known for entry in cited])
            for entry in cited:
                amplified |= entry.amplified
        known[statement.author] = count
        stands = self.rules.stands(statement)
        return Entry(statement, heard, bitmap(heard), known, amplified, stands)

    def _takes_part(self, author: int) -> bool:
        return author < len(self.draw.lists) and self.draw.members >> author & 1 == 1


_NOTHING = np.empty(0, dtype=np.int64)
