"""The protocol of agents that ask each other: requests, signed statements, rounds."""

import dataclasses
import hashlib
import itertools
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from tmesh.adversaries import View, adversary
from tmesh.genesis import Genesis
from tmesh.ledger import Event, InvalidEvent, InvalidSignature, Kind, Reference, Signer
from tmesh.network import Network
from tmesh.numbers import IntArray
from tmesh.swarm.ballots import Ballot, Ballots, Expire, Proposed, Request
from tmesh.swarm.histories import Histories, Missing, Sync
from tmesh.swarm.opinions import Opinions, Statements
from tmesh.swarm.proposals import OUTCOME_BYTES, Leaf
from tmesh.swarm.roster import Roster
from tmesh.swarm.scenario import Scenario
from tmesh.swarm.statement import pack, unpack
from tmesh.swarm.tosses import Tosses

#: Agents are killed in about so many rounds from the start.
KILLING = 6

#: Bytes of a message beside what is in it: who, to whom, which round or group, how long.
HEADER_BYTES = 16


@dataclasses.dataclass(frozen=True)
class Wake:
    """To an agent itself: begin a round, the next one."""

    round: int


@dataclasses.dataclass(frozen=True)
class Lapse:
    """To an agent itself: stop waiting for the answers of a round."""

    round: int


@dataclasses.dataclass(frozen=True)
class Ask:
    """What do you think?"""

    asker: int
    round: int
    depth: int


@dataclasses.dataclass(frozen=True)
class Answer:
    """A statement: the bytes of an event."""

    sender: int
    round: int
    event: bytes
    depth: int


@dataclasses.dataclass(frozen=True)
class Meet:
    """Mode `symmetric`: the event of a meeting, and the statements that all of it take the mean
    of."""

    caller: int
    group: int
    event: bytes
    statements: tuple[bytes, ...]
    depth: int


@dataclasses.dataclass(frozen=True)
class Release:
    """To an agent itself: a meeting that it was called to does not come about."""

    caller: int
    round: int


@dataclasses.dataclass(frozen=True)
class Forgo:
    """To an agent itself: stop waiting for the coin in this round."""

    round: int


@dataclasses.dataclass(frozen=True)
class Kill:
    """To an agent itself: it loses what it thinks and has heard, but not its journals, into which a
    part of a record is written, nor the chain of its own events."""

    torn: bytes


@dataclasses.dataclass
class Round:
    """What an agent hears in a round: statements by author. `voices`: whose it uses for the
    decisions of each group. `cites`: what its next statement has for parents, where not these."""

    voices: dict[int, list[int]]
    heard: dict[int, Event] = dataclasses.field(default_factory=dict)
    depth: int = 0
    cites: tuple[Reference, ...] | None = None

    @cached_property
    def asked(self) -> list[int]:
        """All of them, once."""
        return list(dict.fromkeys(itertools.chain(*self.voices.values())))


class Gossip:
    """All agents of a swarm, honest and lying, and what they have under way.

    said: the last statement of each. refused: messages that were dropped, by reason. depth:
    messages on the longest causal chain up to each agent's last update.
    """

    def __init__(
        self,
        scenario: Scenario,
        roster: Roster,
        network: Network,
        opinions: Opinions,
        lying: np.ndarray[tuple[int], np.dtype[np.bool_]],
        rng: np.random.Generator,
        seed: int,
        genesis: Genesis,
        signers: Sequence[Signer],
    ) -> None:
        n, self.roster = scenario.agents, roster
        self.scenario, self.network, self.opinions = scenario, network, opinions
        self.lying, self.rng, self.seed = lying, rng, seed
        self.round_trip = 2 * scenario.channel.mean
        self.keys = genesis.keys
        self._signers = [signer.within(genesis.id) for signer in signers]
        self.decision = hashlib.sha256(f"tmesh decisions {seed}".encode()).digest()
        self.rounds, self.depth = np.zeros((2, n), dtype=np.int64)
        self.bytes: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.accused: list[set[int]] = [set() for _ in range(n)]
        self._liar, self._first = adversary(scenario.adversary), opinions.vectors.copy()
        self._lying_rows = np.broadcast_to(lying, roster.members.shape)[roster.members]
        self.preferred = opinions.preferred(self._lying_rows)
        self._camps = opinions.camps(self.preferred)
        self._seen: list[dict[int, Event]] = [{} for _ in range(n)]
        self._open: dict[int, Round] = {}
        self._engaged: dict[int, tuple[int, int]] = {}
        honest = np.nonzero(~lying)[0].tolist()
        self.histories = (
            Histories(self.keys, self._wrong, network, self._send, honest)
            if scenario.ledger
            else None
        )
        self.tosses = Tosses(scenario, roster, seed)
        self.ballots: Ballots | None = None
        if scenario.finality:
            self.ballots = Ballots(
                scenario,
                roster,
                network,
                self._send,
                self.keys,
                self._signers,
                opinions,
                lying,
                self._liar,
                self.rounds,
                self.depth,
            )
        self.ready: dict[int, Round] = {}
        self._waiting: dict[int, Round] = {}
        self.said: list[Event] = []
        self._tips: list[Event] = []
        for agent in range(n):
            payload = pack(opinions.said(roster.own(agent)))
            first = Event(agent, 0, Kind.STATEMENT, self.decision, b"", (), payload)
            self.said.append(first.signed(self._signers[agent]))
            self._tips.append(self.said[agent])
            self._record(agent, self.said[agent])
            network.wake(agent, self._pause() * rng.random(), Wake(1))
        for agent in rng.choice(honest, scenario.kills).tolist():
            seconds = KILLING * scenario.round_seconds * rng.random()
            network.wake(agent, seconds, Kill(rng.bytes(int(rng.integers(20)))))
        self._proposing: dict[tuple[int, int], list[Leaf]] = {}
        for late in scenario.late:
            for number, there in enumerate(roster.members & ~lying):
                proposer = int(rng.choice(np.nonzero(there)[0]))
                leaves = self._proposing.setdefault((proposer, late.round), [])
                leaves.append(Leaf(number, late.outcome))

    def close(self) -> None:
        """Let go of the journals."""
        if self.ballots is not None:
            self.ballots.close()

    def done(self, agent: int) -> bool:
        """Whether an agent has a final certificate, or without finality an outcome, for every
        decision."""
        return self.settled(agent) if self.ballots is None else self.ballots.done(agent)

    def settled(self, agent: int) -> bool:
        """Whether an agent has an outcome for every decision."""
        return bool(np.all(self.opinions.settled[self.roster.own(agent)]))

    def receive(self, agent: int, message: object) -> None:
        """Act on a message; rounds that end by it are in `ready`."""
        match message:
            case Wake(number):
                self._wake(agent, number)
            case Lapse(number):
                if number == self.rounds[agent] and agent in self._open:
                    self._complete(agent)
            case Ask():
                self._answer(agent, message)
            case Answer():
                self._hear(agent, message)
            case Meet():
                self._meet(agent, message)
            case Release(caller, number):
                if self._engaged.get(agent) == (caller, number):
                    del self._engaged[agent]
            case Sync() | Missing() if self.histories is not None:
                self.histories.receive(agent, message)
            case Request() | Ballot() | Proposed() | Expire() if self.ballots is not None:
                self.ballots.receive(agent, message)
            case Forgo(number):
                if number == self.rounds[agent] and agent in self._waiting:
                    self.ready[agent] = self._waiting.pop(agent)
            case Kill(torn):
                self._kill(agent, torn)

    def update(self) -> None:
        """End the rounds that are ready, in one batch on the device, and let agents say so."""
        if self.ballots is not None:
            self.ballots.flush()
        ready, self.ready = self.ready, {}
        agents = sorted(ready)
        if not agents:
            return
        rows = self.roster.rows[:, agents].T
        most = max(len(ready[agent].heard) for agent in agents)
        heard = Statements.silence(*rows.shape, most)
        senders = np.zeros((*rows.shape, most), dtype=np.int64)
        count = np.zeros(rows.shape, dtype=np.int64)
        for place, agent in enumerate(agents):
            for author, event in sorted(ready[agent].heard.items()):
                used = self._used(ready[agent], author)
                heard[place, used, count[place, used]] = self._read(event)[used]
                senders[place, used, count[place, used]] = self.roster.rows[used, author]
                count[place, used] += 1
        there, most = (count > 0) & (rows >= 0), int(count.max())
        shift = np.stack([self.tosses.shift(agent, self._epochs(agent)) for agent in agents])
        self.opinions.update(
            rows[there], heard[there][:, :most], senders[there][:, :most], shift[there]
        )
        if self.ballots is not None:
            self.ballots.settle(agents)
        for agent in agents:
            done = ready[agent]
            parents = done.cites
            if parents is None:
                parents = tuple(sorted(event.reference for event in done.heard.values()))
            self.said[agent] = self._state(agent, parents)
            self.depth[agent] = max(done.depth, self.depth[agent])
            self._rest(agent)

    def _used(self, done: Round, author: int) -> IntArray:
        """The decisions for which a round uses what an author says, who has a part in them."""
        used = [
            number
            for group in self.roster.memberships[author]
            if author in done.voices.get(group, ())
            for number in self.roster.groups[group].decisions
        ]
        return np.array(used, dtype=np.int64)

    # Rounds

    def _wake(self, agent: int, number: int) -> None:
        if number <= self.rounds[agent]:
            return
        if self._busy(agent):
            self._rest(agent)
            return
        self.rounds[agent] = number
        others = self.network.mesh.neighbours[agent]
        groups = [(one, self.roster.groups[one]) for one in self.roster.memberships[agent]]
        near = {one: others[group.there[others]] for one, group in groups}
        if self.histories is not None and len(others):
            self.histories.synchronise(agent, int(self.rng.choice(others)))
        if self.ballots is not None and not self.lying[agent]:
            self._propose(agent, self.ballots)
            for one in near:
                if not self.ballots.done_in(agent, one):
                    asked = self.rng.permutation(near[one])[: self.scenario.spread].tolist()
                    self.ballots.request(agent, one, asked)
        called = self.scenario.k - (self.scenario.mode == "symmetric")
        voices = {
            one: self.rng.permutation(near[one])[:called].tolist()
            for one in self._undecided(agent)
            if len(near[one])
        }
        if not voices:
            self._rest(agent)
            return
        current = self._open[agent] = Round(voices)
        for other in current.asked:
            ask = Ask(agent, number, int(self.depth[agent]) + 1)
            self._send(agent, other, ask, 0, "requests")
        self.network.wake(agent, self.scenario.patience * self.round_trip, Lapse(number))

    def _busy(self, agent: int) -> bool:
        """Whether an agent is in a round of its own, or in a meeting."""
        return any(agent in some for some in (self._open, self._engaged, self._waiting, self.ready))

    def _undecided(self, agent: int) -> list[int]:
        """Groups for whose decisions an agent hears others in a round: a meeting is of one."""
        settled = self.opinions.settled
        groups = [
            one
            for one in self.roster.memberships[agent]
            if not np.all(settled[self.roster.rows[list(self.roster.groups[one].decisions), agent]])
        ]
        if self.scenario.mode == "symmetric" and len(groups) > 1:
            return [int(self.rng.choice(groups))]
        return groups

    def _complete(self, agent: int) -> None:
        done = self._open.pop(agent)
        if not done.heard:
            self._rest(agent)
            return
        if self.scenario.mode == "symmetric":
            (group,) = done.voices
            cited = tuple(sorted(event.reference for event in done.heard.values()))
            own = self.said[agent]
            meeting = self._next(agent, Kind.MEETING, cited, self.decision)
            statements = (own, *done.heard.values())
            for other in done.heard:
                encoded = tuple(event.encoded for event in statements)
                message = Meet(agent, group, meeting.encoded, encoded, done.depth + 1)
                size = len(meeting.encoded) + sum(map(len, encoded))
                self._send(agent, other, message, size, "meetings")
            done.cites = ()
        self._finish(agent, done)

    def _finish(self, agent: int, done: Round) -> None:
        """A round's sample is fixed: it ends at once, or when the coins that it needs are open."""
        self._waiting[agent] = done
        self.tosses.commit(agent, done.voices, self._epochs(agent))
        for other in [one for one in self._waiting if self.tosses.opened(one)]:
            self.ready[other] = self._waiting.pop(other)
        if agent in self._waiting:
            forgo = Forgo(int(self.rounds[agent]))
            self.network.wake(agent, self.scenario.patience * self.round_trip, forgo)

    def _epochs(self, agent: int) -> IntArray:
        """Which epoch an agent is in, (decisions,)."""
        if self.ballots is None:
            return np.ones(len(self.roster.members), dtype=np.int64)
        return self.ballots.epochs(agent)

    def _propose(self, agent: int, ballots: Ballots) -> None:
        """Publish the outcomes that it is time for, for those who ask for votes to learn of."""
        for leaf in self._proposing.pop((agent, int(self.rounds[agent])), ()):
            name = ballots.decisions[leaf.decision].id
            payload = leaf.outcome.to_bytes(OUTCOME_BYTES, "little")
            event = self._next(agent, Kind.PROPOSAL, (), name, payload)
            ballots.proposals.hear(agent, event.encoded)

    def _kill(self, agent: int, torn: bytes) -> None:
        """An agent loses all but its journals and its own events, and begins anew."""
        for rounds in (self._open, self.ready, self._waiting):
            rounds.pop(agent, None)
        self._engaged.pop(agent, None)
        self._seen[agent].clear()
        if self.ballots is not None:
            self.ballots.restart(agent, torn)
        self._rest(agent)

    def _rest(self, agent: int) -> None:
        """Until the next round, if there is one."""
        done = self.done(agent) and self.histories is None
        if not done and self.rounds[agent] < self.scenario.rounds:
            pause = self._pause() * (0.5 + self.rng.random())
            self.network.wake(agent, pause, Wake(int(self.rounds[agent]) + 1))

    def _pause(self) -> float:
        return self.scenario.pause * self.round_trip

    # Statements

    def _answer(self, agent: int, ask: Ask) -> None:
        if self.scenario.mode == "symmetric":
            if self._busy(agent):
                return
            self._engaged[agent] = ask.asker, ask.round
            wait = 2 * self.scenario.patience * self.round_trip
            self.network.wake(agent, wait, Release(ask.asker, ask.round))
        event = self._lie(agent, ask.asker) if self.lying[agent] else self.said[agent]
        if event is not None:
            depth = max(int(self.depth[agent]), ask.depth) + 1
            answer = Answer(agent, ask.round, event.encoded, depth)
            held = self._liar.held * self.round_trip if self.lying[agent] else 0.0
            self._send(agent, ask.asker, answer, len(event.encoded), "statements", held)

    def _hear(self, agent: int, answer: Answer) -> None:
        current = self._open.get(agent)
        if current is None or answer.round != self.rounds[agent]:
            return  # too late
        if answer.sender not in current.asked or answer.sender in current.heard:
            return
        event = self._accepted(agent, answer.sender, answer.event)
        if event is not None:
            current.heard[answer.sender] = event
            current.depth = max(current.depth, answer.depth)
            if len(current.heard) == len(current.asked):
                self._complete(agent)

    def _meet(self, agent: int, meet: Meet) -> None:
        engaged = self._engaged.get(agent)
        if engaged is None or engaged[0] != meet.caller:
            return
        del self._engaged[agent]
        try:
            meeting = Event.decode(meet.event)
            meeting.verify(self.keys)
            statements = [Event.decode(data) for data in meet.statements]
        except InvalidEvent:
            self.refused["meeting"] += 1
            return
        cited = {parent.id for parent in meeting.parents} | {meeting.previous}
        if meeting.author != meet.caller or any(event.id not in cited for event in statements):
            self.refused["meeting"] += 1
            return
        heard = {}
        for event in statements:
            if event.author != agent:
                accepted = self._accepted(agent, event.author, event.encoded)
                if accepted is not None:
                    heard[event.author] = accepted
        self._record(agent, meeting)
        if heard:
            voices = {meet.group: list(heard)}
            self._finish(agent, Round(voices, heard, meet.depth, (meeting.reference,)))

    def _accepted(self, agent: int, sender: int, data: bytes) -> Event | None:
        """The event in these bytes, if it is a statement that `sender` signed, and no older than
        the last one from him."""
        reason = None
        try:
            event = Event.decode(data)
            event.verify(self.keys)
        except InvalidSignature:
            reason = "signature"
        except InvalidEvent:
            reason = "encoding"
        if reason is None:
            reason = self._refusal(agent, sender, event)
        if reason is not None:
            self.refused[reason] += 1
            return None
        self._seen[agent][sender] = event
        self._record(agent, event)
        return event

    def _refusal(self, agent: int, sender: int, event: Event) -> str | None:
        if event.author != sender:
            return "author"
        if event.kind != Kind.STATEMENT or event.decision != self.decision:
            return "decision"
        if self._wrong(event):
            return "state"
        if sender in self.accused[agent]:
            return "accused"
        last = self._seen[agent].get(sender)
        if last is not None and event.seq < last.seq:
            return "old"
        if last is not None and event.seq == last.seq and event.id != last.id:
            self.accused[agent].add(sender)
            self._record(agent, event)
            return "equivocation"
        return None

    def _wrong(self, event: Event) -> str | None:
        """What is wrong with the payload of a statement."""
        if event.kind != Kind.STATEMENT:
            return None
        try:
            said = self._read(event)
        except ValueError as error:
            return str(error)
        lengths = np.linalg.norm(said.vectors, axis=1)  # NaN for silence
        wrong = lengths[lengths > self.opinions.longest]
        return f"a vector has length {wrong.max():.3g}" if len(wrong) else None

    def _read(self, event: Event) -> Statements:
        """What an author says of each decision (decisions,), silence where he has no part."""
        own = self.roster.decisions[event.author]
        said = Statements.silence(len(self.roster.members))
        said[own] = unpack(event.payload, len(own), self.opinions.bits)
        return said

    def _state(self, agent: int, parents: tuple[Reference, ...]) -> Event:
        """An agent's next statement."""
        payload = pack(self.opinions.said(self.roster.own(agent)))
        return self._next(agent, Kind.STATEMENT, parents, self.decision, payload)

    def _next(
        self,
        agent: int,
        kind: Kind,
        parents: tuple[Reference, ...],
        decision: bytes,
        payload: bytes = b"",
    ) -> Event:
        """The next event of an agent's own chain."""
        last = self._tips[agent]
        event = Event(agent, last.seq + 1, kind, decision, last.id, parents, payload)
        self._tips[agent] = signed = event.signed(self._signers[agent])
        self._record(agent, signed)
        return signed

    def _lie(self, agent: int, asker: int) -> Event | None:
        """What a liar sends in place of its statement; None for silence."""
        opinions, own = self.opinions, self.roster.decisions[agent]
        shared = self.roster.members[own, asker]
        about = own[shared]
        senders, receivers = self.roster.rows[about, agent], self.roster.rows[about, asker]
        view = View(
            senders=senders,
            receivers=receivers,
            honest=opinions.vectors[senders],
            first=self._first[senders],
            states=opinions.vectors,
            lying=self._lying_rows,
            camps=self._camps[about],
            swarms=opinions.swarms,
            round=float(opinions.updates[senders].max()),
            coin=self.tosses.betrayed(asker, self._epochs(asker))[about],
            rng=self.rng,
        )
        vectors = self._liar.statements(view)
        if np.any(np.isnan(vectors)):
            return None
        if self._liar.replays:
            return self.said[(agent + 1) % len(self.said)]
        last = self.said[agent]
        claim = opinions.said(self.roster.own(agent))
        claim[shared] = Statements(vectors, opinions.prefix[receivers], opinions.length[receivers])
        payload = pack(claim)
        if payload == last.payload:
            return last
        lie = dataclasses.replace(last, payload=payload, signature=b"")
        if self._liar.forges:
            other = (agent + 1) % len(self.said)
            parents = tuple(parent for parent in lie.parents if parent.author != other)
            lie = dataclasses.replace(lie, author=other, parents=parents)
        return lie.signed(self._signers[agent])

    def _record(self, agent: int, event: Event) -> None:
        if self.histories is not None:
            self.histories.add(agent, event)

    def _send(
        self, source: int, target: int, message: object, size: int, part: str, held: float = 0.0
    ) -> None:
        self.bytes[part] += size + HEADER_BYTES
        self.network.send(source, target, message, size + HEADER_BYTES, held)
