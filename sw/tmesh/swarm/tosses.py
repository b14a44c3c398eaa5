"""The coins of a swarm, one for each group, and which of their numbers an agent's round is for."""

from collections.abc import Iterable, Iterator

import numpy as np

from tmesh.finality import Coin
from tmesh.finality.coin import Round
from tmesh.golden.reference import FloatArray
from tmesh.numbers import IntArray
from tmesh.swarm.roster import Roster
from tmesh.swarm.scenario import Scenario


class Tosses:
    """A group's coin opens when one more of its agents than may lie have committed to what they
    heard. It is for decisions that are past their first epoch; `epochs` are those that an agent is
    in, (decisions,)."""

    def __init__(self, scenario: Scenario, roster: Roster, seed: int) -> None:
        self._scenario, self._roster = scenario, roster
        self._coins = [
            Coin(scenario.coin, f"{seed} {number}" if number else f"{seed}", group.faults + 1)
            for number, group in enumerate(roster.groups)
        ]
        self._taken: dict[int, dict[int, Round]] = {}

    def commit(self, agent: int, groups: Iterable[int], epochs: IntArray) -> None:
        """An agent has fixed what it uses in its next round, for decisions of some groups."""
        self._taken[agent] = {
            number: self._coins[number].commit(agent, epoch)
            for number, epoch in self._tossing(groups, epochs)
        }

    def opened(self, agent: int) -> bool:
        """Whether all numbers that an agent's round is for are open."""
        taken = self._taken[agent].items()
        return all(self._coins[number].opened(round_) for number, round_ in taken)

    def shift(self, agent: int, epochs: IntArray) -> FloatArray:
        """How far the numbers that are open move the means of an agent, (decisions,)."""
        shift = np.zeros(len(epochs))
        for number, round_ in self._taken.pop(agent, {}).items():
            if self._coins[number].opened(round_):
                shift[self._there(number)] = self._coins[number].number(round_)
        return np.where(epochs > 1, self._scenario.threshold * shift, 0.0)

    def betrayed(self, agent: int, epochs: IntArray) -> FloatArray:
        """How far they will move those of its next round, as far as liars know; NaN elsewhere."""
        known = np.full(len(epochs), np.nan)
        for number, epoch in self._tossing(self._roster.memberships[agent], epochs):
            coin = self._coins[number]
            known[self._there(number)] = coin.betrayed(coin.next(agent, epoch))
        return self._scenario.threshold * known

    def _there(self, number: int) -> slice:
        decisions = self._roster.groups[number].decisions
        return slice(decisions.start, decisions.stop)

    def _tossing(self, groups: Iterable[int], epochs: IntArray) -> Iterator[tuple[int, int]]:
        """The groups that use their coin, and the last epoch that is under way in each."""
        if self._scenario.threshold and self._scenario.coin != "none":
            for number in groups:
                epoch = int(epochs[self._there(number)].max())
                if epoch > 1:
                    yield number, epoch
