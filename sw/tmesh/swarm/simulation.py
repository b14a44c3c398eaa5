"""Many agents in simulated time: messages as bytes, updates and audits in batches on a device."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tmesh.agent import (
    Agent,
    Compute,
    Decided,
    Effect,
    Exposed,
    Failed,
    Persist,
    Send,
    SetTimer,
    Work,
)
from tmesh.agent.message import parts
from tmesh.agent.records import Record, RecordKind
from tmesh.devices import Device
from tmesh.golden.reference import FloatArray
from tmesh.network import Network

#: Bytes of a message beside its content: source, target, length, checksum.
HEADER_BYTES = 16


#: Places of works, their own opinions and those they hear, and how they are amplified.
_Batch = tuple[list[int], FloatArray, FloatArray, dict[str, Any]]


class _Delivery(NamedTuple):
    message: bytes
    depth: int


class _Timer(NamedTuple):
    timer: tuple[bytes, int]
    life: int


class _Kill(NamedTuple):
    """To an agent: lose everything but the journal."""


@dataclasses.dataclass
class Spent:
    """Work of the device: distinct updates and audits, and core cycles if it has a core."""

    updates: int = 0
    audits: int = 0
    update_cycles: int = 0
    audit_cycles: int = 0


class Simulation:
    """Agents on a network, with one device for all.

    restore: makes an agent again from its journal, after a kill. Times are in simulated seconds.

    - decided: the time of each certificate, by (agent, decision).
    - exposed: the time at which an agent learned of a proof, by (agent, author).
    - depths: messages on the longest causal chain up to an agent's last input.
    - statements: made by each agent.
    - bytes: put on air, by part.
    - failed: agents whose device computed wrong bits, with the reason.
    """

    def __init__(
        self,
        agents: Sequence[Agent],
        network: Network,
        device: Device,
        restore: Callable[[int, list[bytes]], Agent],
    ) -> None:
        self.agents, self.network, self._device = list(agents), network, device
        self._restore = restore
        self._scale = device.config.q.lsb
        self._lives = [0] * len(agents)
        self.journals: list[list[bytes]] = [[] for _ in agents]
        self.depths = [0] * len(agents)
        self.statements = [0] * len(agents)
        self.decided: dict[tuple[int, bytes], float] = {}
        self.exposed: dict[tuple[int, int], float] = {}
        self.failed: dict[int, str] = {}
        self.bytes, self.spent = Counter[str](), Spent()
        self.deliveries = 0
        self._fresh: list[tuple[int, bytes]] = []
        self._waiting: list[tuple[int, int, Compute]] = []
        self._near: list[set[int]] = []
        self._moved = -1.0

    def act(self, agent: int, effects: Iterable[Effect]) -> None:
        """Carry out the effects of one call."""
        for effect in effects:
            match effect:
                case Send(to, message):
                    self._send(agent, to, message)
                case SetTimer(seconds, timer):
                    self.network.wake(agent, seconds, _Timer(timer, self._lives[agent]))
                case Compute():
                    self._waiting.append((agent, self._lives[agent], effect))
                case Persist(record):
                    self.journals[agent].append(record)
                    stated = Record.decode(record).kind == RecordKind.STATEMENT
                    self.statements[agent] += stated
                case Decided(certificate):
                    key = agent, certificate.decision.id
                    if key not in self.decided:
                        self.decided[key] = self.network.now
                        self._fresh.append(key)
                case Exposed(proof):
                    self.exposed.setdefault((agent, proof.author), self.network.now)
                case Failed(reason):
                    self.failed[agent] = reason

    def take_decided(self) -> list[tuple[int, bytes]]:
        """New entries of `decided` since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def kill(self, agent: int, seconds: float) -> None:
        """Kill an agent at a time from now, and start it again."""
        self.network.wake(agent, seconds, _Kill())

    def step(self, until: float) -> bool:
        """Everything within one window of the network; False if nothing is left before a time."""
        arrived = self.network.window(until)
        for _, agent, token in arrived:
            match token:
                case _Delivery(message, depth):
                    self.deliveries += 1
                    self.depths[agent] = max(depth, self.depths[agent])
                    self.act(agent, self.agents[agent].receive(message))
                case _Timer(timer, life) if life == self._lives[agent]:
                    self.act(agent, self.agents[agent].expire(timer))
                case _Kill():
                    self._lives[agent] += 1
                    self.agents[agent] = self._restore(agent, self.journals[agent])
                    self.act(agent, self.agents[agent].start())
        while self._waiting:
            self._compute()
        return bool(arrived)

    def _send(self, agent: int, to: int, message: bytes) -> None:
        if self._moved != self.network.moved:
            self._moved = self.network.moved
            self._near = [set(near.tolist()) for near in self.network.mesh.neighbours]
        if to not in self._near[agent]:  # out of range now
            return
        size = len(message) + HEADER_BYTES
        self.bytes.update(parts(message))
        self.bytes["headers"] += HEADER_BYTES
        self.network.send(agent, to, _Delivery(message, self.depths[agent] + 1), size)

    def _compute(self) -> None:
        """One batch: each distinct update and audit of a window once."""
        waiting, self._waiting = self._waiting, []
        updates = dict.fromkeys(
            work for _, _, one in waiting if one.claimed is None for work in one.works
        )
        audits = dict.fromkeys(
            pair
            for _, _, one in waiting
            if one.claimed is not None
            for pair in zip(one.works, one.claimed, strict=True)
        )
        before = self._device.cycles or 0
        results = dict(zip(updates, self._advance(list(updates)), strict=True))
        between = self._device.cycles or 0
        verdicts = dict(zip(audits, self._audit(list(audits)), strict=True))
        self.spent.updates += len(updates)
        self.spent.audits += len(audits)
        self.spent.update_cycles += between - before
        self.spent.audit_cycles += (self._device.cycles or 0) - between
        for agent, life, one in waiting:
            if life != self._lives[agent]:
                continue
            if one.claimed is None:
                found: list[int] = [results[work] for work in one.works]
            else:
                found = [verdicts[pair] for pair in zip(one.works, one.claimed, strict=True)]
            self.act(agent, self.agents[agent].computed(one.token, found))

    def _advance(self, works: list[Work]) -> list[int]:
        found = [0] * len(works)
        for places, own, heard, options in self._batches(works):
            z = self._device.advance(own, heard, **options)
            for place, value in zip(places, np.rint(z / self._scale).astype(int), strict=True):
                found[place] = int(value)
        return found

    def _audit(self, pairs: list[tuple[Work, int]]) -> list[bool]:
        found = [False] * len(pairs)
        claims = np.array([claim for _, claim in pairs], dtype=np.float64) * self._scale
        for places, own, heard, options in self._batches([work for work, _ in pairs]):
            valid = self._device.audit(own, heard, claims[places], **options)
            for place, value in zip(places, valid.tolist(), strict=True):
                found[place] = value
        return found

    def _batches(self, works: list[Work]) -> Iterator[_Batch]:
        """Works of one order and nearly one degree together: places, own, heard, options."""
        groups: dict[tuple[int, int], list[int]] = {}
        for place, work in enumerate(works):
            degree = 1 << max(len(work.heard) - 1, 0).bit_length()
            groups.setdefault((work.order, degree), []).append(place)
        for (order, _), places in sorted(groups.items()):
            own = np.array([works[place].own for place in places]) * self._scale
            most = max(len(works[place].heard) for place in places)
            heard = np.full((len(places), most), np.nan)
            for row, place in enumerate(places):
                heard[row, : len(works[place].heard)] = works[place].heard
            options = {"kappa": order} if order else {"amplify": "interfere"}
            yield places, own, heard * self._scale, options
