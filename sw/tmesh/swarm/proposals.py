"""Outcomes that come late: who knows of which, and the signed events by which others learn."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from tmesh.finality import Decision
from tmesh.ledger import Event, InvalidEvent, KeySet, Kind
from tmesh.swarm.opinions import Opinions
from tmesh.swarm.roster import Roster

#: An outcome's number in the payload of a proposal, little-endian.
OUTCOME_BYTES = 2

#: Bytes of a `Leaf` in a message.
LEAF_BYTES = 4


class Leaf(NamedTuple):
    """An outcome of a decision: one of a conflict set, and where its bits lead."""

    decision: int
    outcome: int


class Proposals:
    """The proposals of `late` outcomes that each agent holds, and what follows for its opinions."""

    def __init__(
        self,
        roster: Roster,
        decisions: Sequence[Decision],
        late: Collection[int],
        keys: KeySet,
        opinions: Opinions,
    ) -> None:
        self._roster, self._late, self._keys, self._opinions = roster, late, keys, opinions
        self._numbers = {decision.id: number for number, decision in enumerate(decisions)}
        self._held: list[dict[Leaf, Event]] = [{} for _ in range(roster.members.shape[1])]

    def known(self, agent: int, group: int) -> frozenset[Leaf]:
        """Outcomes of a group's decisions that an agent has been told of."""
        decisions = self._roster.groups[group].decisions
        return frozenset(leaf for leaf in self._held[agent] if leaf.decision in decisions)

    def lacking(self, agent: int, group: int, known: frozenset[Leaf]) -> tuple[bytes, ...]:
        """Proposals of those of them that somebody else does not know."""
        there = sorted(self.known(agent, group) - known)
        return tuple(self._held[agent][one].encoded for one in there)

    def hear(self, agent: int, data: bytes) -> bool:
        """Learn of an outcome; whether it is news. Raises `InvalidEvent` for what proposes none."""
        event = Event.decode(data)
        event.verify(self._keys)
        leaf = self._meant(event)
        row = self._roster.rows[[leaf.decision], agent]
        if leaf in self._held[agent] or row[0] < 0:
            return False
        self._held[agent][leaf] = event
        self._opinions.learn(row, leaf.outcome)
        return True

    def forget(self, agent: int) -> None:
        """All but an agent's own, which are in its chain."""
        own = [event for event in self._held[agent].values() if event.author == agent]
        self._held[agent].clear()
        for event in own:
            self.hear(agent, event.encoded)

    def _meant(self, event: Event) -> Leaf:
        """What is proposed. Raises `InvalidEvent` if an author proposes what he cannot."""
        number = self._numbers.get(event.decision)
        outcome = int.from_bytes(event.payload, "little")
        bare = len(event.payload) == OUTCOME_BYTES and not event.parents
        if number is None or event.kind != Kind.PROPOSAL or not bare or outcome not in self._late:
            raise InvalidEvent("it proposes no late outcome of a decision that there is")
        if not self._roster.members[number, event.author]:
            raise InvalidEvent(f"agent {event.author} has no part in the decision")
        return Leaf(number, outcome)
