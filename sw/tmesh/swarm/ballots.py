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
from tmesh.ledger import Journal, KeySet, Signer
from tmesh.network import Network
from tmesh.numbers import BoolArray, IntArray
from tmesh.swarm.opinions import NONE, SEVERAL, Opinions
from tmesh.swarm.scenario import Scenario


@dataclasses.dataclass(frozen=True)
class Request:
    """Which votes do you have that I lack? A summary for each decision."""

    asker: int
    known: tuple[Summary, ...]
    depth: int


@dataclasses.dataclass(frozen=True)
class Ballot:
    """Votes, packed, for each decision."""

    votes: tuple[bytes, ...]
    depth: int


@dataclasses.dataclass(frozen=True)
class Expire:
    """To an agent itself: the time of an epoch is over."""

    decision: int
    epoch: int


class Ballots:
    """The voters of all agents in all decisions, rows (decisions, agents) of `opinions`.

    `send(source, target, message, size, part)` puts a message on air. rounds: those that each agent
    has begun; depth: of each agent's last cause, kept up to date. refused: votes that were dropped,
    by reason. finished: in which of its own rounds each agent had all its certificates, −1 before.
    """

    def __init__(
        self,
        scenario: Scenario,
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
        n, self.scenario = scenario.agents, scenario
        self._network, self._send, self._keys, self._signers = network, send, keys, signers
        self._opinions, self._lying, self._liar = opinions, lying, liar
        self._rounds, self._depth = rounds, depth
        self._rows = np.arange(n * scenario.decisions).reshape(scenario.decisions, n)
        self._liars = sum(1 << agent for agent in range(n) if lying[agent])
        self.decisions = [
            Decision.of_all(f"decision {number}".encode(), n, scenario.declared)
            for number in range(scenario.decisions)
        ]
        self.refused: Counter[str] = Counter()
        self.finished = np.full(n, -1)
        self._cast: list[dict[Vote, int]] = [{} for _ in self.decisions]
        self._begun: dict[int, Begin] = {}
        self._stack = ExitStack()
        self._journals: dict[tuple[int, int], Journal] = {}
        self._folder: Path | None = None
        if scenario.kills:
            self._folder = Path(self._stack.enter_context(TemporaryDirectory("-tmesh-votes")))
        numbers = range(scenario.decisions)
        self._voters = [[self._voter(agent, number) for number in numbers] for agent in range(n)]
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
        held = [[voter.certificate for voter in voters] for voters in self._voters]
        outcomes = [[-1 if one is None else one.outcome for one in some] for some in held]
        return np.array(outcomes, dtype=np.int64).T

    @property
    def certificates(self) -> list[Certificate]:
        """Final certificates that honest agents hold, one for each decision and outcome."""
        held = {
            (number, voter.certificate.outcome): voter.certificate
            for agent, voters in enumerate(self._voters)
            for number, voter in enumerate(voters)
            if voter.certificate is not None and not self._lying[agent]
        }
        return [held[key] for key in sorted(held)]

    @property
    def tombstones(self) -> int:
        """Attestations by honest agents of outcomes that lost."""
        return sum(
            len(voter.tombstones)
            for agent, voters in enumerate(self._voters)
            for voter in voters
            if not self._lying[agent]
        )

    def done(self, agent: int) -> bool:
        """Whether an agent holds a final certificate for every decision."""
        return all(voter.certificate is not None for voter in self._voters[agent])

    def epochs(self, agent: int) -> IntArray:
        """Which epoch an agent is in, (decisions,)."""
        return np.array([voter.epoch for voter in self._voters[agent]])

    @property
    def last_epoch(self) -> int:
        """The last epoch that an honest agent is in."""
        return max(
            voter.epoch
            for agent, voters in enumerate(self._voters)
            for voter in voters
            if not self._lying[agent]
        )

    def request(self, agent: int, others: Sequence[int]) -> None:
        """Ask some agents for votes."""
        known = tuple(voter.summary for voter in self._voters[agent])
        message = Request(agent, known, int(self._depth[agent]) + 1)
        size = sum(len(summary.encoded) for summary in known)
        for other in others:
            self._send(agent, other, message, size, "requests")

    def receive(self, agent: int, message: Request | Ballot | Expire) -> None:
        """Act on a message."""
        match message:
            case Request():
                self._answer(agent, message)
            case Ballot():
                self._hear(agent, message)
            case Expire(decision, epoch):
                self._voters[agent][decision].expired(epoch)
        self._attend(agent)

    def settle(self, agents: Sequence[int]) -> None:
        """Attest what the opinions of agents have settled on."""
        rows = self._rows[:, list(agents)]
        outcomes = self._opinions.chosen(rows.reshape(-1)).reshape(rows.shape)
        for column, agent in enumerate(agents):
            if not self._lying[agent]:
                for number, outcome in enumerate(outcomes[:, column].tolist()):
                    if outcome >= 0:
                        self._voters[agent][number].collapsed(outcome)
                self._attend(agent)

    def restart(self, agent: int, torn: bytes) -> None:
        """Kill an agent while it writes, and start it again from its journals."""
        for number in range(len(self.decisions)):
            journal = self._journals.pop((agent, number))
            journal.close()
            with journal.path.open("ab") as tail:
                tail.write(torn)
            self._voters[agent][number] = self._voter(agent, number)
        self._opinions.forget(self._rows[:, agent])
        self._attend(agent)

    def flush(self) -> None:
        """Let the opinions follow the epochs that have begun."""
        if self._begun:
            rows = np.array(sorted(self._begun))
            begins = [self._begun[row] for row in rows.tolist()]
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
        return Voter(decision, self._keys, signer, self._opinions.outcome_count, journal)

    def _attend(self, agent: int) -> None:
        """Do what the voters of an agent ask for."""
        if self.finished[agent] < 0 and self.done(agent):
            self.finished[agent] = self._rounds[agent]
        for number, voter in enumerate(self._voters[agent]):
            for reply in voter.replies:
                if isinstance(reply, Begin) and not self._lying[agent]:
                    self._begun[int(self._rows[number, agent])] = reply
                elif isinstance(reply, Start):
                    rounds = self.scenario.timeout * reply.epoch
                    seconds = rounds * self.scenario.round_seconds
                    self._network.wake(agent, seconds, Expire(number, reply.epoch))
            voter.replies.clear()
            if self._liars and not self._lying[agent]:
                cast = self._cast[number]
                for vote, signers in voter.state.tallies:
                    cast[vote] = cast.get(vote, 0) | signers & 1 << agent

    def _answer(self, agent: int, request: Request) -> None:
        tell = self._lie if self._lying[agent] else self._tell
        told = [tell(agent, number, request) for number in range(len(self.decisions))]
        if any(told):
            depth = max(int(self._depth[agent]), request.depth) + 1
            ballot = Ballot(tuple(map(pack, told)), depth)
            self._send(agent, request.asker, ballot, sum(map(len, ballot.votes)), "votes")

    def _hear(self, agent: int, ballot: Ballot) -> None:
        new = False
        for voter, data in zip(self._voters[agent], ballot.votes, strict=False):
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

    def _tell(self, agent: int, number: int, request: Request) -> list[Signed]:
        voter = self._voters[agent][number]
        return voter.lacking(request.known[number], self.scenario.votes)

    def _lie(self, agent: int, number: int, request: Request) -> list[Signed]:
        decision, signer = self.decisions[number], self._signers[agent]
        about = np.arange(1, self._voters[request.asker][number].epoch + 1)
        outcomes = range(self.scenario.outcomes)
        attested = [
            [self._cast[number].get(Vote(Act.ATTEST, epoch, outcome), 0) for outcome in outcomes]
            for epoch in about.tolist()
        ]
        asker = 1 << request.asker
        poll = Poll(
            listeners=np.full(len(about), request.asker),
            epoch=np.full(len(about), about[-1]),
            about=about,
            hidden=np.array([[self._hides(decision, one) for one in some] for some in attested]),
            first=np.array([any(one & -one == asker for one in some) for some in attested]),
        )
        return [
            Signed(agent, vote, decision.sign(signer, vote))
            for place, act, outcome in np.argwhere(self._liar.votes(poll)).tolist()
            for vote in [Vote((Act.ATTEST, Act.COMMIT)[act], place + 1, outcome)]
        ]

    def _hides(self, decision: Decision, attested: int) -> bool:
        """Whether an outcome would be locked, but for the liars' signatures."""
        together = (attested | self._liars).bit_count()
        return attested.bit_count() < decision.quorum <= together
