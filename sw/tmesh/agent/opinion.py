"""Opinions of one decision, and the one integer function that moves them from round to round.

Agents compute with it, auditors recompute it, and fraud proofs rest on it. With m outcomes an agent
holds m − 1 opinions, one for each branching of a binary tree over the outcomes (`Tree`).
"""

import dataclasses
import itertools
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from tmesh.errors import InvalidInput
from tmesh.genesis import SwarmRules
from tmesh.golden import rounds
from tmesh.numbers import IntArray


class Work(NamedTuple):
    """One update for a device. All opinions are z components in units of 2⁻ᶠ.

    own: the author's last opinion. heard: the opinions that it cites. order: 1 for the mean alone,
    κ for the mean and purification of that order, 0 for the mean and interference.
    """

    own: int
    heard: tuple[int, ...]
    order: int


class Opinions(NamedTuple):
    """An agent's opinions in one statement, one entry for each branching.

    z: in units of 2⁻ᶠ, positive for the lower outcomes. streak: amplified updates in a row whose
    entropy was below ε, at most β; an opinion with β is settled. amplified: branchings that the
    agent amplifies, as the bits of a number.
    """

    z: tuple[int, ...]
    streak: tuple[int, ...]
    amplified: int

    @classmethod
    def opening(cls, z: Sequence[int]) -> "Opinions":
        """Opinions before the first update."""
        return cls(tuple(z), (0,) * len(z), 0)


class Branching(NamedTuple):
    """Outcomes from `low` on and below `middle` against those below `high`."""

    low: int
    middle: int
    high: int


@dataclasses.dataclass(frozen=True)
class Tree:
    """A binary tree over `outcomes` outcomes: that of their numbers' bits, the highest first."""

    outcomes: int

    @cached_property
    def branchings(self) -> tuple[Branching, ...]:
        """All branchings, each before those below it."""
        if self.outcomes < 2:
            raise InvalidInput(f"outcomes: {self.outcomes} leave nothing to decide")
        found, left = list[Branching](), [(0, self.outcomes)]
        while left:
            low, high = left.pop()
            if high - low > 1:
                middle = low + (1 << ((high - low - 1).bit_length() - 1))
                found.append(Branching(low, middle, high))
                left += [(middle, high), (low, middle)]
        return tuple(found)

    def opening(self, evidence: Sequence[float], rules: SwarmRules) -> tuple[int, ...]:
        """Opening opinions from the probabilities (outcomes,) that an agent gives to the outcomes:
        at each branching the difference between its two sides, at most the evidence cap.

        So the mean opinion has the sign that the mean of all agents' probabilities has.
        """
        if len(evidence) != self.outcomes:
            raise InvalidInput(f"evidence: {len(evidence)} numbers for {self.outcomes} outcomes")
        weights = np.array(evidence, dtype=np.float64)
        total = float(weights.sum())
        if not (np.all(weights >= 0) and np.all(weights <= 1) and abs(total - 1) <= 1e-6):
            raise InvalidInput(f"evidence: it sums to {total:.6g}, or is not from 0 to 1")
        sums = [0.0, *itertools.accumulate(weights.tolist())]
        wanted = [
            2 * sums[middle] - sums[low] - sums[high] for low, middle, high in self.branchings
        ]
        return tuple(max(-rules.most, min(rules.most, round(z * rules.one))) for z in wanted)

    def certain(self, outcome: int, rules: SwarmRules) -> tuple[int, ...]:
        """Opinions of an agent that is certain of an outcome; zero off the path to it."""
        return tuple(
            0 if not low <= outcome < high else rules.one if outcome < middle else -rules.one
            for low, middle, high in self.branchings
        )

    def outcome(self, opinions: Opinions, rules: SwarmRules) -> int | None:
        """The outcome that settled opinions lead to, None as long as one of them is open."""
        low, high = 0, self.outcomes
        for place, (first, middle, last) in enumerate(self.branchings):
            if (first, last) == (low, high):
                if opinions.streak[place] < rules.beta:
                    return None
                low, high = (low, middle) if opinions.z[place] > 0 else (middle, high)
        return low


def updates(
    own: Opinions, heard: Sequence[Opinions], amplified: int, rules: SwarmRules
) -> list[Work]:
    """The work of one round: an update for each opinion that is not settled."""
    high = rules.kappa if rules.amplify == "purify" else 0
    return [
        Work(z, tuple(one.z[place] for one in heard), high if amplified >> place & 1 else 1)
        for place, z in enumerate(own.z)
        if own.streak[place] < rules.beta
    ]


def updated(own: Opinions, results: Sequence[int], amplified: int, rules: SwarmRules) -> Opinions:
    """The next opinions, from the results of `updates`."""
    left, z, streaks = iter(results), list[int](), list[int]()
    for place, streak in enumerate(own.streak):
        if streak >= rules.beta:
            z.append(own.z[place])
            streaks.append(streak)
            continue
        z.append(next(left))
        certain = amplified >> place & 1 and abs(z[-1]) >= rules.certain
        streaks.append(min(rules.beta, streak + 1) if certain else 0)
    return Opinions(tuple(z), tuple(streaks), amplified)


def evaluate(works: Sequence[Work], f: int) -> list[int]:
    """The results of updates on the integer model, the bits of every exact device."""
    if not works:
        return []
    most = max(len(work.heard) for work in works)
    own, others = np.zeros((len(works), 3), np.int64), np.zeros((len(works), most, 3), np.int64)
    there = np.zeros((len(works), most), np.bool_)
    for place, work in enumerate(works):
        own[place, 2] = work.own
        others[place, : len(work.heard), 2] = work.heard
        there[place, : len(work.heard)] = True
    orders = np.array([work.order for work in works])
    z = np.zeros(len(works), dtype=np.int64)
    for order in np.unique(orders).tolist():
        some = orders == order
        mean = rounds.mean(own[some], others[some], there[some], True, f)
        z[some] = _amplified(own[some], mean, order, f)
    found: list[int] = z.tolist()
    return found


def _amplified(own: IntArray, mean: rounds.Fraction, order: int, f: int) -> IntArray:
    if order:
        return rounds.settle(mean, order.bit_length() - 1, f)[0][:, 2]
    other = rounds.settle(mean, 0, f)[0]
    own, _ = rounds.settle(rounds.interfere(own, other, f), 0, f)
    return rounds.settle(
        rounds.mean(own, other[:, None], np.zeros((len(own), 1), np.bool_), True, f), 0, f
    )[0][:, 2]


@lru_cache(maxsize=64)
def tree(outcomes: int) -> Tree:
    """The tree over so many outcomes."""
    return Tree(outcomes)
