"""Votes in the round model: what the rules do, for many swarms at once."""

import numpy as np
import pytest
from tmesh.adversaries import adversary
from tmesh.finality.rules import Act, Begin, Collapsed, Expired, Heard, Reply, Rules, State, Vote
from tmesh.swarm import Scenario
from tmesh.swarm.opinions import NONE, SEVERAL
from tmesh.swarm.tallies import Tallies

N, SWARMS, SPREAD = 7, 40, 2


class Swarm:
    """One swarm run by the rules themselves, in rounds."""

    def __init__(self, lying: np.ndarray) -> None:
        self.rules = [Rules(me, (1 << N) - 1, 2) for me in range(N)]
        self.lying = lying
        self.states: list[State] = [rules.begin()[0] for rules in self.rules]
        self.begins = [NONE] * N

    def step(self, me: int, message: Heard | Collapsed | Expired) -> tuple[Reply, ...]:
        self.states[me], replies = self.rules[me].step(self.states[me], message)
        return replies

    def exchange(self, others: np.ndarray, liars_sign: list[list[Vote]]) -> None:
        before = list(self.states)
        for me in np.nonzero(~self.lying)[0]:
            if before[me].final is not None:
                continue
            for other in others[me]:
                if self.lying[other]:
                    heard = [(vote, 1 << int(other)) for vote in liars_sign[me]]
                else:
                    heard = [one for one in before[other].tallies if one[0].act != Act.ENTER]
                    final = before[other].final
                    if final is not None:
                        heard.append((final, before[other].signers(final)))
                for vote, signers in heard:
                    now = vote.epoch == self.states[me].epoch
                    if now or signers.bit_count() >= self.rules[me].quorum:
                        self.step(int(me), Heard(vote, signers))

    def expire(self) -> None:
        for me in np.nonzero(~self.lying)[0]:
            for reply in self.step(int(me), Expired(self.states[me].epoch)):
                if isinstance(reply, Begin):
                    some = reply.outcomes
                    several = SEVERAL if len(some) > 1 else NONE
                    self.begins[me] = some[0] if len(some) == 1 else several


def own(state: State, me: int, act: Act) -> int:
    """The outcome of an agent's own vote in its epoch, −1 for none."""
    for vote, signers in state.tallies:
        if vote.act == act and vote.epoch == state.epoch and signers >> me & 1:
            return vote.outcome
    return -1


@pytest.mark.parametrize("name", ["mute", "equivocate", "double-spend"])
def test_the_round_model_follows_the_rules(name: str) -> None:
    """Same votes, commits, finals and beginnings of epochs, agent by agent and round by round."""
    rng = np.random.default_rng(3)
    lying = rng.permuted(np.tile(np.arange(N) < 2, (SWARMS, 1)), axis=1)
    scenario = Scenario(agents=N, k=3, faults=2, timeout=6, spread=SPREAD)
    tallies = Tallies(scenario, lying, adversary(name))
    swarms = [Swarm(liars) for liars in lying]
    finals, epochs = 0, 0
    for time in range(1, 30):
        begun, begins = tallies.pass_time(time - 1)
        if len(begun):
            epochs += 1
            for swarm in swarms:
                swarm.expire()
            for row, begin in zip(begun.tolist(), begins.tolist(), strict=True):
                assert swarms[row // N].begins[row % N] == begin
        collapsing = np.nonzero(rng.random(SWARMS * N) < 0.2)[0]
        outcomes = (rng.random(len(collapsing)) < 0.3).astype(np.int64)
        tallies.attest(collapsing, outcomes)
        for row, outcome in zip(collapsing.tolist(), outcomes.tolist(), strict=True):
            swarm, me = swarms[row // N], row % N
            if not swarm.lying[me]:
                swarm.step(me, Collapsed(swarm.states[me].epoch, outcome))
        others = np.array(
            [
                rng.permutation(np.delete(np.arange(N), row % N))[:SPREAD]
                for row in range(SWARMS * N)
            ]
        )
        tallies.exchange(others + np.arange(SWARMS * N)[:, None] // N * N)
        for number, swarm in enumerate(swarms):
            epoch = int(tallies.epoch[number])
            signed = {
                "mute": lambda me: [],
                "equivocate": lambda me: [me % 2],
                "double-spend": lambda me: [0, 1],
            }[name]
            votes = [
                [Vote(act, epoch, o) for o in signed(me) for act in (Act.ATTEST, Act.COMMIT)]
                for me in range(N)
            ]
            swarm.exchange(others[number * N : (number + 1) * N], votes)
            for me in np.nonzero(~swarm.lying)[0].tolist():
                state, row = swarm.states[me], number * N + me
                assert tallies.final[row] == (-1 if state.final is None else state.final.outcome)
                if state.final is None:
                    assert tallies._signed[0, row] == own(state, me, Act.ATTEST)
                    assert tallies._signed[1, row] == own(state, me, Act.COMMIT)
                    assert tallies._bound[1, row] == (
                        -1 if state.bound is None else state.bound.outcome
                    )
                finals += state.final is not None
    assert finals > 100
    assert epochs >= 2
