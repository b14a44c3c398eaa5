"""Outcomes that come late: who knows of which, and the signed events by which others learn."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tmesh.finality import Decision
from tmesh.ledger import Event, InvalidEvent, KeySet, Kind
from tmesh.swarm.opinions import Opinions
from tmesh.swarm.roster import Roster

#: An outcome's number in the payload of a proposal, little-endian.
OUTCOME_BYTES = 2

#: Bytes of a `Member` in a message.
MEMBER_BYTES = 4


class Member(NamedTuple):
    """An outcome of a decision, one of the conflict set."""

    decision: int
    outcome: int


class Proposals:
    """The proposals that each agent holds, and what follows for its opinions.

    refused: events that are none, by reason.
    """

    def __init__(
        self, roster: Roster, decisions: Sequence[Decision], keys: KeySet, opinions: Opinions
    ) -> None:
        self._roster, self._keys, self._opinions = roster, keys, opinions
        self._numbers = {decision.id: number for number, decision in enumerate(decisions)}
        self._held: list[dict[Member, Event]] = [{} for _ in range(roster.members.shape[1])]
        self.refused: Counter[str] = Counter()

    def known(self, agent: int, group: int) -> frozenset[Member]:
        """Outcomes of a group's decisions that an agent has been told of."""
        decisions = self._roster.groups[group].decisions
        return frozenset(member for member in self._held[agent] if member.decision in decisions)

    def lacking(self, agent: int, group: int, known: frozenset[Member]) -> tuple[bytes, ...]:
        """Proposals of those of them that somebody else does not know."""
        there = sorted(self.known(agent, group) - known)
        return tuple(self._held[agent][one].encoded for one in there)

    def hear(self, agent: int, data: bytes) -> bool:
        """Learn of an outcome; whether it was a proposal."""
        try:
            event = Event.decode(data)
            event.verify(self._keys)
            member = self._meant(event)
        except InvalidEvent:
            self.refused["proposal"] += 1
            return False
        row = self._roster.rows[[member.decision], agent]
        if member not in self._held[agent] and row[0] >= 0:
            self._held[agent][member] = event
            self._opinions.learn(row, member.outcome)
        return True

    def forget(self, agent: int) -> None:
        """All but an agent's own, which are in its chain."""
        own = [event for event in self._held[agent].values() if event.author == agent]
        self._held[agent].clear()
        for event in own:
            self.hear(agent, event.encoded)

    def _meant(self, event: Event) -> Member:
        """What is proposed. Raises `InvalidEvent` if an author proposes what he cannot."""
        number = self._numbers.get(event.decision)
        outcome = int.from_bytes(event.payload, "little")
        right = event.kind == Kind.PROPOSAL and len(event.payload) == OUTCOME_BYTES
        if number is None or not right or outcome >= self._opinions.outcome_count:
            raise InvalidEvent("it proposes no outcome of a decision that there is")
        if not self._roster.members[number, event.author]:
            raise InvalidEvent(f"agent {event.author} has no part in the decision")
        return Member(number, outcome)
