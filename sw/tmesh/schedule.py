"""In which order events on resident states may run, with the result of one after another.

An event reads its members and writes the first, or the first two. Another event may overlap it or
overtake it as long as neither reads or writes a state that the other writes. A read and a later
write of the same agent may share a moment, because all reads of a moment come before its writes.
"""

from collections.abc import Iterator

import numpy as np
from numba import njit

from tmesh import checks
from tmesh.compiled import compiled
from tmesh.errors import InvalidInput
from tmesh.numbers import IntArray

#: Events computed at a time: twice as fast where they fit a cache.
CHUNK = 8192


def levels(members: IntArray, both: bool, agents: int) -> IntArray:
    """The earliest level (m,) of each event of `members` (m, n): events of one level do not depend
    on each other, and those of all levels, one after another, give the sequential result.

    An event reads all its members, but those that are −1, and writes the first; with `both` the
    second, too.
    """
    agents = checks.integer("agents", agents, least=0)
    return _levels(_events("members", members, both, agents), both, agents)


@compiled
def _levels(members: IntArray, both: bool, agents: int) -> IntArray:
    written, read = np.full(agents, -1), np.full(agents, -1)
    result = np.empty(len(members), dtype=np.int64)
    for event in range(len(members)):
        a = members[event, 0]
        level = read[a]
        if both:
            level = max(level, read[members[event, 1]])
        for member in members[event]:
            if member >= 0:
                level = max(level, written[member] + 1)
        for member in members[event]:
            if member >= 0:
                read[member] = max(read[member], level)
        written[a] = level
        if both:
            written[members[event, 1]] = level
        result[event] = level
    return result


def in_levels(members: IntArray, both: bool, agents: int) -> Iterator[tuple[IntArray, IntArray]]:
    """The events of `members` (m, n) level by level, in parts of at most `CHUNK`: which they are,
    and their members."""
    level = levels(members, both, agents)
    order = np.argsort(level, kind="stable")
    ordered = members[order]
    start = 0
    for end in np.cumsum(np.bincount(level)).tolist():
        for first in range(start, end, CHUNK):
            part = slice(first, min(first + CHUNK, end))
            yield order[part], ordered[part]
        start = end


def bundles(pairs: IntArray, both: bool, agents: int, lanes: int, distance: int) -> IntArray:
    """The bundle (m,) of each event, for a core of `lanes` lanes that reads what an event wrote
    `distance` cycles after it.

    A bundle has a slot for each lane; agent i is written by lane i mod `lanes`. An event takes one
    slot. A both-write takes one slot of each agent, or a slot and the lane's next free one if both
    agents are of one lane. Each event takes the earliest cycle in which all its operands are ready.
    Empty cycles are no bundles: the core waits by itself.
    """
    agents, lanes = checks.integer("agents", agents), checks.integer("lanes", lanes, least=1)
    distance = checks.integer("distance", distance, least=1)
    events = _events("pairs", checks.rows("pairs", pairs, 2), True, agents)
    return _bundles(events, both, agents, lanes, distance)


def _events(name: str, value: IntArray, both: bool, agents: int) -> IntArray:
    """`value`, checked: compiled code would write beyond its arrays for an agent out of range."""
    members = checks.integers(name, value, " (m, n)")
    written = 1 + both
    if members.ndim != 2 or members.shape[1] < written:
        raise InvalidInput(
            f"{name} must be integers (m, n), n at least {written}, not of shape {members.shape}"
        )
    checks.numbered(name, members[:, :written], agents, "agents")
    checks.numbered(name, members[:, written:], agents, "agents", least=-1)
    return members


@compiled
def _bundles(pairs: IntArray, both: bool, agents: int, lanes: int, distance: int) -> IntArray:
    written, read = np.full(agents, -distance), np.full(agents, -1)
    # Cycles, twice as many whenever they run out: most schedules need few of the cycles of the
    # slowest.
    slots = (lanes, 2 * (len(pairs) // lanes + distance + 4))
    taken = np.zeros(slots, dtype=np.int32)  # see `_free`
    doubles = np.zeros(slots, dtype=np.bool_)
    full = np.zeros(lanes, dtype=np.int64)  # cycles of a lane before this one are taken
    latest = 0
    result = np.empty(len(pairs), dtype=np.int64)
    for event in range(len(pairs)):
        if latest + distance + 4 > taken.shape[1]:
            taken = np.concatenate((taken, np.zeros_like(taken)), axis=1)
            doubles = np.concatenate((doubles, np.zeros_like(doubles)), axis=1)
        a, b = pairs[event, 0], pairs[event, 1]
        mine, his = a % lanes, b % lanes
        time = max(written[a] + distance, written[b] + distance, read[a], 0)
        if both:
            time = max(time, read[b])
        time = _free(taken[mine], max(time, full[mine]))
        second = time
        if both and mine != his:
            other = _free(taken[his], time)
            while other != time:
                time = _free(taken[mine], other)
                other = _free(taken[his], time)
            taken[his, time] = 1
            second = time
        elif both:
            second = _free(taken[mine], time + 1)
            while np.any(doubles[mine, time:second]):
                time = second
                second = _free(taken[mine], time + 1)
            taken[mine, second] = 1
            doubles[mine, time:second] = True
        taken[mine, time] = 1
        written[a] = time
        if both:
            written[b] = second
        latest = max(latest, second)
        read[a] = max(read[a], time)
        read[b] = max(read[b], time)
        full[mine] = _free(taken[mine], full[mine])
        result[event] = time
    used = np.zeros(taken.shape[1], dtype=np.int64)
    for lane in taken:
        used |= lane != 0
    return (np.cumsum(used) - 1)[result]


@njit()
def _free(taken: IntArray, time: int) -> int:
    """The first free cycle of a lane from `time` on. The entry of a free cycle is 0, another says
    how far on to look, further each time it was looked at."""
    end = time
    while taken[end]:
        end += taken[end]
    while time != end:
        step = taken[time]
        taken[time] = end - time
        time += step
    return end
