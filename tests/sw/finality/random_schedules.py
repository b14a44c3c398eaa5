"""Random schedules of small swarms: signatures delivered one by one, in any order, to anyone.

The liars sign every vote of every epoch, and show it to whom the schedule likes. Agents are killed
and come back with their own signatures. `python tests/sw/finality/random_schedules.py` runs
100,000.
"""

import random
import sys
from collections.abc import Sequence

from tmesh.finality.rules import (
    Act,
    Collapsed,
    Expired,
    Heard,
    Reply,
    Rules,
    Sign,
    State,
    Vote,
    quorum,
)

RUNS = 100_000


def run(rng: random.Random, agents: int, faults: int, liars: int, steps: int) -> set[int]:
    """Outcomes of which a quorum of commits exists at the end; agents 0 to `liars` − 1 lie."""
    everyone, outcomes = (1 << agents) - 1, rng.choice([2, 3])
    needed, honest = quorum(agents, faults), range(liars, agents)
    signed: list[set[Vote]] = [set() for _ in range(agents)]
    rules = [Rules(me, everyone, faults) for me in range(agents)]
    states = [State()] * agents

    def act(me: int, state: State, replies: Sequence[Reply]) -> None:
        states[me] = state
        signed[me] |= {reply.vote for reply in replies if isinstance(reply, Sign)}

    for me in honest:
        act(me, *rules[me].begin())
    eager, cautious = rng.random(), rng.random() ** 4
    for _ in range(steps):
        me = rng.choice(honest)
        epoch, chance = states[me].epoch, rng.random()
        if chance < 0.1:
            likely = epoch % outcomes if rng.random() < eager else rng.randrange(outcomes)
            act(me, *rules[me].step(states[me], Collapsed(epoch, likely)))
        elif chance < 0.1 + 0.1 * cautious:
            act(me, *rules[me].step(states[me], Expired(epoch)))
        elif chance < 0.21:
            act(me, *rules[me].resume(signed[me]))
        else:
            author = rng.randrange(agents)
            if author < liars:
                kind = rng.choice([Act.ATTEST, Act.COMMIT])
                vote = Vote(kind, rng.randint(1, epoch + 1), rng.randrange(outcomes))
            else:
                vote = rng.choice(sorted(signed[author], reverse=True)[:4])
            act(me, *rules[me].step(states[me], Heard(vote, 1 << author)))
    finals = {state.final.outcome for state in states if state.final is not None}
    commits = [vote for me in honest for vote in signed[me] if vote.act == Act.COMMIT]
    finals |= {vote.outcome for vote in commits if commits.count(vote) + liars >= needed}
    return finals


def main() -> int:
    """Count the runs that became final, and those with two outcomes."""
    rng, final, conflicts = random.Random(0), 0, 0
    for number in range(RUNS):
        agents = 4 + number % 4
        faults = (agents - 1) // 3
        found = run(rng, agents, faults, rng.randint(0, faults), 40 * agents)
        final += len(found) > 0
        conflicts += len(found) > 1
    print(f"{RUNS:,} random schedules, 4 to 7 agents: {final:,} final, {conflicts} conflicts")
    return conflicts > 0


if __name__ == "__main__":
    sys.exit(main())
