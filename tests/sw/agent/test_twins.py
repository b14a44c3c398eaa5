"""Twins: one key on two real agents, often on the two sides of a partition (Bano et al. 2020)."""

from tmesh.agent import Effect, Send
from tmesh.agent.proof import Kind

from .schedules import Run


class Twins(Run):
    """`Run` with a second agent that has the key of the last one, and other evidence.

    side: of each agent, as the bits of a number. Agents of different sides do not hear each other.
    """

    def __init__(self, agents: int, seed: int, cuts: float = 0.01) -> None:
        # With `equivocate` the lemma is not checked: twins state two opinions in one round.
        super().__init__(agents, seed, adversary="equivocate", loss=0.05)
        self.author, self.twin, self.side, self.cuts = agents - 1, agents, 0, cuts
        self.byzantine = {self.author}
        self.swarm.append(self._honest(self.author, []))
        self.journals.append([])

    def play(self, steps: int = 3000) -> "Run":
        other = self.evidence(self.author)[::-1]
        self.act(self.twin, self.swarm[self.twin].open(self.decision, other))
        return super().play(steps)

    def step(self) -> None:
        if self.rng.random() < self.cuts:
            healed = self.rng.random() < 0.3
            some = self.rng.randrange(1 << self.agents)
            apart = 0 if some >> self.author & 1 else 1 << self.twin
            self.side = 0 if healed else some | apart
        super().step()

    def act(self, agent: int, effects: list[Effect]) -> None:
        for effect in effects:
            if not isinstance(effect, Send):
                super().act(agent, [effect])
                continue
            receivers = [effect.to, self.twin] if effect.to == self.author else [effect.to]
            for to in receivers:
                if not (self.side >> agent ^ self.side >> to) & 1:
                    self.pool.append(("message", to, effect.message))


def test_twins_of_one_group_are_proven_to_all_others() -> None:
    for agents in (4, 5, 7):
        run = Twins(agents, 0, cuts=0.0)
        run.play(20_000)
        assert run.done
        assert not run.faults()
        assert run.exposed[run.author] >= set(run.honest)
        for agent in run.honest:
            kind = run.swarm[agent].proofs[run.author].kind
            assert kind in (Kind.EQUIVOCATION, Kind.SECOND_OPENING)


def test_twins_on_two_sides_split_no_swarm_and_exclude_nobody_else() -> None:
    decided = proven = 0
    for seed in range(20):
        run = Twins(4 + seed % 4, seed)
        run.play(1500)
        assert not run.faults()
        assert set(run.exposed) <= {run.author}
        decided += run.done
        proven += bool(run.exposed)
    assert decided > 0
    assert proven > 0
