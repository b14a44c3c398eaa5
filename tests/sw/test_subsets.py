"""Decisions of some of the agents, with faults and quorums of their own."""

import dataclasses

import numpy as np
import pytest
import tmesh
from tmesh.config import core_config
from tmesh.devices import Device
from tmesh.finality import quorum
from tmesh.finality.encoding import bits
from tmesh.network import Partition, Topology
from tmesh.swarm import Result, Scenario
from tmesh.swarm.roster import Roster

COMPLETE = Topology(kind="complete")
NORTH, SOUTH = tuple(range(7)), (10, 11, 12, 13)
TWO = ({"name": "north", "agents": NORTH, "decisions": 2}, {"name": "south", "agents": SOUTH})


@pytest.fixture(scope="module")
def device() -> Device:
    return tmesh.open_device("reference")


def run(device: Device, seed: int = 0, **fields: object) -> Result:
    fields = {"topology": COMPLETE, "agents": 24, "k": 5, "mixing": 0, **fields}
    return tmesh.run(Scenario(**fields), device, seed)  # type: ignore[arg-type]


def test_a_row_for_every_agent_that_has_a_part() -> None:
    roster = Roster.of(Scenario(agents=24, k=5, topology=COMPLETE, subsets=TWO))
    assert roster.members.sum(axis=1).tolist() == [24, 7, 7, 4]
    assert sorted(roster.rows[roster.members].tolist()) == list(range(24 + 7 + 7 + 4))
    assert np.all(roster.rows[~roster.members] == -1)
    assert roster.decisions[3].tolist() == [0, 1, 2]
    assert roster.decisions[10].tolist() == [0, 3]
    assert roster.decisions[20].tolist() == [0]
    decisions = [group.decision(one) for group in roster.groups for one in group.decisions]
    assert len({decision.id for decision in decisions}) == 4
    assert [decision.quorum for decision in decisions] == [16, 5, 5, 3]


def test_without_decisions_of_all_agents_there_are_those_of_subsets() -> None:
    roster = Roster.of(Scenario(agents=24, k=5, topology=COMPLETE, decisions=0, subsets=TWO))
    assert [group.name for group in roster.groups] == ["north", "south"]
    assert roster.members.sum(axis=1).tolist() == [7, 7, 4]
    assert roster.decisions[20].tolist() == []


@pytest.mark.parametrize("mode", ["pull", "symmetric"])
def test_each_subset_signs_its_own_certificates(device: Device, mode: str) -> None:
    result = run(device, 2, mode=mode, subsets=TWO, majority=0.9)
    assert result.decided == 1
    assert len(result.certificates) == 4
    found = {(one.decision.resource, one.decision.number): one for one in result.certificates}
    for name, agents, count in (("north", NORTH, 2), ("south", SOUTH, 1)):
        for number in range(count):
            certificate = found[f"subset {name}".encode(), number]
            certificate.verify(result.genesis.keys)
            assert set(bits(certificate.signers)) <= set(agents)
            assert certificate.signers.bit_count() == quorum(len(agents), (len(agents) - 1) // 3)
    assert np.all((result.outcomes >= 0) == result.members)
    assert np.all(np.isnan(result.entropies) == ~result.members)


def test_a_subset_decides_while_it_is_cut_off(device: Device) -> None:
    """Seven of 24 have no quorum for what all decide, and five of seven for their own."""
    cut = Partition(start=0.0, end=1e9, groups=(NORTH,))
    result = run(device, 1, subsets=TWO[:1], partitions=(cut,), rounds=60, majority=0.9)
    assert np.all(result.outcomes[1:, list(NORTH)] >= 0)
    assert np.all(result.outcomes[0, list(NORTH)] < 0)
    assert np.all(result.outcomes[0, 7:] >= 0)


@pytest.mark.parametrize("adversary", ["hold", "hide-lock", "double-spend"])
def test_a_liar_in_a_small_subset_stops_nothing(device: Device, adversary: str) -> None:
    """One of four lies. Epochs are short, so that the coin of the four is used."""
    tried, epochs = 0, 0
    for seed in range(6):
        fours = [{"name": f"{first}", "agents": range(first, first + 4)} for first in (0, 4, 8, 12)]
        fields = {"subsets": tuple(fours), "faulty": 4, "timeout": 2, "rounds": 400, "kappa": 8}
        result = run(device, seed, **fields, agents=16, decisions=0, adversary=adversary)
        for place, one in enumerate(fours):
            agents = np.array(one["agents"])
            if result.lying[agents].sum() == 1:
                chosen = set(result.outcomes[place, agents[~result.lying[agents]]].tolist())
                assert len(chosen) == 1
                assert chosen <= {0, 1}
                tried += 1
        epochs = max(epochs, *(one.vote.epoch for one in result.certificates))
    assert tried > 4
    assert epochs > 1


def test_a_state_that_is_none_is_refused_in_a_subset_too(device: Device) -> None:
    result = run(device, subsets=TWO[:1], decisions=0, faulty=4, adversary="invalid", rounds=20)
    assert np.any(result.lying[list(NORTH)])
    assert result.refused["state"] > 0
    assert result.rounds > 0  # of those who decide


def test_statements_carry_what_their_author_has_a_part_in(device: Device) -> None:
    """16 bytes a decision: a subset of four that decides 40 things more costs the others little."""
    few = run(device, subsets=TWO[1:], majority=1.0)
    many = run(device, subsets=({**TWO[1], "decisions": 41},), majority=1.0)
    assert many.decided == 1
    grown = many.bytes["statements"] - few.bytes["statements"]
    answers = few.updates.sum() * 5  # at most: of k neighbours, a sixth of whom are of the subset
    assert 0 < grown < 0.6 * answers * 40 * 16


def test_a_mesh_that_does_not_join_a_subset_is_refused(device: Device) -> None:
    ring = {"topology": Topology(kind="ring"), "k": 2}
    apart = ({"name": "north", "agents": (0, 6, 12)},)
    with pytest.raises(ValueError, match="subsets: the mesh does not join the agents of 'north'"):
        run(device, **ring, subsets=apart)
    near = ({"name": "north", "agents": (0, 1, 2, 3)},)
    assert run(device, **ring, subsets=near, decisions=0, majority=1.0).decided == 1


def test_a_subset_of_liars_is_refused(device: Device) -> None:
    with pytest.raises(ValueError, match="faulty: nobody in subset 'a' is honest"):
        run(device, subsets=({"name": "a", "agents": (3, 4)},), faulty=23)


def test_agents_in_many_groups_use_no_more_room(device: Device) -> None:
    """What an agent hears for a decision are k statements, in however many groups it is."""
    groups = tuple({"name": f"{one}", "agents": range(24)} for one in range(8))
    core = dataclasses.replace(core_config("sim-gossip"), agents=9 * 24 + 8)
    with tmesh.open_device("reference", core) as small:
        result = run(small, subsets=groups, majority=0.9)
    assert result.decided == 1
    np.testing.assert_array_equal(
        result.outcomes, run(device, subsets=groups, majority=0.9).outcomes
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"decisions": 0}, "decisions: there are none"),
        ({"subsets": (TWO[0], TWO[0])}, "subsets: two are called 'north'"),
        ({"subsets": ({**TWO[0], "decisions": 4096},)}, "decisions: 4,097 with those of subsets"),
        ({"subsets": ({"name": "a", "agents": (3, 24)},)}, "subsets: a: there is no agent 24"),
        ({"subsets": ({"name": "a", "agents": (3, 3)},)}, "agents: one is named twice"),
        ({"subsets": ({"name": "a", "agents": (3,)},)}, "agents: 1 cannot ask each other"),
        ({"subsets": ({"name": "a", "agents": (3, 4), "faults": 1},)}, "a third or more"),
    ],
)
def test_what_is_no_subset_is_refused(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Scenario(agents=24, k=5, topology=COMPLETE, **fields)


def test_the_round_model_has_none() -> None:
    with pytest.raises(ValueError, match="decisions: the round model takes one, of all agents"):
        tmesh.swarm.sweep(
            Scenario(agents=24, k=5, topology=COMPLETE, subsets=TWO), tmesh.open_device("model"), 1
        )


def test_no_subset_has_a_decision_of_the_swarm() -> None:
    """Also not one of all agents with the swarm's name."""
    subset = {"name": "swarm", "agents": tuple(range(6))}
    roster = Roster.of(Scenario(agents=6, k=2, subsets=(subset,)))
    assert len({group.decision(number).id for number, group in enumerate(roster.groups)}) == 2
