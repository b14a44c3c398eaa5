"""Hypothesis drives real agents, one of them Byzantine, and looks for a broken promise.

Hypothesis delivers, loses, copies and delays messages, expires timers, restarts agents, and cuts
the swarm into two sides.
"""

import collections
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tmesh.adversaries import Byzantine
from tmesh.agent import Effect, Persist, Send, Statement
from tmesh.agent.message import Bundle, decode
from tmesh.agent.records import Record, RecordKind

from .orderly import OrderlyRun
from .schedules import RULES

#: A place in a list of any length, modulo its length.
places = st.integers(0, (1 << 16) - 1)


class Cut(Exception):
    """The agent lost power while its host carried out effects."""


class Watched(OrderlyRun):
    """A run that can be partitioned, and in which agents can lose power between two effects.

    `broken` lists promises that an honest agent broke.
    """

    def __init__(self, agents: int, seed: int, adversary: str, patience: int) -> None:
        rules = RULES.model_copy(update={"grace": patience // 3, "patience": patience})
        super().__init__(agents, seed, faulty=1, adversary=adversary, rules=rules)
        self.side = 0
        self.victim, self.left = -1, 0
        self.broken = list[str]()
        self.durable = dict[object, bytes]()

    def act(self, agent: int, effects: list[Effect]) -> None:
        for effect in effects:
            if agent == self.victim:
                if not self.left:
                    raise Cut
                self.left -= 1
            if agent not in self.byzantine:
                self._watch(agent, effect)
            if isinstance(effect, Send) and (self.side >> agent ^ self.side >> effect.to) & 1:
                continue
            super().act(agent, [effect])

    def _watch(self, agent: int, effect: Effect) -> None:
        if isinstance(effect, Persist):
            record = Record.decode(effect.record)
            if record.kind == RecordKind.STATEMENT:
                self._keep(agent, record)
        elif isinstance(effect, Send):
            message = decode(effect.message)
            for one in message.statements if isinstance(message, Bundle) else ():
                slot = one.place, agent, one.round
                if one.author == agent and self.durable.get(slot) != one.encoded:
                    self.broken.append(
                        f"agent {agent} sends round {one.round} before it is durable"
                    )

    def _keep(self, agent: int, record: Record) -> None:
        one = Statement.decode(record.body)
        if self.durable.setdefault((one.place, agent, one.round), one.encoded) != one.encoded:
            self.broken.append(f"agent {agent} states round {one.round} twice")


class Machine(RuleBasedStateMachine):
    """The rules. `reached` counts over all examples."""

    reached: ClassVar[collections.Counter[str]] = collections.Counter()

    @initialize(
        agents=st.integers(4, 5),
        adversary=st.sampled_from(sorted(Byzantine.kinds)),
        seed=st.integers(0, 99),
        patience=st.sampled_from([1, 6]),
    )
    def begin(self, agents: int, adversary: str, seed: int, patience: int) -> None:
        """A swarm whose agents have all opened the decision. Impatient ones drop each other."""
        self.run = Watched(agents, seed, adversary, patience)
        self.run.play(steps=0)

    @rule(count=st.integers(1, 150))
    def calm(self, count: int) -> None:
        """Some events in order."""
        for _ in range(count):
            if self.run.pool or self.run.timers:
                self.run.step()

    @precondition(lambda self: self.run.pool)
    @rule(place=places)
    def deliver(self, place: int) -> None:
        """One event out of order."""
        self.run.deliver(place % len(self.run.pool))

    @precondition(lambda self: self.run.pool)
    @rule(place=places, count=st.integers(1, 12))
    def lose(self, place: int, count: int) -> None:
        """Messages are lost. Results of the own device are not."""
        for _ in range(count):
            n = place % len(self.run.pool)
            if self.run.pool[n][0] == "message":
                del self.run.pool[n]
                if not self.run.pool:
                    break

    @precondition(lambda self: self.run.pool)
    @rule(place=places)
    def copy(self, place: int) -> None:
        """A message arrives twice."""
        one = self.run.pool[place % len(self.run.pool)]
        if one[0] == "message":
            self.run.pool.append(one)

    @precondition(lambda self: self.run.pool)
    @rule(place=places)
    def delay(self, place: int) -> None:
        """An event comes after all that are pending."""
        self.run.pool.append(self.run.pool.pop(place % len(self.run.pool)))

    @precondition(lambda self: self.run.timers)
    @rule(place=places)
    def expire(self, place: int) -> None:
        """A timer expires before its time."""
        self.run.expire(place % len(self.run.timers))

    @rule(place=places)
    def restart(self, place: int) -> None:
        """An honest agent starts again from its journal."""
        self.run.restart(self.run.honest[place % len(self.run.honest)])
        self.reached["restarts"] += 1

    @rule(place=places, kept=st.integers(0, 8))
    def lose_power(self, place: int, kept: int) -> None:
        """An honest agent carries out a few effects more, and starts again from its journal."""
        victim = self.run.honest[place % len(self.run.honest)]
        self.run.victim, self.run.left = victim, kept
        try:
            self.calm(40)
        except Cut:
            self.reached["power lost"] += 1
        self.run.victim = -1
        self.run.restart(victim)

    @rule(side=st.integers(0, 31))
    def partition(self, side: int) -> None:
        """Agents of the two sides no longer hear each other; 0 heals."""
        self.run.side = side

    @rule()
    def heal(self) -> None:
        """All hear each other."""
        self.run.side = 0

    @invariant()
    def nobody_accuses_an_honest_agent(self) -> None:
        """Every proof is against the Byzantine agent."""
        if hasattr(self, "run"):
            crowd = sum(1 << one for one in self.run.byzantine)
            assert set(self.run.exposed) <= self.run.byzantine
            assert all(self.run.swarm[one].excluded & ~crowd == 0 for one in self.run.honest)

    @invariant()
    def no_two_outcomes_are_final(self) -> None:
        """Certificates of honest agents have one outcome, before and after a restart."""
        if hasattr(self, "run"):
            honest = set(self.run.honest)
            outcomes = {c.outcome for one, c in self.run.certificates.items() if one in honest}
            outcomes |= {
                c.outcome for one in honest for c in self.run.swarm[one].certificates.values()
            }
            assert len(outcomes) <= 1

    @invariant()
    def statements_are_durable_before_they_are_sent(self) -> None:
        """Also across restarts, an agent states each round once."""
        assert not (hasattr(self, "run") and self.run.broken)

    def teardown(self) -> None:
        """At the end the frontier lemma and all signatures are checked, too."""
        if hasattr(self, "run"):
            assert self.run.faults() == []
            self.reached["certificates"] += len(self.run.certificates)
            self.reached["proofs"] += sum(map(len, self.run.exposed.values()))
            self.reached["tests passed"] += self.run.lemma()[0]


def test_no_choice_of_events_breaks_a_promise() -> None:
    options = settings(
        max_examples=30,
        stateful_step_count=40,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    Machine.reached.clear()
    run_state_machine_as_test(Machine, settings=options)
    for event in ("restarts", "power lost", "certificates", "proofs", "tests passed"):
        assert Machine.reached[event] > 0, f"no example has {event}"
