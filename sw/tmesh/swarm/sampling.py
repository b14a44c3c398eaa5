"""Random neighbours and random groups, compiled: a sweep draws them by the hundred million."""

import numpy as np

from tmesh.compiled import compiled
from tmesh.numbers import IntArray

#: Neighbours of agents, those of agent i from starts[i] to starts[i + 1]; without any, all others.
Lists = tuple[IntArray, IntArray]

COMPLETE: Lists = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


def lists(neighbours: list[IntArray]) -> Lists:
    """`Lists` of what `tmesh.network.Mesh` has."""
    counts = np.array([len(some) for some in neighbours])
    return np.concatenate([[0], np.cumsum(counts)]), np.concatenate(neighbours)


@compiled
def pulled(rng: np.random.Generator, rows: IntArray, size: int, mesh: Lists, k: int) -> IntArray:
    """k different random neighbours of each of `rows` (m,), (m, k); −1 where it has fewer. Rows are
    agents of several swarms of `size`, one after another, whose meshes are one behind the other."""
    starts, others = mesh
    chosen = np.full((len(rows), k), -1)
    for m in range(len(rows)):
        row = rows[m]
        degree = starts[row + 1] - starts[row] if len(starts) else size - 1
        for j in range(min(k, degree)):
            # Floyd's draw of k different numbers below the degree.
            top = degree - min(k, degree) + j
            number = rng.integers(0, top + 1)
            for i in range(j):
                if chosen[m, i] == number:
                    number = top
                    break
            chosen[m, j] = number
        for j in range(min(k, degree)):
            number = chosen[m, j]
            if len(starts):
                chosen[m, j] = others[starts[row] + number]
            else:
                own = row % size
                chosen[m, j] = row - own + number + (number >= own)
    return chosen


@compiled
def grouped(rng: np.random.Generator, rows: IntArray, size: int, mesh: Lists, k: int) -> IntArray:
    """Others (m, k − 1) that meet with each of `rows` (m,) in a group of up to k, −1 for none:
    every row is in one group, with neighbours of the one who called it."""
    starts, others = mesh
    place = np.full(rows.max() + 1 if len(rows) else 0, -1)
    for m in range(len(rows)):
        place[rows[m]] = m
    chosen = np.full((len(rows), k - 1), -1)
    free = np.ones(len(rows), dtype=np.bool_)
    group = np.empty(k, dtype=np.int64)
    for caller in rng.permutation(len(rows)):
        if not free[caller]:
            continue
        row = rows[caller]
        group[0], count = caller, 1
        degree = starts[row + 1] - starts[row] if len(starts) else size - 1
        for number in rng.permutation(degree):
            if count == k:
                break
            if len(starts):
                other = others[starts[row] + number]
            else:
                own = row % size
                other = row - own + number + (number >= own)
            where = place[other] if other < len(place) else -1
            if where >= 0 and free[where]:
                group[count] = where
                count += 1
        for a in range(count):
            free[group[a]] = False
            column = 0
            for b in range(count):
                if b != a:
                    chosen[group[a], column] = rows[group[b]]
                    column += 1
    return chosen
