"""Agents under an adversarial scheduler: any pending event may come next, be lost, or come twice.

`python tests/sw/agent/schedules.py RUNS` tries many schedules with all kinds of Byzantine agents
and writes build/schedules.json.
"""

import collections
import dataclasses
import json
import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tmesh.adversaries.byzantine import Byzantine, Plot
from tmesh.agent import (
    Agent,
    Compute,
    Decided,
    Effect,
    Exposed,
    Failed,
    Memo,
    Persist,
    Send,
    SetTimer,
    Statement,
    Work,
    evaluate,
)
from tmesh.agent.draw import Draw, draw
from tmesh.campaigns import Campaign
from tmesh.finality import Certificate, Decision
from tmesh.genesis import Genesis, SwarmRules
from tmesh.ledger import KeySet

RULES = SwarmRules(k=2, kappa=4, averaging=12, grace=2, patience=6, epoch_beats=60)


@dataclasses.dataclass
class Run:
    """One swarm of `agents` on a complete mesh, of which `faulty` are of the kind `adversary`.

    loss, copies, restarts: probabilities of each event. haste: that a timer expires although
    messages are on the way. rules: of the genesis. wrong: what agent `wrong_core` computes instead
    of an update's result.
    """

    agents: int
    seed: int
    faulty: int = 0
    adversary: str = "stubborn"
    loss: float = 0.1
    copies: float = 0.1
    restarts: float = 0.0
    haste: float = 0.05
    rules: SwarmRules = RULES
    links: list[tuple[int, int]] | None = None
    labels: tuple[str, ...] = ("no", "yes")
    wrong_core: int | None = None
    wrong: Callable[[Work, int], int] = lambda work, z: z + 1
    wrong_audits: int | None = None
    self_check: bool = True

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        n, keys = self.agents, KeySet.simulated(self.agents, 0)
        self.genesis = Genesis(keys[0], (n - 1) // 3, self.links, self.rules)
        self.signers, self.memo = keys[1], Memo()
        self.decision = Decision.of_all(b"pad", n, labels=self.labels, number=self.seed)
        self.byzantine = set(self.rng.sample(range(n), self.faulty))
        plot = Plot(sum(1 << one for one in self.byzantine), {self.decision.id: 1}, self.rng)
        kind = Byzantine.kinds[self.adversary]
        self.swarm: list[Agent] = [
            kind(self.genesis, signer, plot)
            if signer.author in self.byzantine
            else self._honest(signer.author, [])
            for signer in self.signers
        ]
        self.journals: list[list[bytes]] = [[] for _ in range(n)]
        self.lives = [0] * n
        self.pool: list[tuple[str, int, Any]] = []
        self.timers: list[tuple[int, tuple[bytes, int], float]] = []
        self.exposed: dict[int, set[int]] = collections.defaultdict(set)
        self.certificates: dict[int, Certificate] = {}
        self.statements: dict[bytes, Statement] = {}
        self.failures: list[str] = []
        self.steps = 0

    def evidence(self, agent: int) -> list[float]:
        """Evidence of an agent: two thirds of them for outcome 0."""
        m = len(self.labels)
        favourite = int(agent % 3 == 1)
        return [0.85 if one == favourite else 0.15 / (m - 1) for one in range(m)]

    def play(self, steps: int = 3000) -> "Run":
        """Open the decision everywhere, and then let the scheduler choose."""
        for agent in range(self.agents):
            self.act(agent, self.swarm[agent].start())
            opened = self.swarm[agent].open(self.decision, self.evidence(agent))
            self.act(agent, opened)
        while (self.pool or self.timers) and self.steps < steps and not self.done:
            self.step()
        return self

    @property
    def honest(self) -> list[int]:
        """All agents that keep the rules."""
        return [agent for agent in range(self.agents) if agent not in self.byzantine]

    @property
    def done(self) -> bool:
        """Whether every honest agent has a certificate."""
        return all(agent in self.certificates for agent in self.honest)

    def step(self) -> None:
        """One pending event: delivered, lost, or delivered and kept."""
        self.steps += 1
        if self.restarts and self.rng.random() < self.restarts:
            self.restart(self.rng.choice(self.honest))
            return
        if self.timers and (not self.pool or self.rng.random() < self.haste):
            agent, timer = self._timer()
            self.act(agent, self.swarm[agent].expire(timer))
            return
        place = self.rng.randrange(len(self.pool))
        kind, agent, what = self.pool[place]
        copied = kind == "message" and self.rng.random() < self.copies
        if not copied:
            self.pool[place] = self.pool[-1]
            self.pool.pop()
        if kind == "result":
            self.act(agent, self.swarm[agent].computed(*what))
        elif copied or self.rng.random() >= self.loss:
            self.act(agent, self.swarm[agent].receive(what))

    def _timer(self) -> tuple[int, tuple[bytes, int]]:
        """A pending timer, short ones more often than long ones."""
        weights = [1 / seconds for _, _, seconds in self.timers]
        (place,) = self.rng.choices(range(len(self.timers)), weights)
        agent, timer, _ = self.timers.pop(place)
        return agent, timer

    def restart(self, agent: int) -> None:
        """Kill an agent, and start it from its journal."""
        self.pool = [one for one in self.pool if one[0] == "message" or one[1] != agent]
        self.timers = [one for one in self.timers if one[0] != agent]
        self.lives[agent] += 1
        self.swarm[agent] = self._honest(agent, self.journals[agent])
        self.act(agent, self.swarm[agent].start())
        self.act(agent, self.swarm[agent].open(self.decision, self.evidence(agent)))

    def act(self, agent: int, effects: list[Effect]) -> None:
        """Carry effects out."""
        for effect in effects:
            match effect:
                case Send(to, message):
                    self.pool.append(("message", to, message))
                case SetTimer(seconds, timer):
                    self.timers.append((agent, timer, seconds))
                case Persist(record):
                    self.journals[agent].append(record)
                    if record[0] == 3:
                        statement = Statement.decode(record[33:])
                        self.statements[statement.id] = statement
                case Compute(token, works, claimed):
                    results: list[Any] = evaluate(works, self.rules.f)
                    if agent == self.wrong_core and claimed is None:
                        results = [self.wrong(*one) for one in zip(works, results, strict=True)]
                    if claimed is not None:
                        results = [a == b for a, b in zip(results, claimed, strict=True)]
                        if agent == self.wrong_audits:
                            results = [False] * len(results)
                    self.pool.append(("result", agent, (token, results)))
                case Exposed(proof):
                    self.exposed[proof.author].add(agent)
                case Decided(certificate):
                    self.certificates[agent] = certificate
                case Failed(reason):
                    self.failures.append(reason)

    def faults(self) -> list[str]:
        """Broken promises: honest agents with a proof against them, different certificates,
        certificates that do not verify, statements against a passed frontier test."""
        found = self.lemma()[1] if len(self.labels) == 2 else []
        found += [f"agent {one} is excluded" for one in self.exposed if one not in self.byzantine]
        mine = [self.certificates[one] for one in self.honest if one in self.certificates]
        if len({one.outcome for one in mine}) > 1:
            found.append("two outcomes are final")
        for certificate in mine:
            certificate.verify(self.genesis.keys)
        return found

    def lemma(self) -> tuple[int, list[str]]:
        """`lemma` on all statements. Swarms with agents that equivocate are left out."""
        if self.adversary == "equivocate" and self.byzantine:
            return 0, []
        return lemma(self.genesis, self.decision, self.byzantine, self.statements.values())

    def _honest(self, agent: int, records: list[bytes]) -> Agent:
        alone = agent in (self.wrong_core, self.wrong_audits)
        memo = None if alone else self.memo
        check = self.self_check or agent != self.wrong_core
        signer = self.signers[agent]
        return Agent(self.genesis, signer, memo=memo, records=records, self_check=check)


Statements = dict[tuple[int, int], Statement]


def lemma(
    genesis: Genesis, decision: Decision, byzantine: set[int], statements: Iterable[Statement]
) -> tuple[int, list[str]]:
    """How many branchings began to be amplified by the frontier test, and later statements of
    present honest authors with another sign. All is worked out from the statements alone."""
    places = collections.defaultdict[Any, Statements](dict)
    for one in statements:
        places[one.place][one.author, one.round] = one
    passed, found, beta = 0, list[str](), genesis.rules.beta
    for place, some in places.items():
        drawn = draw(genesis, decision, place.epoch, place.generation)
        for (author, count), one in some.items():
            before = some.get((author, count - 1))
            if author in byzantine or before is None:
                continue
            risen = one.opinions.amplified & ~before.opinions.amplified
            reached, present = frontier(one, some, drawn, beta)
            for n in range(len(one.opinions.z)):
                signs = {sign(at(some, a, reached, beta), n) for a in present}
                if not risen >> n & 1 or len(signs) > 1 or 0 in signs:
                    continue
                passed += 1
                found += [
                    f"agent {a} states {sign(later, n)} in round {r} of {place}"
                    for (a, r), later in some.items()
                    if a in present - byzantine and r > reached and sign(later, n) not in signs
                ]
    return passed, found


def sign(statement: Statement | None, branching: int) -> int:
    """The sign of one opinion."""
    z = 0 if statement is None else statement.opinions.z[branching]
    return (z > 0) - (z < 0)


def at(some: Statements, author: int, count: int, beta: int) -> Statement | None:
    """The author's statement for a round: that of the round, or a settled one before it."""
    for one in range(count, -1, -1):
        found = some.get((author, one))
        if found is not None:
            settled = found.opinions.streak[0] >= beta  # two outcomes: one branching
            return found if one == count or settled else None
    return None


def frontier(
    statement: Statement, some: Statements, drawn: Draw, beta: int
) -> tuple[int, set[int]]:
    """The frontier test of DESIGN, word by word: the round R, and the present authors."""
    past, left = dict[tuple[int, int], Statement](), [statement]
    while left:
        one = left.pop()
        for author in (one.author, *one.heard(drawn)) if one.round else ():
            cited = at(some, author, one.round - 1, beta)
            if cited is not None and (author, cited.round) not in past:
                past[author, cited.round] = cited
                left.append(cited)
    lists = {**past, (statement.author, statement.round): statement}
    for reached in range(statement.round - 1, -1, -1):
        present, front = {statement.author}, [statement.author]
        while front:
            author = front.pop()
            one = at(lists, author, reached + 1, beta) or at(lists, author, reached, beta)
            near = set(one.heard(drawn)) if one is not None else set()
            front += near - present
            present |= near
        if all(at(past, author, reached, beta) is not None for author in present):
            return reached, present
    return -1, set()


def play(cell: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Schedules of one campaign run, with every kind of Byzantine agent; what became of them."""
    kinds, counts = sorted(Byzantine.kinds), collections.Counter[str]()
    for number in range(seed * cell["runs"], (seed + 1) * cell["runs"]):
        rng = random.Random(number)
        n = rng.randint(4, 7)
        level = rng.choice(["closure", "closure", "sampled"])
        made = Run(
            agents=n,
            seed=number,
            rules=RULES.model_copy(update={"level": level}),
            faulty=rng.randint(0, (n - 1) // 3),
            adversary=kinds[number % len(kinds)],
            loss=rng.choice([0.0, 0.1, 0.3]),
            copies=rng.choice([0.0, 0.2]),
            restarts=rng.choice([0.0, 0.0, 0.005]),
            haste=rng.choice([0.01, 0.05, 0.3]),
        ).play()
        faults = made.faults()
        if faults:
            print(f"seed {number}: {faults}", flush=True)
        counts["runs"] += 1
        counts["decided"] += made.done
        counts["excluded Byzantine agents"] += len(made.exposed)
        counts["statements"] += len(made.statements)
        counts["restarts"] += sum(made.lives)
        counts["frontier tests passed"] += made.lemma()[0]
        counts["broken promises"] += len(faults)
    return dict(counts)


def main() -> None:
    """Many schedules on all cores; a sum of everything."""
    runs, each, began = int(sys.argv[1]), 25, time.monotonic()
    cell = {"runs": each}
    campaign = Campaign(play, [cell], range(-(-runs // each)))
    campaign.measure(lambda _: None)
    total = sum((collections.Counter(one) for one in campaign.results(cell)), collections.Counter())
    broken = sum(one["broken promises"] for one in campaign.results(cell))
    result = {**total, "broken promises": broken}
    result["minutes"] = round((time.monotonic() - began) / 60, 1)
    Path("build").mkdir(exist_ok=True)
    Path("build/schedules.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
