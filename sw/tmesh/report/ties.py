"""`make ties`: epochs until a certificate when half of the agents start for each outcome.

Writes build/ties.json. Agents in the round model with the default rules. Those of one half of the
ring prefer outcome 0, the others outcome 1, all with the same strength.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tmesh.adversaries import kind
from tmesh.agent.coin import Coin
from tmesh.campaigns import Campaign
from tmesh.entry import guarded
from tmesh.files import write_text
from tmesh.finality import Decision
from tmesh.genesis import Genesis, SwarmRules
from tmesh.ledger import KeySet
from tmesh.swarm.course import course, falls
from tmesh.swarm.rounds import Crowd

SEEDS = 100

#: The most rounds of a run: six epochs of the default rules.
MOST = 2 * 120 * (1 + 2 + 3 + 4 + 5 + 6)

#: Swarms by name: agents, k, places on the ring that a link spans (0 for any), Byzantine agents.
SWARMS = {
    "64, complete": (64, 8, 0, (6, 20)),
    "64, ring": (64, 8, 4, (6, 20)),
    "16, each hears all": (16, 15, 0, (2, 5)),
}


def cells() -> Iterator[dict[str, Any]]:
    """Each swarm without Byzantine agents, and with some that withhold or bias coins."""
    for swarm, (_, _, _, counts) in SWARMS.items():
        yield {"swarm": swarm, "kind": "", "byzantine": 0}
        for name in ("withhold", "bias"):
            for count in counts:
                yield {"swarm": swarm, "kind": name, "byzantine": count}


def play(cell: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """One run. The plot of the Byzantine agents wants outcome 1."""
    agents, k, span, _ = SWARMS[cell["swarm"]]
    rules, keys = SwarmRules(k=k), KeySet.simulated(agents, seed)
    links = [(a, (a + d) % agents) for a in range(agents) for d in range(1, span + 1)]
    near = sorted({(min(link), max(link)) for link in links})
    genesis = Genesis(keys[0], (agents - 1) // 3, near or None, rules)
    decision = Decision.of_all(b"tie", agents, labels=("0", "1"), number=seed)
    openings = np.where(np.arange(agents) < agents // 2, 1, -1) * (rules.most // 2)
    some = np.random.default_rng(seed).choice(agents, cell["byzantine"], replace=False).tolist()
    kinds = {agent: kind(cell["kind"]) for agent in some}

    def fall(coin: Coin) -> int:
        found = falls(genesis, coin, keys[1])
        liar = kinds.get(-1 if coin.leader is None else coin.leader)
        return found if liar is None or liar.publishes(found < 0) else 0

    end = course(genesis, decision, openings, Crowd(kinds, 1, fall), MOST)
    settled = end.sides[end.sides >= 0]
    return {
        "epochs": end.place.epoch if end.decided else None,
        "rounds": end.rounds,
        "outcome": int(np.median(settled)) if end.decided else None,
    }


def main() -> None:
    """Measure, and print the table."""
    some = list(cells())
    campaign = Campaign(play, some, range(SEEDS))
    campaign.measure(lambda _: None)
    rows = [{**cell, "runs": campaign.results(cell)} for cell in some]
    write_text(Path("build/ties.json"), json.dumps(rows, indent=2) + "\n")
    print(
        "| mesh | Byzantine agents | runs decided in epoch 1, 2, 3, later | open | for outcome 1 |"
    )
    print("|---|---|---|--:|--:|")
    for row in rows:
        epochs = Counter(min(one["epochs"] or 4, 4) for one in row["runs"])
        ones = sum(one["outcome"] == 1 for one in row["runs"])
        liars = f"{row['byzantine']} {row['kind']}" if row["byzantine"] else "none"
        shares = " | ".join(str(epochs[epoch]) for epoch in range(1, 5))
        print(f"| {row['swarm']} | {liars} | {shares} | {ones} |")


if __name__ == "__main__":
    sys.exit(guarded(main))
