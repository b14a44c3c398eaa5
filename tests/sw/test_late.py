"""Outcomes that come to be known when others are under discussion already."""

import numpy as np
import pytest
import tmesh
from tmesh.adversaries import Poll, Stubborn
from tmesh.devices import Device
from tmesh.finality import Act, Decision
from tmesh.ledger import Event, KeySet, Kind
from tmesh.network import Topology
from tmesh.numbers import BoolArray
from tmesh.swarm import Result, Scenario
from tmesh.swarm.opinions import Opinions
from tmesh.swarm.proposals import Member, Proposals
from tmesh.swarm.roster import Roster

COMPLETE = Topology(kind="complete")


@pytest.fixture(scope="module")
def device() -> Device:
    return tmesh.open_device("reference")


def run(device: Device, seed: int = 0, **fields: object) -> Result:
    fields = {"topology": COMPLETE, "agents": 24, "k": 5, "outcomes": 3, "majority": 0.8, **fields}
    return tmesh.run(Scenario(**fields), device, seed)  # type: ignore[arg-type]


def late(round_: float, outcome: int = 0) -> dict[str, object]:
    return {"late": ({"outcome": outcome, "round": round_},)}


def test_in_time_it_wins_and_too_late_it_changes_nothing(device: Device) -> None:
    """Most agents are for outcome 0, as soon as they know of it."""
    never = run(device, 0, **late(1e6))
    assert never.outcome in (1, 2)
    for seed in range(2):
        assert run(device, seed, **late(2)).outcome == 0
        after = run(device, seed, **late(60))
        assert after.decided == 1
        assert after.outcome in (1, 2)


def test_at_any_time_there_is_one_outcome(device: Device) -> None:
    for seed in range(6):
        fields = {"mixing": 4, "timeout": 12, "faulty": 4, "adversary": "double-spend"}
        result = run(device, seed, **fields, **late(seed, seed % 3), channel="uav-mesh")
        assert result.decided == 1
        assert len(result.certificates) == 1


def test_killed_agents_learn_again(device: Device) -> None:
    for seed in range(3):
        result = run(device, seed, **late(1), kills=12, mixing=4, channel="uav-mesh")
        assert result.decided == 1
        assert len(result.certificates) == 1


class Loud(Stubborn):
    """Signs everything, too."""

    def votes(self, poll: Poll) -> BoolArray:
        return ~poll.nothing


@pytest.mark.parametrize(("round_", "pairs"), [(0, {1}), (1e6, set())])
def test_nobody_attests_what_he_does_not_know(
    device: Device, round_: float, pairs: set[int]
) -> None:
    """Fourteen liars pull ten agents over to an outcome, and sixteen signatures would lock it."""
    fields = {"outcomes": 2, "majority": 1.0, "faulty": 14, "adversary": f"{__name__}:Loud"}
    result = run(device, 0, **fields, **late(round_, 1), kappa=8, rounds=30, timeout=100)
    assert max(row["collapsed"] for row in result.history) == 1
    assert {one.outcome for one in result.certificates} == pairs


def test_what_is_unknown_has_no_weight(device: Device) -> None:
    rules = Scenario(agents=4, k=3, topology=COMPLETE, late=({"outcome": 1, "round": 0},))
    opinions = Opinions(device, rules, np.array([[0.1, 0.9]] * 4))
    assert opinions.vectors[:, 2].tolist() == [1.0] * 4  # certain of what they know
    opinions.learn(np.array([2]), 1)
    assert opinions.vectors[:, 2] == pytest.approx([1, 1, -0.8, 1])
    assert [opinions.knows(row, 1) for row in range(4)] == [False, False, True, False]


def test_who_has_settled_stays_so(device: Device) -> None:
    rules = Scenario(
        agents=4, k=3, beta=1, topology=COMPLETE, outcomes=4, late=({"outcome": 3, "round": 0},)
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
    rules = Scenario(agents=4, k=3, topology=COMPLETE, late=({"outcome": 1, "round": 0},))
    opinions = Opinions(device, rules, np.array([[0.1, 0.9]] * 4))
    opinions.reopen(np.array([0, 1]), np.array([2, 2]), np.array([1, -2]))
    assert opinions.vectors[:, 2].tolist() == [-1.0, 1.0, 1.0, 1.0]
    assert opinions.knows(0, 1)
    assert not opinions.knows(1, 1)


def test_only_members_propose_outcomes_that_there_can_be(device: Device) -> None:
    subset = {"name": "north", "agents": (0, 1, 2, 3)}
    rules = Scenario(
        agents=6, k=3, topology=COMPLETE, subsets=(subset,), late=({"outcome": 1, "round": 0},)
    )
    roster, (keys, signers) = Roster.of(rules), KeySet.simulated(6, 0)
    decisions = [group.decision(one) for group in roster.groups for one in group.decisions]
    opinions = Opinions(device, rules, np.full((10, 2), 0.5))
    proposals = Proposals(roster, decisions, keys, opinions)
    other = Decision.of_all(b"another", 6)

    def event(author: int, decision: Decision, outcome: int, kind: Kind = Kind.PROPOSAL) -> Event:
        payload = outcome.to_bytes(2, "little")
        return Event(author, 0, kind, decision.id, b"", (), payload).signed(signers[author])

    good = event(1, decisions[1], 1)
    wrong = [
        event(5, decisions[1], 1),  # has no part in it
        event(1, decisions[1], 2),  # two outcomes
        event(1, other, 1),
        event(1, decisions[1], 1, Kind.STATEMENT),
    ]
    forged = good.encoded[:-1] + bytes([good.encoded[-1] ^ 1])
    assert not any(proposals.hear(2, one) for one in [*(one.encoded for one in wrong), forged, b""])
    assert proposals.refused["proposal"] == 6
    assert proposals.known(2, 1) == frozenset()
    assert proposals.hear(2, good.encoded)
    assert proposals.known(2, 1) == {Member(1, 1)}
    assert proposals.known(2, 0) == frozenset()
    assert proposals.lacking(2, 1, frozenset()) == (good.encoded,)
    assert proposals.lacking(2, 1, proposals.known(2, 1)) == ()
    assert [opinions.knows(int(roster.rows[1, agent]), 1) for agent in (1, 2)] == [False, True]
    proposals.hear(1, good.encoded)
    proposals.forget(1)  # his own
    proposals.forget(2)
    assert proposals.known(1, 1) == {Member(1, 1)}
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
        ({"late": ({"outcome": 1, "round": 1},), "finality": False}, "late: it is for outcomes"),
        ({"late": ({"outcome": 1, "round": 1},), "direction": True}, "late: it is for outcomes"),
    ],
)
def test_what_cannot_come_late_is_refused(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Scenario.checked(agents=24, k=5, topology=COMPLETE, **fields)
