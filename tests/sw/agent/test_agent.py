"""Whole agents: they decide, prove lies, and never accuse each other."""

import ast
import itertools
from pathlib import Path

import pytest
import tmesh.agent
from tmesh.adversaries import Byzantine
from tmesh.agent import Agent, Persist, Send
from tmesh.agent.message import Bundle, Exposure, decode
from tmesh.agent.proof import Kind
from tmesh.errors import InvalidInput
from tmesh.finality import Decision
from tmesh.finality.encoding import bits
from tmesh.genesis import Genesis
from tmesh.ledger import KeySet

from .schedules import RULES, Run

PROVABLE = (
    "arithmetic",
    "equivocate",
    "flip",
    "hold",
    "loud",
    "random",
    "sacrifice",
    "stubborn",
)
LEGAL = (
    "bias",
    "crash",
    "deaf",
    "dwindle",
    "evidence",
    "mute",
    "nap",
    "reopen",
    "slow",
    "withhold",
)
REJECTED = ("forge", "garbage", "replay")


def calm(agents: int, **fields: object) -> Run:
    """A run on a network that loses nothing, with timers that seldom expire early, and draws that
    stay connected without two agents."""
    rules = RULES.model_copy(update={"k": 6})
    options = {"seed": 0, "loss": 0.0, "copies": 0.0, "haste": 0.01, "rules": rules, **fields}
    return Run(agents, **options)  # type: ignore[arg-type]


def test_the_kinds_are_all_tested() -> None:
    assert {*PROVABLE, *LEGAL, *REJECTED, "double-spend", "launder"} == set(Byzantine.kinds)


@pytest.mark.parametrize("agents", [1, 3, 4, 7, 13])
def test_a_swarm_decides_what_most_of_its_agents_prefer(agents: int) -> None:
    run = calm(agents).play(20000)
    assert run.done
    assert not run.faults()
    first = [sum(run.evidence(a)[0] > 0.5 for a in range(agents)), agents]
    if 2 * first[0] != first[1]:
        assert {one.outcome for one in run.certificates.values()} == {int(2 * first[0] < agents)}


@pytest.mark.parametrize("outcomes", [3, 4, 7])
def test_a_swarm_decides_between_many_outcomes(outcomes: int) -> None:
    labels = tuple(f"{n:02}" for n in range(outcomes))
    run = calm(7, labels=labels).play(20000)
    assert run.done
    assert not run.faults()
    assert {one.label for one in run.certificates.values()} == {"00"}


@pytest.mark.parametrize("adversary", PROVABLE)
def test_every_provable_lie_is_proven_to_every_honest_agent(adversary: str) -> None:
    run = calm(7, faulty=2, adversary=adversary, seed=3).play(30000)
    assert run.done
    assert not run.faults()
    lied = set(run.exposed)
    assert lied <= run.byzantine
    assert lied, "no lie was told"
    for liar in lied:
        assert run.exposed[liar] >= set(run.honest)
    for agent in run.honest:
        assert set(bits(run.swarm[agent].excluded)) == lied
        for proof in run.swarm[agent].proofs.values():
            proof.verify(run.genesis)


def test_two_votes_of_one_epoch_are_proven_where_they_meet() -> None:
    """Votes of both kinds may never reach one agent before the decision is final."""
    met = 0
    for seed in range(8):
        run = calm(7, faulty=2, adversary="double-spend", seed=seed, haste=0.2, loss=0.1)
        run.play(20_000)
        assert not run.faults()
        assert set(run.exposed) <= run.byzantine
        proofs = [one for agent in run.honest for one in run.swarm[agent].proofs.values()]
        assert {one.kind for one in proofs} <= {Kind.VOTES}
        met += bool(proofs)
    assert met > 0


@pytest.mark.parametrize("adversary", LEGAL)
def test_agents_that_prove_nothing_are_not_excluded(adversary: str) -> None:
    # A slow agent makes the others wait for a timer in every round.
    sizes = {"agents": 4, "faulty": 1} if adversary == "slow" else {"agents": 7, "faulty": 2}
    run = calm(**sizes, adversary=adversary, seed=1).play(60000)  # type: ignore[arg-type]
    assert run.done
    assert not run.faults()
    assert not run.exposed


@pytest.mark.parametrize("adversary", REJECTED)
def test_messages_without_their_authors_signature_prove_and_change_nothing(adversary: str) -> None:
    run = calm(7, faulty=2, adversary=adversary, seed=1).play(60_000)
    assert run.done
    assert not run.faults()
    assert not run.exposed
    refused = sum(run.swarm[agent].refused for agent in run.honest)
    assert (refused > 0) == (adversary != "replay")  # a copy of a message breaks no rule


def test_unequal_openings_are_proven_when_the_swarm_starts_again() -> None:
    run = calm(7, faulty=2, adversary="reopen", seed=1)
    liar = sorted(run.byzantine)[0]
    stubborn = Byzantine.kinds["stubborn"]
    run.swarm[liar] = stubborn(run.genesis, run.signers[liar], run.swarm[liar].plot)  # type: ignore[attr-defined]
    run.play(30000)
    assert set(run.exposed) == run.byzantine
    kinds = {one.kind for one in run.swarm[run.honest[0]].proofs.values()}
    assert kinds == {Kind.STEP, Kind.SECOND_OPENING}


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_no_schedule_excludes_an_honest_agent_or_splits_the_swarm(first: int) -> None:
    kinds = sorted(Byzantine.kinds)
    for seed in range(first, first + 10):
        n = 4 + seed % 4
        run = Run(
            n,
            seed,
            faulty=(n - 1) // 3,
            adversary=kinds[seed % len(kinds)],
            loss=(0.0, 0.1, 0.3)[seed % 3],
            restarts=0.003 * (seed % 2),
            haste=(0.02, 0.2)[seed // 2 % 2],
        ).play(1500)
        assert not run.faults()


def test_the_frontier_lemma_holds_while_lists_shrink() -> None:
    """Timers expire at random, so agents drop each other all the time."""
    passed = 0
    for seed in range(12):
        run = Run(7, seed, loss=0.2, copies=0.1, haste=0.15).play(2500)
        tests, broken = run.lemma()
        assert not broken
        passed += tests
    assert passed > 40


def test_messages_in_any_order_lead_to_the_same_opinions() -> None:
    """Without silence an opinion depends on the openings alone."""
    seen = []
    for seed in (1, 2, 3):
        run = Run(7, 5, loss=0.0, copies=0.2, haste=0.0)
        run.rng.seed(seed)
        run.play(20000)
        assert run.done
        statements = {
            (one.author, one.round): one.opinions
            for one in run.statements.values()
            if one.place.epoch == 1
        }
        seen.append(statements)
    for one, other in itertools.pairwise(seen):
        shared = one.keys() & other.keys()
        assert len(shared) > 30
        assert all(one[key] == other[key] for key in shared)


def test_a_wrong_core_is_found_before_anything_is_signed() -> None:
    run = calm(5, wrong_core=2).play(30000)
    assert run.failures == ["round 1: the device computes wrong bits"]
    assert not run.exposed
    assert not run.faults()
    assert run.done  # the others decide without its statements


def test_a_wrong_core_that_does_not_check_itself_is_proven_by_others() -> None:
    run = calm(5, wrong_core=2, self_check=False).play(30000)
    assert set(run.exposed) == {2}
    assert run.exposed[2] >= {0, 1, 3, 4}


def test_an_audit_on_a_wrong_core_accuses_nobody() -> None:
    """The agent checks its own proof on the integer model, and stops."""
    run = calm(5, wrong_audits=2).play(30_000)
    assert len(run.failures) == 1
    assert run.failures[0].startswith("an audit was wrong: agent ")
    assert not run.exposed
    assert not run.faults()
    assert run.done  # the others decide without its statements


def test_a_restarted_agent_states_nothing_twice() -> None:
    run = calm(5)
    for agent in range(5):
        run.act(agent, run.swarm[agent].open(run.decision, run.evidence(agent)))
    while not run.done and run.steps < 8000:
        run.step()
        if run.steps % 25 == 0:
            run.restart(run.steps // 25 % 5)
    assert run.done
    assert not run.faults()
    slots = [(one.place, one.author, one.round) for one in run.statements.values()]
    assert len(slots) == len(set(slots))
    assert sum(run.lives) > 10


def test_records_come_before_the_messages_that_depend_on_them() -> None:
    run = calm(4)
    effects = run.swarm[0].open(run.decision, run.evidence(0))
    kinds = [type(one) for one in effects]
    assert kinds.index(Persist) < kinds.index(Send)
    sent = [decode(one.message) for one in effects if isinstance(one, Send)]
    stated = [one for bundle in sent if isinstance(bundle, Bundle) for one in bundle.statements]
    records = [one.record for one in effects if isinstance(one, Persist)]
    assert stated
    assert all(any(one.encoded in record for record in records) for one in stated)


def test_agents_learn_of_a_decision_from_each_other() -> None:
    run = calm(5)
    run.act(0, run.swarm[0].open(run.decision, [0.9, 0.1]))
    while not run.done and run.steps < 20000:
        run.step()
    assert run.done
    assert {one.outcome for one in run.certificates.values()} == {0}


def test_an_agent_refuses_what_it_cannot_decide() -> None:
    keys, signers = KeySet.simulated(4, 0)
    agent = Agent(Genesis(keys, 1, None, RULES), signers[0])
    with pytest.raises(InvalidInput, match="agent 0 has no part"):
        agent.open(Decision(b"pad", 0b1110, 0))
    with pytest.raises(InvalidInput, match="it has no labels"):
        agent.open(Decision.of_all(b"pad", 4, labels=()))
    with pytest.raises(InvalidInput, match="agents without keys"):
        agent.open(Decision.of_all(b"pad", 5))
    with pytest.raises(InvalidInput, match="evidence"):
        agent.open(Decision.of_all(b"pad", 4), [0.5])


def test_messages_that_break_a_rule_are_counted_and_change_nothing() -> None:
    run = calm(4).play(40)
    agent, other = run.swarm[0], run.swarm[1]
    before = agent.deliberations[run.decision.id].opinions
    refused = agent.refused
    effects = agent.receive(b"") + agent.receive(b"\xff" * 40) + agent.receive(b"\x80")
    assert agent.refused == refused + 3
    assert effects == []
    false = Exposure(1, _false_proof(run))
    assert agent.receive(false.encoded) == []
    assert agent.refused == refused + 4
    assert agent.deliberations[run.decision.id].opinions == before
    assert not agent.excluded
    assert not other.excluded


def _false_proof(run: Run) -> "tmesh.agent.Proof":
    some = sorted((one for one in run.statements.values() if not one.round), key=lambda s: s.id)
    return tmesh.agent.Proof(Kind.EQUIVOCATION, run.decision, tuple(some[:2]))


def test_an_author_opens_a_bounded_number_of_decisions() -> None:
    run = calm(4)
    effects = []
    for number in range(160):
        decision = Decision.of_all(b"flood", 4, number=number)
        effects += [
            one for one in run.swarm[1].open(decision) if isinstance(one, Send) and one.to == 0
        ]
    for effect in effects:
        run.swarm[0].receive(effect.message)
    assert len(run.swarm[0].deliberations) == 64
    assert run.swarm[0].refused > 0


AGENT = Path(tmesh.agent.__file__).parent


def test_the_agent_imports_no_device_network_or_clock() -> None:
    allowed = {"agent", "errors", "finality", "genesis", "golden", "ledger", "numbers", "sheaf"}
    outside = {"abc", "cbor2", "collections", "dataclasses", "enum", "functools", "hashlib"}
    outside |= {"itertools", "numpy", "pathlib", "typing"}
    for path in AGENT.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [one.name for one in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                top, _, rest = name.partition(".")
                part = rest.partition(".")[0] if top == "tmesh" else top
                assert part in (allowed if top == "tmesh" else outside), f"{path.name}: {name}"


def test_no_class_of_the_agent_is_longer_than_300_lines() -> None:
    for path in AGENT.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                assert node.end_lineno is not None
                assert node.end_lineno - node.lineno < 300, f"{path.name}: {node.name}"
