"""The protocol of agents that ask each other: requests, signed statements, rounds."""

import dataclasses
import hashlib
from collections import Counter

import numpy as np

from tmesh.adversaries import View, adversary
from tmesh.finality import Coin
from tmesh.finality.coin import Round as Toss
from tmesh.golden.reference import FloatArray
from tmesh.ledger import Event, InvalidEvent, InvalidSignature, KeySet, Kind, Reference
from tmesh.network import Network
from tmesh.swarm.ballots import Ballot, Ballots, Expire, Request
from tmesh.swarm.histories import Histories, Missing, Sync
from tmesh.swarm.opinions import SLACK, Opinions, Statements
from tmesh.swarm.scenario import Scenario
from tmesh.swarm.statement import pack, unpack

#: Agents are killed in about so many rounds from the start.
KILLING = 6

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


@dataclasses.dataclass(frozen=True)
class Forgo:
    """To an agent itself: stop waiting for the coin."""

    toss: Toss


@dataclasses.dataclass(frozen=True)
class Kill:
    """To an agent itself: it loses what it thinks and has heard, but not its journals, into which a
    part of a record is written, nor the chain of its own events."""

    torn: bytes


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
        self.coin = Coin(scenario.coin, seed, scenario.declared + 1)
        self.ballots: Ballots | None = None
        if scenario.finality:
            self.ballots = Ballots(
                scenario,
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
        self._waiting: dict[Toss, dict[int, Round]] = {}
        self._tossed: dict[int, Toss] = {}
        self.said: list[Event] = []
        self._tips: list[Event] = []
        for agent in range(n):
            first = Event(agent, 0, Kind.STATEMENT, self.decision, b"", (), self._payload(agent))
            self.said.append(first.signed(self._signers[agent]))
            self._tips.append(self.said[agent])
            self._record(agent, self.said[agent])
            network.wake(agent, self._pause() * rng.random(), Wake(1))
        for agent in rng.choice(honest, scenario.kills).tolist():
            seconds = KILLING * scenario.round_seconds * rng.random()
            network.wake(agent, seconds, Kill(rng.bytes(int(rng.integers(20)))))

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
        return bool(np.all(self.opinions.settled[self.rows[:, agent]]))

    def receive(self, agent: int, message: object) -> None:
        """Act on a message; rounds that end by it are in `ready`."""
        match message:
            case Wake(number):
                self._wake(agent, number)
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
            case Request() | Ballot() | Expire() if self.ballots is not None:
                self.ballots.receive(agent, message)
            case Forgo(toss):
                self._forgo(agent, toss)
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
        most = max(len(ready[agent].heard) for agent in agents)
        heard = Statements.silence(len(agents), self.decisions, most)
        senders = np.zeros((len(agents), self.decisions, most), dtype=np.int64)
        for place, agent in enumerate(agents):
            for column, (author, event) in enumerate(sorted(ready[agent].heard.items())):
                heard[place, :, column] = self._read(event)
                senders[place, :, column] = self.rows[:, author]
        rows = self.rows[:, agents].T
        shift = np.stack([self._shift(agent) for agent in agents])
        self.opinions.update(
            rows.reshape(-1),
            heard.reshape(-1, most),
            senders.reshape(-1, most),
            shift.reshape(-1),
        )
        if self.ballots is not None:
            self.ballots.settle(agents)
        for agent in agents:
            done = ready[agent]
            parents = done.cites
            if parents is None:
                parents = tuple(sorted(event.reference for event in done.heard.values()))
            self.said[agent] = self._next(agent, Kind.STATEMENT, parents)
            self.depth[agent] = max(done.depth, self.depth[agent])
            self._rest(agent)

    # Rounds

    def _wake(self, agent: int, number: int) -> None:
        if number <= self.rounds[agent]:  # the time for answers is over
            if number == self.rounds[agent] and agent in self._open:
                self._complete(agent)
            return
        if agent in self._engaged:
            self._rest(agent)
            return
        self.rounds[agent] = number
        others = self.network.mesh.neighbours[agent]
        if self.histories is not None and len(others):
            self.histories.synchronise(agent, int(self.rng.choice(others)))
        if self.ballots is not None and not self.lying[agent] and not self.ballots.done(agent):
            self.ballots.request(
                agent, self.rng.permutation(others)[: self.scenario.spread].tolist()
            )
        if self.settled(agent) or not len(others):
            self._rest(agent)
            return
        called = self.scenario.k - (self.scenario.mode == "symmetric")
        asked = self.rng.permutation(others)[:called].tolist()
        self._open[agent] = Round(set(asked))
        for other in asked:
            ask = Ask(agent, number, int(self.depth[agent]) + 1)
            self._send(agent, other, ask, 0, "requests")
        self.network.wake(agent, self.scenario.patience * self.round_trip, Wake(number))

    def _complete(self, agent: int) -> None:
        done = self._open.pop(agent)
        if not done.heard:
            self._rest(agent)
            return
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
        self._finish(agent, done)

    def _finish(self, agent: int, done: Round) -> None:
        """A round's sample is fixed: it ends at once, or when the coin that it needs is open."""
        if not self._tossing(agent):
            self.ready[agent] = done
            return
        toss = self._tossed[agent] = self.coin.commit(agent, self._epoch(agent))
        self._waiting.setdefault(toss, {})[agent] = done
        if self.coin.opened(toss):
            self.ready.update(self._waiting.pop(toss))
        else:
            self.network.wake(agent, self.scenario.patience * self.round_trip, Forgo(toss))

    def _forgo(self, agent: int, toss: Toss) -> None:
        """End a round without the coin, if it still waits for it."""
        waiting = self._waiting.get(toss, {})
        if agent in waiting:
            self.ready[agent] = waiting.pop(agent)

    def _epoch(self, agent: int) -> int:
        """The last epoch that an agent is in, of all its decisions."""
        return 1 if self.ballots is None else int(self.ballots.epochs(agent).max())

    def _tossing(self, agent: int) -> bool:
        """Whether an agent is past the first epoch in some decision, and uses the coin."""
        if self.ballots is None or not self.scenario.threshold or self.coin.kind == "none":
            return False
        return bool(np.any(self.ballots.epochs(agent) > 1))

    def _shift(self, agent: int) -> FloatArray:
        """How far the coin moves the means of an agent, (decisions,)."""
        toss = self._tossed.pop(agent, None)
        if toss is None or self.ballots is None or not self.coin.opened(toss):
            return np.zeros(self.decisions)
        shift = self.scenario.threshold * self.coin.number(toss)
        return np.where(self.ballots.epochs(agent) > 1, shift, 0.0)

    def _kill(self, agent: int, torn: bytes) -> None:
        """An agent loses all but its journals and its own events, and begins anew."""
        for rounds in (self._open, self.ready, *self._waiting.values()):
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
            self._finish(agent, Round(set(), heard, meet.depth, (meeting.reference,)))

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
            coin=np.array([self._betrayed(asker)] * len(senders)),
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

    def _betrayed(self, asker: int) -> float:
        if not self._tossing(asker):
            return float("nan")
        return self.scenario.threshold * self.coin.betrayed(
            self.coin.next(asker, self._epoch(asker))
        )

    def _record(self, agent: int, event: Event) -> None:
        if self.histories is not None:
            self.histories.add(agent, event)

    def _send(
        self, source: int, target: int, message: object, size: int, part: str, held: float = 0.0
    ) -> None:
        self.bytes[part] += size + HEADER_BYTES
        self.network.send(source, target, message, size + HEADER_BYTES, held)
