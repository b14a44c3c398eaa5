"""Every agent's copy of the history, and how copies become equal again after a partition."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence

from tmesh.ledger import Event, InvalidEvent, InvalidMessage, KeySet, Ledger, Reconciler
from tmesh.network import Network, Partition

#: Events travel so many in a message.
EVENTS = 32


@dataclasses.dataclass(frozen=True)
class Sync:
    """A message of `tmesh.ledger.Reconciler`."""

    sender: int
    data: bytes


@dataclasses.dataclass(frozen=True)
class Missing:
    """Events that the receiver seems to lack."""

    events: tuple[bytes, ...]


class Histories:
    """A ledger for each agent. `send(source, target, message, size, part)` puts a message on air.

    heals: of each partition that is over, `seconds`, `rounds` and `bytes` from its end until all
    honest agents had every event that one of them had then.
    """

    def __init__(
        self,
        keys: KeySet,
        check: Callable[[Event], str | None],
        network: Network,
        send: Callable[[int, int, object, int, str], None],
        honest: Sequence[int],
    ) -> None:
        self.ledgers = [Ledger(keys, check) for _ in range(len(keys))]
        self.heals: list[dict[str, float]] = []
        self.refused: Counter[str] = Counter()
        self._network, self._send, self._honest = network, send, honest
        self._ahead = sorted(network.partitions, key=lambda partition: partition.end)
        self._healing: _Heal | None = None
        self._reconcilers: dict[int, tuple[set[bytes], Reconciler]] = {}

    @property
    def whole(self) -> bool:
        """Whether no partition is ahead, and all have healed."""
        return not self._ahead and self._healing is None

    def add(self, agent: int, event: Event) -> None:
        """An agent has made or heard an event."""
        try:
            self.ledgers[agent].append(event)
        except InvalidEvent:
            self.refused["event"] += 1

    def synchronise(self, agent: int, other: int) -> None:
        """Begin an exchange."""
        self._sync(agent, other, self._reconciler(agent).open())

    def receive(self, agent: int, message: Sync | Missing) -> None:
        """Go on with one."""
        if isinstance(message, Missing):
            for data in message.events:
                try:
                    self.ledgers[agent].append(Event.decode(data))
                except InvalidEvent:
                    self.refused["event"] += 1
            return
        ledger = self.ledgers[agent]
        try:
            reply, lacking, _ = self._reconciler(agent).answer(message.data)
        except InvalidMessage:
            self.refused["sync"] += 1
            return
        if reply is not None:
            self._sync(agent, message.sender, reply)
        if not lacking:
            return
        held = [*ledger, *ledger.surplus]
        events = [event.encoded for event in held if event.id in lacking]
        for first in range(0, len(events), EVENTS):
            some = tuple(events[first : first + EVENTS])
            size = sum(map(len, some))
            self._send(agent, message.sender, Missing(some), size, "history")

    def watch(self, rounds: float) -> None:
        """Note when a partition ends, and when it has healed; `rounds` have gone by."""
        now = self._network.now
        if self._healing is None and self._ahead and now >= self._ahead[0].end:
            union = set[bytes]().union(*(self.ledgers[agent].ids for agent in self._honest))
            partition = self._ahead.pop(0)
            self._healing = _Heal(partition, union, rounds, self._network.bytes)
        heal = self._healing
        if heal is not None and all(heal.union <= self._ids(agent) for agent in self._honest):
            self.heals.append(
                {
                    "seconds": now - heal.partition.end,
                    "rounds": rounds - heal.rounds,
                    "bytes": float(self._network.bytes - heal.bytes),
                    "events": float(len(heal.union)),
                }
            )
            self._healing = None

    def accused(self) -> set[int]:
        """Agents of whom some honest ledger holds a proof of equivocation."""
        return {author for agent in self._honest for author in self.ledgers[agent].equivocators()}

    def _reconciler(self, agent: int) -> Reconciler:
        """Of an agent's present ids. Most messages find the same ids as the one before."""
        ids = self._ids(agent)
        if agent not in self._reconcilers or self._reconcilers[agent][0] != ids:
            self._reconcilers[agent] = ids, Reconciler(ids)
        return self._reconcilers[agent][1]

    def _ids(self, agent: int) -> set[bytes]:
        """Of all events that an agent need not be sent."""
        ledger = self.ledgers[agent]
        return ledger.ids | {event.id for event in ledger.surplus}

    def _sync(self, agent: int, other: int, data: bytes) -> None:
        self._send(agent, other, Sync(agent, data), len(data), "reconciliation")


@dataclasses.dataclass(frozen=True)
class _Heal:
    partition: Partition
    union: set[bytes]
    rounds: float
    bytes: int
