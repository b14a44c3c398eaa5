"""`make vectors`: bytes of every message of the protocol, for other implementations.

Four agents with known secret keys settle one decision; then one proof of each kind is made. The
file has hexadecimal digits, and everything that they depend on.
"""

import dataclasses
import json
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tmesh.agent import Agent, Compute, Effect, Proof, Send, SetTimer, Statement, Work, evaluate
from tmesh.agent.coin import Coin, side
from tmesh.agent.draw import draw
from tmesh.agent.message import Bundle, decode
from tmesh.agent.opinion import Opinions
from tmesh.agent.proof import Kind
from tmesh.agent.statement import Place
from tmesh.entry import guarded
from tmesh.files import write_text
from tmesh.finality import Act, Decision, Signed, Vote, pack
from tmesh.genesis import Genesis, SwarmRules
from tmesh.ledger import KeySet, Signer

#: Where the committed vectors are.
PATH = Path("docs/vectors.json")

AGENTS = 4


def vectors() -> dict[str, Any]:
    """All of them, as JSON values."""
    keys, signers = KeySet.simulated(AGENTS, 0)
    genesis = Genesis(keys, 1, None, SwarmRules(k=2))
    signers = [one.within(genesis.id) for one in signers]
    decision = Decision.of_all(b"landing pad 3", AGENTS, labels=("east", "west"))
    swarm = [Agent(genesis, one) for one in signers]
    statements = dict[bytes, Statement]()
    votes = dict[tuple[int, Vote], Signed]()
    for bundle in _play(swarm, genesis, decision):
        statements |= {one.id: one for one in bundle.statements}
        votes |= {(one.author, one.vote): one for one in bundle.votes}
    first = [one for one in statements.values() if one.place.epoch == 1]
    first.sort(key=lambda one: (one.round, one.author))
    certificate = swarm[0].certificates[decision.id]
    drawn = draw(genesis, decision, 1, 0)
    works = [Work(100, (200, -300), 1), Work(-30_000, (-20_000, -1), 4), Work(9, (8,), 0)]
    return {
        "secrets": [one.secret.hex() for one in signers],
        "genesis": genesis.encoded.hex(),
        "swarm id": genesis.id.hex(),
        "decision": {"labels": list(decision.labels), "id": decision.id.hex()},
        "draw of epoch 1": [list(near) for near in drawn.lists],
        "coin of epoch 2": _coin(genesis, signers, decision),
        "updates": [
            {**work._asdict(), "result": result}
            for work, result in zip(works, evaluate(works, genesis.rules.f), strict=True)
        ],
        "statements": [{"id": one.id.hex(), "bytes": one.encoded.hex()} for one in first],
        "votes": [pack([votes[key]]).hex() for key in sorted(votes)],
        "certificate": certificate.encoded.hex(),
        "proofs": [
            {"fault": proof.verify(genesis), "bytes": proof.encoded.hex()}
            for proof in _proofs(first, signers, genesis, decision)
        ],
    }


def _coin(genesis: Genesis, signers: list[Signer], decision: Decision) -> dict[str, Any]:
    drawn, place = draw(genesis, decision, 2, 0), Place(decision.id, 2, 0)
    coin = Coin.of(genesis.rules, drawn, place)
    assert coin.leader is not None
    signature = coin.sign(signers[coin.leader])
    return {
        "leader": coin.leader,
        "stated in round": coin.stated,
        "tossed in round": coin.tossed,
        "signature": signature.hex(),
        "falls for the lower outcomes": side(signature, 0) > 0,
    }


def _play(swarm: list[Agent], genesis: Genesis, decision: Decision) -> Iterator[Bundle]:
    """Settle a decision in a fixed order of events; every bundle that is sent."""
    queue, timers = deque[tuple[int, Effect]](), list[tuple[int, tuple[bytes, int]]]()
    for number, agent in enumerate(swarm):
        evidence = [0.2, 0.8] if number == 3 else [0.9, 0.1]
        queue += [(number, one) for one in agent.open(decision, evidence)]
    while any(not agent.certificates for agent in swarm):
        if not queue:
            number, timer = timers.pop(0)
            queue += [(number, one) for one in swarm[number].expire(timer)]
            continue
        number, effect = queue.popleft()
        match effect:
            case Send(to, message):
                sent = decode(message)
                if isinstance(sent, Bundle):
                    yield sent
                queue += [(to, one) for one in swarm[to].receive(message)]
            case SetTimer(_, timer):
                timers.append((number, timer))
            case Compute(token, works, claimed):
                results: list[int] = evaluate(works, genesis.rules.f)
                if claimed is not None:
                    results = [one == claim for one, claim in zip(results, claimed, strict=True)]
                queue += [(number, one) for one in swarm[number].computed(token, results)]


def _proofs(
    first: list[Statement], signers: list[Signer], genesis: Genesis, decision: Decision
) -> Iterator[Proof]:
    """One of each kind, against agent 2."""
    found = {(one.author, one.round): one for one in first}

    def changed(one: Statement, **fields: Any) -> Statement:
        return dataclasses.replace(one, **fields).signed(signers[one.author])

    def moved(one: Statement, z: int) -> Statement:
        return changed(one, opinions=one.opinions._replace(z=(z,)))

    opening, later = found[2, 0], found[2, 2]
    for kind, one in ((Kind.EQUIVOCATION, later), (Kind.SECOND_OPENING, opening)):
        pair = sorted([one, moved(one, one.opinions.z[0] - 1)], key=lambda some: some.id)
        yield Proof(kind, decision, tuple(pair))
    loud = changed(opening, opinions=Opinions.opening((genesis.rules.one,)))
    yield Proof(Kind.OPENING, decision, (loud,))
    heard = later.heard(draw(genesis, decision, 1, 0))
    cited = [found[author, 1] for author in (2, *heard)]
    yield Proof(Kind.STEP, decision, (moved(later, later.opinions.z[0] + 1), *cited))
    both = [Vote(Act.ATTEST, 1, outcome) for outcome in (0, 1)]
    votes = tuple(Signed(2, vote, decision.sign(signers[2], vote)) for vote in both)
    yield Proof(Kind.VOTES, decision, votes=votes)


def main() -> None:
    """Write the file."""
    write_text(PATH, json.dumps(vectors(), indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(guarded(main))
