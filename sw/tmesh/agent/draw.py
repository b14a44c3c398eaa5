"""The drawn links of one epoch and generation.

A pseudo-random function of public values draws them, so each agent can compute the whole draw, and
no agent chooses its neighbours. The function is SHAKE-256 (FIPS 202), one call for each agent.
"""

import dataclasses
import hashlib
from collections import deque
from functools import cached_property, lru_cache

import cbor2
import numpy as np

from tmesh.errors import InvalidInput
from tmesh.finality import Decision
from tmesh.finality.encoding import bitmap, bits, packed
from tmesh.genesis import Genesis

#: Draws until one connects all that the mesh connects.
ATTEMPTS = 16

#: First in the input of the pseudo-random function.
DOMAIN = "tmesh draw 1"

#: First in the hash that draws the leader.
LEADER = "tmesh leader 1"

_BYTES = 8


@dataclasses.dataclass(frozen=True)
class Draw:
    """Drawn links. `members`: the agents that take part, as the bits of a number. `neighbours`: the
    agents that each agent of the swarm hears, none for the others. `leader`: the member whose coin
    counts, −1 in a draw without members."""

    members: int
    neighbours: tuple[int, ...]
    leader: int = -1

    @cached_property
    def lists(self) -> tuple[tuple[int, ...], ...]:
        """The same neighbours in ascending order: a list in a statement marks some of them."""
        return tuple(tuple(bits(near)) for near in self.neighbours)

    def heard(self, author: int, list_: int) -> tuple[int, ...]:
        """The agents in a list, ascending: bit n marks the author's n-th drawn neighbour. Raises
        `InvalidInput` for a list that marks more agents than were drawn."""
        found = self._heard.get((author, list_))
        if found is None:
            drawn = self.lists[author]
            if list_ >> len(drawn):
                raise InvalidInput(f"list: {len(drawn)} agents were drawn")
            found = tuple(agent for n, agent in enumerate(drawn) if list_ >> n & 1)
            self._heard[author, list_] = found
        return found

    @cached_property
    def reach(self) -> int:
        """Links from the leader to the farthest agent that a path connects with it."""
        seen = front = 1 << self.leader if self.leader >= 0 else 0
        links = -1
        while front:
            links += 1
            reached = 0
            for agent in bits(front):
                reached |= self.neighbours[agent]
            front = reached & ~seen
            seen |= front
        return links

    @cached_property
    def _heard(self) -> dict[tuple[int, int], tuple[int, ...]]:
        return {}

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """Broadcast trees, one rooted at each agent: `children[agent]` holds for each entry of
        `lists[agent]` the roots, as the bits of a number, whose messages the agent passes to it.
        Each message then crosses each tree once, along a shortest path."""
        passed = [[0] * len(near) for near in self.lists]
        place = [{other: n for n, other in enumerate(near)} for near in self.lists]
        for root, near in enumerate(self.lists):
            seen, queue = {root}, deque([root] if near else ())
            while queue:
                agent = queue.popleft()
                # Another start for each root spreads the load over equal paths.
                start = root % len(self.lists[agent])
                for other in self.lists[agent][start:] + self.lists[agent][:start]:
                    if other not in seen:
                        seen.add(other)
                        queue.append(other)
                        passed[agent][place[agent][other]] |= 1 << root
        return tuple(map(tuple, passed))


@lru_cache(maxsize=256)
def draw(genesis: Genesis, decision: Decision, epoch: int, generation: int) -> Draw:
    """The links of one epoch and generation, the bitmap of agents with a fraud proof.

    Each agent picks the first ⌈k/2⌉ of its neighbours in a random order of its own, or all if it
    has at most k. A link is drawn if either end picks it. An agent with more than 2k drawn links
    keeps the first 2k, and a link stays if both ends keep it. A draw that separates agents of
    a connected mesh is repeated, up to 16 draws. At level `sampled` so is one whose parts are wider
    than the `horizon` less one.
    """
    present = decision.agents & ~generation
    allowed = [near & present if present >> agent & 1 else 0 for agent, near in _mesh(genesis)]
    parts = _components(allowed)
    wide = genesis.rules.horizon - 1 if genesis.rules.level == "sampled" else None
    for attempt in range(ATTEMPTS):
        seed = [DOMAIN, genesis.id, decision.id, epoch, packed(generation), attempt]
        drawn = _attempt(cbor2.dumps(seed, canonical=True), allowed, genesis.rules.k)
        if _components(drawn) == parts and (wide is None or _narrow(drawn, wide)):
            break
    return Draw(present, tuple(drawn), _leader(genesis, decision, epoch, generation, present))


def _leader(genesis: Genesis, decision: Decision, epoch: int, generation: int, members: int) -> int:
    """The member whose number in their order is a hash modulo their count."""
    seed = [LEADER, genesis.id, decision.id, epoch, packed(generation)]
    value = int.from_bytes(hashlib.sha256(cbor2.dumps(seed, canonical=True)).digest())
    order = list(bits(members))
    return order[value % len(order)] if order else -1


def _mesh(genesis: Genesis) -> list[tuple[int, int]]:
    return list(enumerate(genesis.neighbours))


def _attempt(seed: bytes, allowed: list[int], k: int) -> list[int]:
    orders = [_order(seed, agent, near, len(allowed)) for agent, near in enumerate(allowed)]
    heard = [0] * len(allowed)
    for agent, order in enumerate(orders):
        for other in order if len(order) <= k else order[: (k + 1) // 2]:
            heard[agent] |= 1 << other
            heard[other] |= 1 << agent
    kept = heard.copy()
    for agent, near in enumerate(heard):
        if near.bit_count() > 2 * k:
            kept[agent] = bitmap([one for one in orders[agent] if near >> one & 1][: 2 * k])
    return [
        bitmap(one for one in bits(near) if kept[one] >> agent & 1)
        for agent, near in enumerate(kept)
    ]


def _order(seed: bytes, agent: int, near: int, agents: int) -> list[int]:
    """Neighbours in the order of their part of the agent's pseudo-random bytes."""
    if not near:
        return []
    data = hashlib.shake_256(seed + agent.to_bytes(4)).digest(_BYTES * agents)
    others = np.fromiter(bits(near), dtype=np.int64)
    keys = np.frombuffer(data, dtype=">u8")[others]
    found: list[int] = others[np.argsort(keys, kind="stable")].tolist()
    return found


def _components(neighbours: list[int]) -> set[int]:
    """The sets of agents that paths connect, as the bits of numbers."""
    found, left = set[int](), (1 << len(neighbours)) - 1
    while left:
        part = front = left & -left
        while front:
            reached = 0
            for agent in bits(front):
                reached |= neighbours[agent]
            front = reached & ~part
            part |= front
        found.add(part)
        left &= ~part
    return found


def _narrow(neighbours: list[int], links: int) -> bool:
    """Whether so many links lead from each agent to every other one that any number leads to."""
    near = np.eye(len(neighbours), dtype=np.float32)
    for agent, some in enumerate(neighbours):
        near[agent, list(bits(some))] = 1
    reached = near
    for _ in range(links - 1):
        reached = np.minimum(reached @ near, 1)
    return np.array_equal(reached, np.minimum(reached @ near, 1))
