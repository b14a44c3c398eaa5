"""Outcomes that come to be known when others are under discussion already."""

import numpy as np
import pytest
import tmesh
from hypothesis import given, settings
from hypothesis import strategies as st
from tmesh.devices import Device
from tmesh.finality import Act, Decision
from tmesh.ledger import Event, InvalidEvent, KeySet, Kind
from tmesh.network import Topology
from tmesh.swarm import Result, Scenario
from tmesh.swarm.opinions import NONE, SEVERAL, Opinions, Statements
from tmesh.swarm.proposals import Leaf, Proposals
from tmesh.swarm.roster import Roster

COMPLETE = Topology(kind="complete")


@pytest.fixture(scope="module")
def device() -> Device:
    return tmesh.open_device("reference")


def run(device: Device, seed: int = 0, **fields: object) -> Result:
    fields = {"topology": COMPLETE, "agents": 24, "k": 5, "outcomes": 3, "majority": 0.8, **fields}
    return tmesh.run(Scenario(**fields), device, seed)  # type: ignore[arg-type]


def late(round_: int, outcome: int = 0) -> dict[str, object]:
    return {"late": ({"outcome": outcome, "round": round_},)}


def test_in_time_it_wins_and_too_late_it_changes_nothing(device: Device) -> None:
    """Most agents are for outcome 0, as soon as they know of it."""
    for seed in range(2):
        assert run(device, seed, **late(2)).outcome == 0
        after = run(device, seed, **late(22))  # bits are settled, and votes under way
        assert after.bytes["proposals"] > 0
        assert after.decided == 1
        assert after.outcome in (1, 2)


def test_at_any_time_there_is_one_outcome(device: Device) -> None:
    for seed in range(6):
        fields = {"mixing": 4, "timeout": 12, "faulty": 4, "adversary": "double-spend"}
        result = run(device, seed, **fields, **late(1 + seed, seed % 3), channel="uav-mesh")
        assert result.decided == 1
        assert len(result.certificates) == 1


def test_killed_agents_learn_again(device: Device) -> None:
    for seed in range(3):
        result = run(device, seed, **late(1), kills=12, mixing=4, channel="uav-mesh")
        assert result.decided == 1
        assert len(result.certificates) == 1


@pytest.mark.parametrize("liars", [2, 7])
def test_liars_cannot_push_what_nobody_proposed(device: Device, liars: int) -> None:
    """All honest agents would be for outcome 1 if they knew of it, and liars say nothing else."""
    for seed in range(3):
        fields = {"outcomes": 2, "majority": 1.0, "faulty": liars, "adversary": "stubborn"}
        result = run(device, seed, **fields, **late(10_000, 1), timeout=8)
        assert {one.outcome for one in result.certificates} == {0}
        assert result.decided == 1


@given(st.integers(0, 1 << 32))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_row_settles_only_on_what_it_knows(seed: int) -> None:
    """Whatever it hears, learns and begins from, and wherever a coin pushes it."""
    rng, m = np.random.default_rng(seed), 6
    unknown = tuple({"outcome": int(one), "round": 1} for one in rng.permutation(m)[:3])
    fields = {"agents": 8, "k": 4, "outcomes": m, "beta": 1, "kappa": 8, "mixing": 0}
    rules = Scenario(**fields, topology=COMPLETE, late=unknown, threshold=0.9)
    with tmesh.open_device("reference") as device:
        opinions = Opinions(device, rules, rng.random((8, m)))
        rows, known = np.arange(8), np.ones((8, m), dtype=bool)
        known[:, [one["outcome"] for one in unknown]] = False
        for _ in range(12):
            said = Statements(rng.uniform(-0.6, 0.6, (8, 4, 3)), *rng.integers(0, 2, (2, 8, 4)))
            opinions.update(rows, said, np.zeros((8, 4), dtype=int), rng.uniform(-0.9, 0.9, 8))
            chosen = opinions.outcomes
            assert all(known[row, one] for row, one in enumerate(chosen.tolist()) if one >= 0)
            row, outcome = int(rng.integers(8)), int(rng.integers(m))
            if rng.random() < 0.5:
                opinions.learn(np.array([row]), outcome)
                known[row, outcome] = True
            elif rng.random() < 0.3:
                begin = rng.choice(np.nonzero(known[row])[0], rng.integers(3), replace=False)
                opinions.admit(row, begin.tolist())
                code = int(begin[0]) if len(begin) == 1 else (NONE if len(begin) == 0 else SEVERAL)
                opinions.reopen(np.array([row]), np.array([2]), np.array([code]))


def test_what_is_unknown_has_no_weight(device: Device) -> None:
    rules = Scenario(agents=4, k=3, topology=COMPLETE, late=({"outcome": 1, "round": 1},))
    opinions = Opinions(device, rules, np.array([[0.1, 0.9]] * 4))
    assert opinions.vectors[:, 2].tolist() == [1.0] * 4  # certain of what they know
    opinions.learn(np.array([2]), 1)
    assert opinions.vectors[:, 2] == pytest.approx([1, 1, -0.8, 1])


def test_who_has_settled_stays_so(device: Device) -> None:
    rules = Scenario(
        agents=4, k=3, beta=1, topology=COMPLETE, outcomes=4, late=({"outcome": 3, "round": 1},)
    )
    opinions = Opinions(device, rules, np.array([[0.0, 0.0, 0.4, 0.6]] * 4))
    rows = np.arange(4)
    others = np.tile(rows, (4, 1))
    opinions.update(rows, opinions.said(others), others)  # the first bit, 1, is settled
    opinions.learn(rows[:2], 3)
    assert opinions.vectors[:, 2] == pytest.approx([-0.2, -0.2, 1, 1])
    opinions.update(rows[2:], opinions.said(others[2:, 2:]), others[2:, 2:])
    assert opinions.outcomes.tolist() == [-1, -1, 2, 2]
    opinions.learn(rows, 3)
    assert opinions.outcomes.tolist() == [-1, -1, 2, 2]


def test_a_lock_is_known_without_a_proposal(device: Device) -> None:
    rules = Scenario(agents=4, k=3, topology=COMPLETE, late=({"outcome": 1, "round": 1},))
    opinions = Opinions(device, rules, np.array([[0.1, 0.9]] * 4))
    opinions.admit(0, [1])
    opinions.admit(1, [0, 1])
    opinions.reopen(np.array([0, 1]), np.array([2, 2]), np.array([1, SEVERAL]))
    assert opinions.vectors[:, 2].tolist() == [-1.0, 0.0, 1.0, 1.0]


def test_only_members_propose_outcomes_that_there_can_be(device: Device) -> None:
    subset = {"name": "north", "agents": (0, 1, 2, 3)}
    rules = Scenario(
        agents=6, k=3, topology=COMPLETE, subsets=(subset,), late=({"outcome": 1, "round": 1},)
    )
    roster, (keys, signers) = Roster.of(rules), KeySet.simulated(6, 0)
    decisions = [group.decision(one) for group in roster.groups for one in group.decisions]
    opinions = Opinions(device, rules, np.full((10, 2), 0.5))
    proposals = Proposals(roster, decisions, {1}, keys, opinions)
    other = Decision.of_all(b"another", 6)

    def event(author: int, decision: Decision, outcome: int, kind: Kind = Kind.PROPOSAL) -> Event:
        payload = outcome.to_bytes(2, "little")
        return Event(author, 0, kind, decision.id, b"", (), payload).signed(signers[author])

    good = event(1, decisions[1], 1)
    wrong = [
        event(5, decisions[1], 1),  # has no part in it
        event(1, decisions[1], 0),  # all know it
        event(1, decisions[1], 2),  # two outcomes
        event(1, other, 1),
        event(1, decisions[1], 1, Kind.STATEMENT),
    ]
    forged = good.encoded[:-1] + bytes([good.encoded[-1] ^ 1])
    for data in [*(one.encoded for one in wrong), forged, b""]:
        with pytest.raises(InvalidEvent):
            proposals.hear(2, data)
    assert proposals.known(2, 1) == frozenset()
    assert proposals.hear(2, good.encoded)
    assert not proposals.hear(2, good.encoded)  # no news
    assert not proposals.hear(5, good.encoded)  # nor his business
    assert proposals.known(2, 1) == {Leaf(1, 1)}
    assert proposals.known(2, 0) == frozenset()
    assert proposals.lacking(2, 1, frozenset()) == (good.encoded,)
    assert proposals.lacking(2, 1, proposals.known(2, 1)) == ()
    assert opinions.vectors[roster.rows[1, [1, 2]], 2].tolist() == [1.0, 0.0]
    proposals.hear(1, good.encoded)
    proposals.forget(1)  # his own
    proposals.forget(2)
    assert proposals.known(1, 1) == {Leaf(1, 1)}
    assert proposals.known(2, 1) == frozenset()


def test_proposals_are_counted(device: Device) -> None:
    result = run(device, 0, **late(2))
    assert result.certificates[0].vote.act == Act.COMMIT
    assert result.bytes["proposals"] > 0


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"late": ({"outcome": 2, "round": 1},)}, "late: some of 2 outcomes, and not all"),
        (
            {"late": tuple({"outcome": one, "round": 1} for one in (0, 1))},
            "late: some of 2 outcomes, and not all",
        ),
        ({"late": ({"outcome": 1, "round": 1},) * 2}, "late: an outcome is named twice"),
        (
            {"late": ({"outcome": 1, "round": 1},), "finality": False},
            "late: without finality nobody",
        ),
        (
            {"late": ({"outcome": 1, "round": 1},), "direction": True},
            "late: directions are all known",
        ),
    ],
)
def test_what_cannot_come_late_is_refused(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Scenario(agents=24, k=5, topology=COMPLETE, **fields)
