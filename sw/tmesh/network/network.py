"""An asynchronous network in simulated time: messages arrive late, twice, or never."""

import heapq
import itertools
from collections.abc import Sequence
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, model_validator

from tmesh.errors import InvalidInput
from tmesh.network.channel import Channel, Seconds
from tmesh.network.topology import Mesh
from tmesh.settings import Settings

#: Agents by number.
Agents = Annotated[tuple[Annotated[int, Field(ge=0, strict=True)], ...], Field(strict=False)]

#: Random numbers are drawn in batches of this size.
BLOCK = 1 << 12


class Partition(Settings):
    """From `start` to `end`, in seconds, messages pass only between agents of the same group.

    Agents that no group names form one more group."""

    start: Seconds
    end: Seconds
    groups: Annotated[tuple[Agents, ...], Field(strict=False)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end < self.start:
            raise InvalidInput(f"end: {self.end:g} is before start, {self.start:g}")
        members = list(itertools.chain(*self.groups))
        if len(set(members)) != len(members):
            raise InvalidInput("groups: an agent is in two groups")
        return self


class Network:
    """Messages and timers in the order of time; deterministic in `rng`.

    `frames` and `bytes` count what was put on air, lost or not; `lost` and `parted` what a channel
    or a partition kept from arriving. `moved` is the time when the mesh last changed.
    """

    def __init__(
        self,
        channel: Channel,
        mesh: Mesh,
        rng: np.random.Generator,
        partitions: Sequence[Partition] = (),
    ) -> None:
        self.channel, self.mesh = channel, mesh
        self.now = 0.0
        self.frames = self.bytes = self.lost = self.parted = 0
        self._rng = rng
        self._queue: list[tuple[float, int, int, Any]] = []
        self._order = itertools.count()
        self._bad: dict[tuple[int, int], bool] = {}
        self._delays: list[float] = []
        self._uniform: list[float] = []
        self.moved = 0.0
        self.partitions = tuple(partitions)
        self._partitions = [
            (part, {agent: side for side, group in enumerate(part.groups) for agent in group})
            for part in partitions
        ]

    @property
    def lookahead(self) -> float:
        """Nothing that is sent arrives sooner than this, in seconds."""
        return self.channel.minimum

    def send(self, source: int, target: int, message: Any, size: int, held: float = 0.0) -> None:
        """Put a message of `size` bytes on air, after holding it back for `held` seconds."""
        self.frames += 1
        self.bytes += size
        start = self.now + held
        for partition, sides in self._partitions:
            if partition.start <= start < partition.end and sides.get(source) != sides.get(target):
                self.parted += 1
                return
        copies = 1 + (self.channel.duplicates > 0 and self._chance(self.channel.duplicates))
        for _ in range(copies):
            if self._loses((source, target)):
                self.lost += 1
            else:
                self._push(start + self._delay(), target, message)

    def wake(self, agent: int, seconds: float, token: Any) -> None:
        """Give `token` back to `agent` after some time."""
        self._push(self.now + seconds, agent, token)

    def window(self, until: float) -> list[tuple[float, int, Any]]:
        """The next arrivals, (time, agent, message): all messages within `lookahead` of the first,
        and so independent of messages sent in answer. Time advances to its end; the list is empty
        if nothing arrives before `until`."""
        if not self._queue or self._queue[0][0] >= until:
            return []
        end = self._queue[0][0] + self.lookahead
        arrived = []
        while self._queue and self._queue[0][0] < end:
            time, _, agent, message = heapq.heappop(self._queue)
            arrived.append((time, agent, message))
        self.now = end
        refresh = self.mesh.topology.refresh
        if self.mesh.topology.speed and self.now - self.moved >= refresh:
            self.mesh.move(self.now - self.moved)
            self.moved = self.now
        return arrived

    def _push(self, time: float, agent: int, message: Any) -> None:
        heapq.heappush(self._queue, (time, next(self._order), agent, message))

    def _delay(self) -> float:
        if not self._delays:
            self._delays = self.channel.delays(self._rng, BLOCK)
        return self._delays.pop()

    def _chance(self, probability: float) -> bool:
        if not self._uniform:
            self._uniform = self._rng.random(BLOCK).tolist()
        return self._uniform.pop() < probability

    def _loses(self, link: tuple[int, int]) -> bool:
        channel = self.channel
        if channel.worsen:
            bad = self._bad.get(link)
            if bad is None:  # as after any long time
                bad = self._chance(channel.worsen / (channel.worsen + channel.recover))
            bad ^= self._chance(channel.recover if bad else channel.worsen)
            self._bad[link] = bad
            return self._chance(channel.burst_loss if bad else channel.loss)
        return channel.loss > 0 and self._chance(channel.loss)
