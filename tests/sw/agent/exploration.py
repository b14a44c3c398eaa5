"""Explores the schedules of four real agents for a few rounds.

`python tests/sw/agent/exploration.py ROUNDS LATE` explores all scenarios. Mail arrives in the order
in which it was sent, except that up to LATE messages are late: each arrives at any later time, or
never. With `all` every message is late, so every order is explored. An agent's beat expires
when no mail but late mail is on the way.

The device's results come at once, and so does the timer that sends votes. A Byzantine agent
hears everything at once. Equal states are explored once. An event of an agent is computed once for
each state of that agent.
"""

import dataclasses
import io
import itertools
import pickle
import random
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from tmesh.adversaries import Byzantine, Plot
from tmesh.adversaries.byzantine import Rewriting
from tmesh.adversaries.lies import Stubborn
from tmesh.adversaries.silence import Mute
from tmesh.agent import Agent, Compute, Effect, Memo, Persist, Send, SetTimer, Statement, evaluate
from tmesh.agent.deliberation import BEAT, FLUSH
from tmesh.agent.draw import Draw
from tmesh.agent.history import Entry
from tmesh.agent.message import Bundle, decode
from tmesh.agent.opinion import Opinions, Tree
from tmesh.agent.proof import Proof
from tmesh.agent.records import Record, RecordKind
from tmesh.finality import Decision
from tmesh.genesis import Genesis, SwarmRules
from tmesh.ledger import KeySet, Signer

if __package__:
    from .schedules import lemma
else:
    from schedules import lemma  # type: ignore[import-not-found, no-redef]


AGENTS, BYZANTINE = 4, 3


class TwoFaced(Rewriting):
    """Sends each of its openings twice: as it is, and with the opposite opinion."""

    def filter(self, effects: list[Effect]) -> list[Effect]:
        return [one for effect in effects for one in self._both(effect)]

    def _both(self, effect: Effect) -> Iterator[Effect]:
        yield effect
        if not isinstance(effect, Send):
            return
        message = decode(effect.message)
        if isinstance(message, Bundle):
            statements = tuple(map(self._other, message.statements))
            if statements != message.statements:
                other = dataclasses.replace(message, statements=statements)
                yield Send(effect.to, other.encoded)

    def _other(self, one: Statement) -> Statement:
        if one.author != self.me or one.round:
            return one
        opinions = Opinions.opening([-z for z in one.opinions.z])
        return dataclasses.replace(one, opinions=opinions).signed(self._context.signer)


class Scenario(NamedTuple):
    """Agent 3 is of a kind of Byzantine agents, or late: it opens at any time, and hears nothing
    before.

    z: openings in hundredths. beats: how often each agent's beat expires; twice in a round, and the
    agent drops those that are silent.
    """

    kind: type[Byzantine] | None
    z: tuple[int, int, int, int]
    beats: tuple[int, int, int, int] = (0, 0, 0, 0)
    averaging: int = 8


SCENARIOS = {
    "an equivocator": Scenario(TwoFaced, (40, 40, -40, 40), (1, 1, 1, 0)),
    "a silent agent": Scenario(Mute, (40, 40, 40, 40), (2, 2, 2, 0)),
    "a late proof": Scenario(Stubborn, (40, 40, 40, -40)),
    "a late agent": Scenario(None, (40, 40, 40, -40), (2, 2, 1, 2)),
    "an equivocator between camps": Scenario(TwoFaced, (40, 40, -40, 40), averaging=1),
}


class Outcome(NamedTuple):
    """One event of one agent: its new state, its mail, and its new statements."""

    after: int
    sent: tuple[int, ...]
    made: tuple[bytes, ...]


class State(NamedTuple):
    """Agents' states by number; mail on time, in order; late mail, as the bits of a number; how
    much more mail may be late; the beats that are left; the number of the set of all honest
    statements."""

    agents: tuple[int, ...]
    queue: tuple[int, ...]
    late: int
    allowed: int
    beats: tuple[int, ...]
    made: int


class Snapshots:
    """Agents as bytes. Equal bytes mean equal agents.

    Objects that never change are not in the bytes: only their names are.
    """

    SHARED = (Genesis, KeySet, Signer, SwarmRules, Memo, Plot, Decision, Draw, Tree)
    PLAIN = frozenset({bytes, int, str, bool, float, tuple, list, dict, set, type(None)})

    def __init__(self) -> None:
        self.kept: dict[Any, Any] = {}

    def save(self, agent: Agent) -> bytes:
        """An agent as bytes."""
        buffer = io.BytesIO()
        pickler = _Pickler(buffer, protocol=5)
        pickler.kept = self.kept
        pickler.dump(agent)
        return buffer.getvalue()

    def load(self, data: bytes) -> Agent:
        """A new agent that equals the one that was saved."""
        unpickler = _Unpickler(io.BytesIO(data))
        unpickler.kept = self.kept
        made: Agent = unpickler.load()
        return made


class _Pickler(pickle.Pickler):
    kept: dict[Any, Any]

    def persistent_id(self, one: Any) -> Any:
        name: Any
        if type(one) in Snapshots.PLAIN:
            return None
        if isinstance(one, Snapshots.SHARED):
            name = id(one)
        elif isinstance(one, Statement):
            name = one.id, one.signature
        elif isinstance(one, Entry):
            name = "entry", one.statement.id, one.statement.signature
        elif isinstance(one, Proof):
            name = one.encoded
        elif getattr(one, "cites", None) == b"":  # a stage compares it by identity
            name = id(one)
        else:
            return None
        self.kept.setdefault(name, one)
        return name

    def reducer_override(self, one: Any) -> Any:
        if isinstance(one, itertools.count):
            return itertools.count, (int(repr(one)[6:-1]),)
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    kept: dict[Any, Any]

    def persistent_load(self, name: Any) -> Any:
        return self.kept[name]


class Exploration:
    """The states of one scenario in which no message has a statement beyond round `rounds`.

    late: how many messages may be late, None for all. `seen` has the states, `faults` the broken
    promises.
    """

    def __init__(self, scenario: Scenario, rounds: int, late: int | None = None) -> None:
        self.scenario, self.rounds, self.late = scenario, rounds, late
        self.rules = SwarmRules(
            k=6, beta=1, epsilon=0.6, grace=0, patience=1, averaging=scenario.averaging
        )
        keys, self.signers = KeySet.simulated(AGENTS, 0)
        self.genesis = Genesis(keys, 1, None, self.rules)
        self.decision = Decision.of_all(b"pad", AGENTS)
        self.honest = [n for n in range(AGENTS) if scenario.kind is None or n != BYZANTINE]
        self.snapshots = Snapshots()
        self.known: dict[bytes, int] = {}
        self.saved: list[bytes] = []
        self.outcomes: list[int | None] = []
        self.mail: list[tuple[int, tuple[bytes, ...]]] = [(BYZANTINE, ())]
        self.numbers: dict[tuple[int, tuple[bytes, ...]], int] = {}
        self.sets = [frozenset[bytes]()]
        self.set_numbers = {self.sets[0]: 0}
        self.events: dict[tuple[int, int, int], Outcome] = {}
        self.statements: dict[bytes, Statement] = {}
        self.faults: list[str] = []
        self.seen: set[State] = set()
        self.certified = self.proven = self.passed = 0

    def evidence(self, agent: int) -> list[float]:
        """The agent's evidence, the probabilities of two outcomes."""
        z = self.scenario.z[agent] / 100
        return [(1 + z) / 2, (1 - z) / 2]

    def run(self) -> "Exploration":
        """Explore everything, or up to the first fault."""
        first = self._begin()
        self.seen, left = {first}, [first]
        while left and not self.faults:
            state = left.pop()
            for after in self._successors(state):
                if after not in self.seen:
                    self.seen.add(after)
                    left.append(after)
                    self._check(after)
        return self

    def _begin(self) -> State:
        memo, agents = Memo(), list[int]()
        plot = Plot(1 << BYZANTINE, {self.decision.id: 1}, random.Random(0))
        for number, signer in enumerate(self.signers):
            kind = None if number in self.honest else self.scenario.kind
            agent = Agent(self.genesis, signer, memo=memo)
            if kind is not None:
                agent = kind(self.genesis, signer, plot)
            agents.append(self._number(agent, number))
        late = int(self.scenario.kind is None) << OPENING
        state = State(tuple(agents), (), late, self.late or 0, self.scenario.beats, 0)
        for number in reversed(range(AGENTS)):  # a Byzantine agent first: it hears at once
            if number != BYZANTINE or self.scenario.kind:
                state = self._after(state, number, OPEN)
        return state

    def _successors(self, state: State) -> Iterator[State]:
        if state.queue:
            first, *rest = state.queue
            on_time = state._replace(queue=tuple(rest))
            yield self._deliver(on_time, first)
            if state.allowed:
                late = state.late | 1 << first
                yield on_time._replace(late=late, allowed=state.allowed - 1)
        left = state.late
        while left:
            low = left & -left
            left ^= low
            yield self._deliver(state._replace(late=state.late ^ low), low.bit_length() - 1)
        for agent, beats in enumerate(state.beats):
            away = agent == BYZANTINE and state.late >> OPENING & 1
            if beats and not state.queue and not away:
                less = (*state.beats[:agent], beats - 1, *state.beats[agent + 1 :])
                yield self._after(state._replace(beats=less), agent, EXPIRE)

    def _deliver(self, state: State, number: int) -> State:
        if number == OPENING:
            return self._after(state, BYZANTINE, OPEN)
        return self._after(state, self.mail[number][0], number)

    def _after(self, state: State, agent: int, event: int) -> State:
        """The state after an event of an agent, and after all that a Byzantine one hears of it."""
        key = agent, state.agents[agent], event
        outcome = self.events.get(key)
        if outcome is None:
            outcome = self.events[key] = self._apply(*key)
        agents = (*state.agents[:agent], outcome.after, *state.agents[agent + 1 :])
        made = self._union(state.made, outcome.made) if outcome.made else state.made
        state = state._replace(agents=agents, made=made)
        for number in outcome.sent:
            if self.mail[number][0] not in self.honest:
                state = self._deliver(state, number)
            elif self.mail[number][0] == BYZANTINE and state.late >> OPENING & 1:
                continue  # the late agent was not there, so the message is lost
            elif self.late is None:
                state = state._replace(late=state.late | 1 << number)
            elif number not in state.queue:
                state = state._replace(queue=(*state.queue, number))
        return state

    def _union(self, number: int, new: tuple[bytes, ...]) -> int:
        """The number of a set of statements with some more."""
        some = self.sets[number].union(new)
        if some not in self.set_numbers:
            self.set_numbers[some] = len(self.sets)
            self.sets.append(some)
            self._check_statements([self.statements[one] for one in some])
        return self.set_numbers[some]

    def _apply(self, number: int, local: int, event: int) -> Outcome:
        agent = self.snapshots.load(self.saved[local])
        if event == OPEN:
            effects = agent.open(self.decision, self.evidence(number))
        elif event == EXPIRE:
            effects = agent.expire((self.decision.id, BEAT))
        else:
            effects = [one for some in self.mail[event][1] for one in agent.receive(some)]
        sent, made = dict[int, list[list[bytes]]](), list[bytes]()
        while effects:
            match effects.pop(0):
                case Send(to, message):
                    if self._early_enough(message):
                        some = sent.setdefault(to, [])
                        if some and (number in self.honest or not _states(message)):
                            some[-1].append(message)
                        else:
                            some.append([message])
                case SetTimer(_, (decision, timer)) if timer == FLUSH:
                    effects += agent.expire((decision, timer))
                case Compute(token, works, claimed):
                    results = evaluate(works, self.rules.f)
                    if claimed is not None:
                        results = [a == b for a, b in zip(results, claimed, strict=True)]
                    effects += agent.computed(token, results)
                case Persist(data):
                    record = Record.decode(data)
                    if record.kind == RecordKind.STATEMENT:
                        statement = Statement.decode(record.body)
                        self.statements[statement.id] = statement
                        made.append(statement.id)
        mail = [self._mail(to, tuple(one)) for to, some in sent.items() for one in some]
        return Outcome(self._number(agent, number), tuple(mail), tuple(made))

    def _early_enough(self, message: bytes) -> bool:
        found = decode(message)
        return not isinstance(found, Bundle) or all(
            one.round <= self.rounds for one in found.statements
        )

    def _mail(self, to: int, messages: tuple[bytes, ...]) -> int:
        key = to, messages
        if key not in self.numbers:
            self.numbers[key] = len(self.mail)
            self.mail.append(key)
        return self.numbers[key]

    def _number(self, agent: Agent, number: int) -> int:
        """The number of an agent's state. A new one must have no proof of an honest agent."""
        data = self.snapshots.save(agent)
        if data not in self.known:
            self.known[data] = len(self.saved)
            self.saved.append(data)
            final = [one.outcome for one in agent.certificates.values()]
            self.outcomes.append(final[0] if final else None)
            if number in self.honest:
                self.proven += bool(agent.proofs)
                wrong = sorted(set(agent.proofs).intersection(self.honest))
                self.faults += [f"agent {number} excludes agent {one}" for one in wrong]
        return self.known[data]

    def _check(self, state: State) -> None:
        final = {self.outcomes[state.agents[one]] for one in self.honest} - {None}
        self.certified += bool(final)
        if len(final) > 1:
            self.faults.append("two outcomes are final")

    def _check_statements(self, some: list[Statement]) -> None:
        """No honest agent states a round twice, and the frontier lemma holds."""
        slots = [(one.place, one.author, one.round) for one in some if one.author in self.honest]
        if len(set(slots)) < len(slots):
            self.faults.append("an honest agent states a round twice")
        if self.scenario.kind is not TwoFaced:  # its other branch is an exception of the lemma
            byzantine = set(range(AGENTS)) - set(self.honest)
            passed, broken = lemma(self.genesis, self.decision, byzantine, some)
            self.passed += passed
            self.faults += broken


def _states(message: bytes) -> bool:
    found = decode(message)
    return isinstance(found, Bundle) and bool(found.statements)


#: Events beside mail: the agent opens the decision, or its beat expires.
OPEN, EXPIRE = -1, -2

#: The number of the mail that lets a late agent open the decision.
OPENING = 0


def main() -> None:
    """All scenarios, and how many states each has."""
    rounds, late = int(sys.argv[1]), None if sys.argv[2] == "all" else int(sys.argv[2])
    for name, scenario in SCENARIOS.items():
        began = time.monotonic()
        found = Exploration(scenario, rounds, late).run()
        print(
            f"{name}: {len(found.seen):,} states, {found.certified:,} of them with a certificate; "
            f"{len(found.saved):,} states of agents, {found.proven:,} of them with a proof; "
            f"{len(found.events):,} events, {found.passed:,} passed tests, "
            f"{len(found.faults)} faults, {time.monotonic() - began:.0f} s",
            flush=True,
        )
        for fault in sorted(set(found.faults)):
            print(" ", fault)


if __name__ == "__main__":
    main()
