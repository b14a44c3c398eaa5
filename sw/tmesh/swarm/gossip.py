"""The protocol of agents that ask each other: requests, signed statements, rounds."""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Mapping

import numpy as np

from tmesh.adversaries import View, adversary
from tmesh.ledger import Event, InvalidEvent, InvalidSignature, KeySet, Kind, Reference
from tmesh.network import Network
from tmesh.swarm.histories import Histories, Missing, Sync
from tmesh.swarm.opinions import SLACK, Opinions, Statements
from tmesh.swarm.scenario import Scenario
from tmesh.swarm.statement import pack, unpack

#: Bytes of a message beside the event in it: who, to whom, which round, how long.
HEADER_BYTES = 16


@dataclasses.dataclass(frozen=True)
class Wake:
    """To an agent itself: begin a round (the next one), or stop waiting for its answers."""

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
    event: bytes
    statements: tuple[bytes, ...]
    depth: int


@dataclasses.dataclass(frozen=True)
class Release:
    """To an agent itself: a meeting that it was called to does not come about."""

    caller: int
    round: int


@dataclasses.dataclass
class Round:
    """What an agent hears in a round: statements by author. `cites`: what its next statement has
    for parents, where not these."""

    asked: set[int]
    heard: dict[int, Event] = dataclasses.field(default_factory=dict)
    depth: int = 0
    cites: tuple[Reference, ...] | None = None


class Gossip:
    """All agents of a swarm, honest and lying, and what they have under way.

    said: the last statement of each. refused: messages that were dropped, by reason. depth:
    messages on the longest causal chain up to each agent's last update.
    """

    def __init__(
        self,
        scenario: Scenario,
        network: Network,
        opinions: Opinions,
        lying: np.ndarray[tuple[int], np.dtype[np.bool_]],
        rng: np.random.Generator,
        seed: int,
    ) -> None:
        n, self.decisions = scenario.agents, scenario.decisions
        self.scenario, self.network, self.opinions = scenario, network, opinions
        self.lying, self.rng, self.seed = lying, rng, seed
        self.rows = np.arange(n * self.decisions).reshape(self.decisions, n)
        self.round_trip = 2 * scenario.channel.mean
        self.keys, self._signers = KeySet.simulated(n, seed)
        self.decision = hashlib.sha256(f"tmesh decisions {seed}".encode()).digest()
        self.rounds, self.depth = np.zeros((2, n), dtype=np.int64)
        self.bytes: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.accused: list[set[int]] = [set() for _ in range(n)]
        self._liar, self._first = adversary(scenario.adversary), opinions.vectors.copy()
        self.preferred = opinions.preferred(np.tile(lying, (self.decisions, 1)))
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
        self.said: list[Event] = []
        self._tips: list[Event] = []
        for agent in range(n):
            first = Event(agent, 0, Kind.STATEMENT, self.decision, b"", (), self._payload(agent))
            self.said.append(first.signed(self._signers[agent]))
            self._tips.append(self.said[agent])
            self._record(agent, self.said[agent])
            network.wake(agent, self._pause() * rng.random(), Wake(1))

    def settled(self, agent: int) -> bool:
        """Whether an agent has an outcome for every decision."""
        return bool(np.all(self.opinions.settled[self.rows[:, agent]]))

    def receive(self, agent: int, message: object) -> Round | None:
        """Act on a message; the agent's round, if this completes it."""
        match message:
            case Wake(number):
                return self._wake(agent, number)
            case Ask():
                self._answer(agent, message)
            case Answer():
                return self._hear(agent, message)
            case Meet():
                return self._meet(agent, message)
            case Release(caller, number):
                if self._engaged.get(agent) == (caller, number):
                    del self._engaged[agent]
            case Sync() | Missing() if self.histories is not None:
                self.histories.receive(agent, message)
        return None

    def update(self, ready: Mapping[int, Round]) -> None:
        """End the rounds of some agents, in one batch on the device, and let them say so."""
        agents = sorted(ready)
        most = max(len(ready[agent].heard) for agent in agents)
        heard = Statements.silence(len(agents), self.decisions, most)
        senders = np.zeros((len(agents), self.decisions, most), dtype=np.int64)
        for place, agent in enumerate(agents):
            for column, (author, event) in enumerate(sorted(ready[agent].heard.items())):
                heard[place, :, column] = self._read(event)
                senders[place, :, column] = self.rows[:, author]
        rows = self.rows[:, agents].T
        shift = np.array([self._threshold(int(self.rounds[agent])) for agent in agents])
        self.opinions.update(
            rows.reshape(-1),
            heard.reshape(-1, most),
            senders.reshape(-1, most),
            np.repeat(shift, self.decisions),
        )
        for agent in agents:
            done = ready[agent]
            parents = done.cites
            if parents is None:
                parents = tuple(sorted(event.reference for event in done.heard.values()))
            self.said[agent] = self._next(agent, Kind.STATEMENT, parents)
            self.depth[agent] = max(done.depth, self.depth[agent])
            self._rest(agent)

    # Rounds

    def _wake(self, agent: int, number: int) -> Round | None:
        if number <= self.rounds[agent]:  # the time for answers is over
            late = number == self.rounds[agent] and agent in self._open
            return self._complete(agent) if late else None
        if agent in self._engaged:
            self._rest(agent)
            return None
        self.rounds[agent] = number
        others = self.network.mesh.neighbours[agent]
        if self.histories is not None and len(others):
            self.histories.synchronise(agent, int(self.rng.choice(others)))
        if self.settled(agent) or not len(others):
            self._rest(agent)
            return None
        called = self.scenario.k - (self.scenario.mode == "symmetric")
        asked = self.rng.permutation(others)[:called].tolist()
        self._open[agent] = Round(set(asked))
        for other in asked:
            ask = Ask(agent, number, int(self.depth[agent]) + 1)
            self._send(agent, other, ask, 0, "requests")
        self.network.wake(agent, self.scenario.patience * self.round_trip, Wake(number))
        return None

    def _complete(self, agent: int) -> Round | None:
        done = self._open.pop(agent)
        if not done.heard:
            self._rest(agent)
            return None
        if self.scenario.mode == "symmetric":
            cited = tuple(sorted(event.reference for event in done.heard.values()))
            own = self.said[agent]
            meeting = self._next(agent, Kind.MEETING, cited)
            statements = (own, *done.heard.values())
            for other in done.heard:
                encoded = tuple(event.encoded for event in statements)
                message = Meet(agent, meeting.encoded, encoded, done.depth + 1)
                size = len(meeting.encoded) + sum(map(len, encoded))
                self._send(agent, other, message, size, "meetings")
            done.cites = ()
        return done

    def _rest(self, agent: int) -> None:
        """Until the next round, if there is one."""
        done = self.settled(agent) and self.histories is None
        if not done and self.rounds[agent] < self.scenario.rounds:
            pause = self._pause() * (0.5 + self.rng.random())
            self.network.wake(agent, pause, Wake(int(self.rounds[agent]) + 1))

    def _pause(self) -> float:
        return self.scenario.pause * self.round_trip

    def _threshold(self, number: int) -> float:
        """The common random number of a round, from a coin that anyone can work out."""
        if not self.scenario.threshold or number <= self.scenario.threshold_from:
            return 0.0
        draw = np.random.default_rng([self.seed, number]).uniform(-1, 1)
        return float(self.scenario.threshold * draw)

    # Statements

    def _answer(self, agent: int, ask: Ask) -> None:
        if self.scenario.mode == "symmetric":
            if agent in self._open or agent in self._engaged:
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

    def _hear(self, agent: int, answer: Answer) -> Round | None:
        current = self._open.get(agent)
        if current is None or answer.round != self.rounds[agent]:
            return None  # too late
        if answer.sender not in current.asked or answer.sender in current.heard:
            return None
        event = self._accepted(agent, answer.sender, answer.event)
        if event is not None:
            current.heard[answer.sender] = event
            current.depth = max(current.depth, answer.depth)
            if len(current.heard) == len(current.asked):
                return self._complete(agent)
        return None

    def _meet(self, agent: int, meet: Meet) -> Round | None:
        engaged = self._engaged.get(agent)
        if engaged is None or engaged[0] != meet.caller:
            return None
        del self._engaged[agent]
        try:
            meeting = Event.decode(meet.event)
            meeting.verify(self.keys)
            statements = [Event.decode(data) for data in meet.statements]
        except InvalidEvent:
            self.refused["meeting"] += 1
            return None
        cited = {parent.id for parent in meeting.parents} | {meeting.previous}
        if meeting.author != meet.caller or any(event.id not in cited for event in statements):
            self.refused["meeting"] += 1
            return None
        heard = {}
        for event in statements:
            if event.author != agent:
                accepted = self._accepted(agent, event.author, event.encoded)
                if accepted is not None:
                    heard[event.author] = accepted
        self._record(agent, meeting)
        return Round(set(), heard, meet.depth, (meeting.reference,)) if heard else None

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
        longest = float(np.max(np.linalg.norm(said.vectors, axis=1)))
        return f"a vector has length {longest:.3g}" if longest > 1 + SLACK else None

    def _read(self, event: Event) -> Statements:
        return unpack(event.payload, self.decisions, self.opinions.bits)

    def _payload(self, agent: int) -> bytes:
        return pack(self.opinions.said(self.rows[:, agent]))

    def _next(self, agent: int, kind: Kind, parents: tuple[Reference, ...]) -> Event:
        """The next event of an agent's own chain."""
        last = self._tips[agent]
        payload = self._payload(agent) if kind == Kind.STATEMENT else b""
        event = Event(agent, last.seq + 1, kind, self.decision, last.id, parents, payload)
        self._tips[agent] = signed = event.signed(self._signers[agent])
        self._record(agent, signed)
        return signed

    def _lie(self, agent: int, asker: int) -> Event | None:
        """What a liar sends in place of its statement; None for silence."""
        senders, receivers, opinions = self.rows[:, agent], self.rows[:, asker], self.opinions
        n = self.scenario.agents
        view = View(
            senders=senders,
            receivers=receivers,
            honest=opinions.vectors[senders],
            first=self._first[senders],
            states=opinions.vectors,
            lying=np.tile(self.lying, self.decisions),
            camps=self._camps,
            swarms=np.arange(n * self.decisions) // n,
            round=float(opinions.updates[senders].max()),
            rng=self.rng,
        )
        vectors = self._liar.statements(view)
        if np.any(np.isnan(vectors)):
            return None
        if self._liar.replays:
            return self.said[(agent + 1) % n]
        last = self.said[agent]
        claim = Statements(vectors, opinions.prefix[receivers], opinions.length[receivers])
        payload = pack(claim)
        if payload == last.payload:
            return last
        lie = dataclasses.replace(last, payload=payload, signature=b"")
        if self._liar.forges:
            lie = dataclasses.replace(lie, author=(agent + 1) % n)
        return lie.signed(self._signers[agent])

    def _record(self, agent: int, event: Event) -> None:
        if self.histories is not None:
            self.histories.add(agent, event)

    def _send(
        self, source: int, target: int, message: object, size: int, part: str, held: float = 0.0
    ) -> None:
        self.bytes[part] += size + HEADER_BYTES
        self.network.send(source, target, message, size + HEADER_BYTES, held)
