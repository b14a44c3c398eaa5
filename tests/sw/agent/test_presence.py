"""Presence: why the frontier test follows the lists of round R + 1, and not the latest ones.

    6 - 0 - 1 - 2 - 3 - 4 - 5

Agent 6 is the only one against outcome 0, and falls silent after its opening. Agent 0 cites that
opening in round 1, turns negative by it, and drops agent 6 in round 2. Agent 5 is far: when its
opening reaches agent 0, agent 0's latest list no longer has agent 6.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from tmesh.adversaries import Byzantine, Plot
from tmesh.agent import Statement
from tmesh.agent.history import History
from tmesh.agent.sight import Frontier
from tmesh.finality.encoding import bitmap, bits

from .orderly import OrderlyRun
from .schedules import RULES, sign

FAR, SILENT = 5, 6
LINKS = [(0, 1), (0, SILENT), (1, 2), (2, 3), (3, 4), (4, FAR)]


class Quiet(Byzantine):
    """States its opening, and nothing after it."""

    silent_from = 1


class Path(OrderlyRun):
    """Seven agents on the path, without losses."""

    def __init__(self) -> None:
        rules = RULES.model_copy(update={"k": 6, "averaging": 60, "patience": 1})
        super().__init__(7, 0, rules=rules, links=LINKS)
        self.byzantine = {SILENT}
        plot = Plot(1 << SILENT, {}, self.rng)
        self.swarm[SILENT] = Quiet(self.genesis, self.signers[SILENT], plot)

    def evidence(self, agent: int) -> list[float]:
        return [0.05, 0.95] if agent == SILENT else [0.51, 0.49]

    def first_epoch(self) -> dict[tuple[int, int], Statement]:
        """Statements of the first epoch, by author and round."""
        some = [one for one in self.statements.values() if one.place.epoch == 1]
        return {(one.author, one.round): one for one in some}


class Pass(NamedTuple):
    """A passed test of `author` for its statement of round `stated`."""

    author: int
    stated: int
    reached: int
    present: int
    sign: int


class LatestLists:
    """The frontier test with presence along each author's latest list. It keeps what passed."""

    def __init__(self, quorum: int) -> None:
        self.quorum, self.passed = quorum, list[Pass]()

    def test(self, history: History, author: int, count: int, heard: Sequence[int]) -> Frontier:
        """Takes the place of `History.frontier`."""
        cited = [history.at(one, count - 1) for one in (author, *heard)]
        known = np.maximum.reduce([one.known for one in cited if one is not None])
        present, left = {author}, [author]
        while left:
            one = left.pop()
            last = history.at(one, int(known[one]))
            near = history.draw.lists[one] if last is None else last.heard
            new = set(heard if one == author else near) - present
            present |= new
            left += new
        lasts = [(history.at(one, int(known[one])), int(known[one])) for one in present]
        rounds = [n for last, n in lasts if last is None or not last.stands]
        reached = min([count - 1, *rounds])
        entries = [history.at(one, reached) for one in present]
        signs = {sign(one.statement if one else None, 0) for one in entries}
        common = signs.pop() if len(signs) == 1 and len(present) >= self.quorum else 0
        if common:
            self.passed.append(Pass(author, count, reached, bitmap(present), common))
        return Frontier(bitmap(present), (common,))


def test_along_latest_lists_agents_amplify_a_sign_that_present_agents_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Path()
    latest = LatestLists(run.decision.quorum)
    monkeypatch.setattr(History, "frontier", lambda *parts: latest.test(*parts))
    run.play(20_000)
    some = run.first_epoch()
    first = min(latest.passed, key=lambda one: one.stated)
    assert (first.author, first.reached, first.sign) == (1, 0, 1)
    assert list(bits(first.present)) == [0, 1, 2, 3, 4, FAR]  # without the silent agent
    assert some[1, first.stated].opinions.amplified  # an agent amplifies outcome 0
    for author in bits(first.present):  # and all end with outcome 1
        last = max(count for other, count in some if other == author)
        assert last > first.stated
        assert sign(some[author, last], 0) == -1


def test_the_frontier_test_waits_until_present_agents_have_one_sign_for_good() -> None:
    run = Path()
    run.play(20_000)
    some = run.first_epoch()
    lists = {count: some[0, count].list_.bit_count() for count in (1, 2)}
    assert lists == {1: 2, 2: 1}  # agent 0 cited the silent agent in round 1, and dropped it
    assert sign(some[0, 0], 0) == 1
    assert sign(some[0, 1], 0) == -1
    passed, broken = run.lemma()
    assert passed == 6
    assert not broken
    amplified = [one for one in some.values() if one.opinions.amplified]
    assert {sign(one, 0) for one in amplified} == {-1}
    assert {one.outcome for one in run.certificates.values()} == {1}
