"""The votes of a swarm: what its agents sign, send each other, and make final."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tmesh.adversaries import Adversary, Poll
from tmesh.finality import Certificate, Decision, Signed, Summary, Vote, Voter, pack, unpack
from tmesh.finality.rules import Act, Begin, Start
from tmesh.ledger import InvalidEvent, Journal, KeySet, Signer
from tmesh.network import Network
from tmesh.numbers import BoolArray, IntArray
from tmesh.swarm.opinions import NONE, SEVERAL, Opinions
from tmesh.swarm.proposals import LEAF_BYTES, Leaf, Proposals
from tmesh.swarm.roster import Roster
from tmesh.swarm.scenario import Scenario


@dataclasses.dataclass(frozen=True)
class Request:
    """Which votes and proposals do you have that I lack? A summary for each decision of a group,
    and outcomes that are known."""

    asker: int
    group: int
    known: tuple[Summary, ...]
    proposed: frozenset[Leaf]
    depth: int


@dataclasses.dataclass(frozen=True)
class Ballot:
    """Votes, packed, for each decision of a group."""

    group: int
    votes: tuple[bytes, ...]
    depth: int


@dataclasses.dataclass(frozen=True)
class Proposed:
    """Events that propose outcomes."""

    events: tuple[bytes, ...]
    depth: int


@dataclasses.dataclass(frozen=True)
class Expire:
    """To an agent itself: the time of an epoch is over."""

    decision: int
    epoch: int


class Ballots:
    """The voters of all agents in all decisions that they have a part in.

    `send(source, target, message, size, part)` puts a message on air. rounds: those that each agent
    has begun; depth: of each agent's last cause, kept up to date. refused: votes that were dropped,
    by reason. finished: in which of its own rounds each agent had all its certificates, −1 before.
    """

    def __init__(
        self,
        scenario: Scenario,
        roster: Roster,
        network: Network,
        send: Callable[[int, int, object, int, str], None],
        keys: KeySet,
        signers: Sequence[Signer],
        opinions: Opinions,
        lying: BoolArray,
        liar: Adversary,
        rounds: IntArray,
        depth: IntArray,
    ) -> None:
        n, self.scenario, self._roster = scenario.agents, scenario, roster
        self._network, self._send, self._keys, self._signers = network, send, keys, signers
        self._opinions, self._lying, self._liar = opinions, lying, liar
        self._rounds, self._depth = rounds, depth
        self._liars = sum(1 << agent for agent in range(n) if lying[agent])
        self.decisions = [
            group.decision(number) for group in roster.groups for number in group.decisions
        ]
        late = {one.outcome for one in scenario.late}
        self.proposals = Proposals(roster, self.decisions, late, keys, opinions)
        self.refused: Counter[str] = Counter()
        self.finished = np.full(n, -1)
        self._cast: list[dict[Vote, int]] = [{} for _ in self.decisions]
        self._begun: dict[int, Begin] = {}
        self._stack = ExitStack()
        self._journals: dict[tuple[int, int], Journal] = {}
        self._folder: Path | None = None
        if scenario.kills:
            self._folder = Path(self._stack.enter_context(TemporaryDirectory("-tmesh-votes")))
        self._voters = [
            {number: self._voter(agent, number) for number in roster.decisions[agent].tolist()}
            for agent in range(n)
        ]
        for agent in range(n):
            self._attend(agent)

    def close(self) -> None:
        """Let go of the journals."""
        for journal in self._journals.values():
            journal.close()
        self._stack.close()

    @property
    def final(self) -> IntArray:
        """Outcomes (decisions, agents) of which an agent holds a final certificate, −1 for none."""
        outcomes = np.full(self._roster.members.shape, -1)
        for agent, voters in enumerate(self._voters):
            for number, voter in voters.items():
                if voter.certificate is not None:
                    outcomes[number, agent] = voter.certificate.outcome
        return outcomes

    @property
    def certificates(self) -> list[Certificate]:
        """Final certificates that honest agents hold, one for each decision and outcome."""
        held = {
            (number, voter.certificate.outcome): voter.certificate
            for agent, voters in enumerate(self._voters)
            for number, voter in voters.items()
            if voter.certificate is not None and not self._lying[agent]
        }
        return [held[key] for key in sorted(held)]

    @property
    def tombstones(self) -> int:
        """Attestations by honest agents of outcomes that lost."""
        return sum(
            len(voter.tombstones)
            for agent, voters in enumerate(self._voters)
            for voter in voters.values()
            if not self._lying[agent]
        )

    def done(self, agent: int) -> bool:
        """Whether an agent holds a final certificate for every decision that it has a part in."""
        return all(voter.certificate is not None for voter in self._voters[agent].values())

    def done_in(self, agent: int, group: int) -> bool:
        """The same, for those of a group that it is in."""
        numbers = self._roster.groups[group].decisions
        return all(self._voters[agent][number].certificate is not None for number in numbers)

    def epochs(self, agent: int) -> IntArray:
        """Which epoch an agent is in, (decisions,), 1 where it has no part."""
        epochs = np.ones(len(self.decisions), dtype=np.int64)
        for number, voter in self._voters[agent].items():
            epochs[number] = voter.epoch
        return epochs

    @property
    def last_epoch(self) -> int:
        """The last epoch that an honest agent is in."""
        return max(
            voter.epoch
            for agent, voters in enumerate(self._voters)
            for voter in voters.values()
            if not self._lying[agent]
        )

    def request(self, agent: int, group: int, others: Sequence[int]) -> None:
        """Ask some agents of a group for votes and proposals."""
        numbers = self._roster.groups[group].decisions
        known = tuple(self._voters[agent][number].summary for number in numbers)
        proposed = self.proposals.known(agent, group)
        message = Request(agent, group, known, proposed, int(self._depth[agent]) + 1)
        size = sum(len(summary.encoded) for summary in known) + LEAF_BYTES * len(proposed)
        for other in others:
            self._send(agent, other, message, size, "requests")

    def receive(self, agent: int, message: Request | Ballot | Proposed | Expire) -> None:
        """Act on a message."""
        match message:
            case Request():
                self._answer(agent, message)
            case Ballot():
                self._hear(agent, message)
            case Proposed():
                self._learn(agent, message)
            case Expire(decision, epoch):
                self._voters[agent][decision].expired(epoch)
        self._attend(agent)

    def settle(self, agents: Sequence[int]) -> None:
        """Attest what the opinions of agents have settled on."""
        for agent in agents:
            if not self._lying[agent]:
                outcomes = self._opinions.chosen(self._roster.own(agent)).tolist()
                for voter, outcome in zip(self._voters[agent].values(), outcomes, strict=True):
                    if outcome >= 0:
                        voter.collapsed(outcome)
                self._attend(agent)

    def restart(self, agent: int, torn: bytes) -> None:
        """Kill an agent while it writes, and start it again from its journals."""
        for number in self._voters[agent]:
            journal = self._journals.pop((agent, number))
            journal.close()
            with journal.path.open("ab") as tail:
                tail.write(torn)
            self._voters[agent][number] = self._voter(agent, number)
        self._opinions.forget(self._roster.own(agent))
        self.proposals.forget(agent)
        self._attend(agent)

    def flush(self) -> None:
        """Let the opinions follow the epochs that have begun."""
        if self._begun:
            rows = np.array(sorted(self._begun))
            begins = [self._begun[row] for row in rows.tolist()]
            for row, begin in zip(rows.tolist(), begins, strict=True):
                self._opinions.admit(row, begin.outcomes)
            single = [begin.outcomes[0] if len(begin.outcomes) == 1 else NONE for begin in begins]
            undecided = np.array([len(begin.outcomes) > 1 for begin in begins])
            epochs = np.array([begin.epoch for begin in begins])
            self._opinions.reopen(rows, epochs, np.where(undecided, SEVERAL, single))
            self._begun.clear()

    def _voter(self, agent: int, number: int) -> Voter:
        journal = None
        if self._folder is not None:
            journal = Journal(self._folder / f"{agent}-{number}.votes")
            self._journals[agent, number] = journal
        signer, decision = self._signers[agent], self.decisions[number]
        return Voter(decision, self._keys, signer, journal)

    def _attend(self, agent: int) -> None:
        """Do what the voters of an agent ask for."""
        if self.finished[agent] < 0 and self.done(agent):
            self.finished[agent] = self._rounds[agent]
        for number, voter in self._voters[agent].items():
            for reply in voter.replies:
                if isinstance(reply, Begin) and not self._lying[agent]:
                    self._begun[int(self._roster.rows[number, agent])] = reply
                elif isinstance(reply, Start) and self._rounds[agent] < self.scenario.rounds:
                    rounds = self.scenario.timeout * reply.epoch
                    seconds = rounds * self.scenario.round_seconds
                    self._network.wake(agent, seconds, Expire(number, reply.epoch))
            voter.replies.clear()
            if self._liars and not self._lying[agent]:
                cast = self._cast[number]
                for vote, signers in voter.state.tallies:
                    cast[vote] = cast.get(vote, 0) | signers & 1 << agent

    def _answer(self, agent: int, request: Request) -> None:
        tell, group = self._lie if self._lying[agent] else self._tell, request.group
        told = [
            tell(agent, number, request.asker, known)
            for number, known in zip(
                self._roster.groups[group].decisions, request.known, strict=True
            )
        ]
        depth = max(int(self._depth[agent]), request.depth) + 1
        if any(told):
            ballot = Ballot(group, tuple(map(pack, told)), depth)
            self._send(agent, request.asker, ballot, sum(map(len, ballot.votes)), "votes")
        events = self.proposals.lacking(agent, group, request.proposed)[: self.scenario.votes]
        if events:
            proposed = Proposed(events, depth)
            self._send(agent, request.asker, proposed, sum(map(len, events)), "proposals")

    def _hear(self, agent: int, ballot: Ballot) -> None:
        new, numbers = False, self._roster.groups[ballot.group].decisions
        for number, data in zip(numbers, ballot.votes, strict=True):
            voter = self._voters[agent][number]
            before = voter.state
            try:
                refused = voter.hear(unpack(data))
            except ValueError:
                refused = 1
            if refused:
                self.refused["vote"] += refused
            new |= voter.state is not before
        if new:
            self._depth[agent] = max(self._depth[agent], ballot.depth)

    def _learn(self, agent: int, proposed: Proposed) -> None:
        for data in proposed.events:
            try:
                if self.proposals.hear(agent, data):
                    self._depth[agent] = max(self._depth[agent], proposed.depth)
            except InvalidEvent:
                self.refused["proposal"] += 1

    def _tell(self, agent: int, number: int, _asker: int, known: Summary) -> list[Signed]:
        return self._voters[agent][number].lacking(known, self.scenario.votes)

    def _lie(self, agent: int, number: int, asker: int, _known: Summary) -> list[Signed]:
        decision, signer = self.decisions[number], self._signers[agent]
        about = np.arange(1, self._voters[asker][number].epoch + 1)
        outcomes = range(self.scenario.outcomes)
        attested = [
            [self._cast[number].get(Vote(Act.ATTEST, epoch, outcome), 0) for outcome in outcomes]
            for epoch in about.tolist()
        ]
        poll = Poll(
            listeners=np.full(len(about), asker),
            epoch=np.full(len(about), about[-1]),
            about=about,
            hidden=np.array([[self._hides(decision, one) for one in some] for some in attested]),
            first=np.array([any(one & -one == 1 << asker for one in some) for some in attested]),
        )
        return [
            Signed(agent, vote, decision.sign(signer, vote))
            for place, act, outcome in np.argwhere(self._liar.votes(poll)).tolist()
            for vote in [Vote((Act.ATTEST, Act.COMMIT)[act], place + 1, outcome)]
        ]

    def _hides(self, decision: Decision, attested: int) -> bool:
        """Whether an outcome would be locked, but for the liars' signatures."""
        together = (attested | self._liars & decision.agents).bit_count()
        return attested.bit_count() < decision.quorum <= together
