"""Certificates in a whole swarm: against liars, kills, short clocks and partitions."""

import numpy as np
import pytest
import tmesh
from tmesh.devices import Device
from tmesh.network import Partition, Topology
from tmesh.swarm import Result, Scenario

COMPLETE = Topology(kind="complete")
FOUR = {"agents": 4, "k": 3, "faulty": 1, "mixing": 0, "kappa": 8, "timeout": 1, "rounds": 800}


@pytest.fixture(scope="module")
def device() -> Device:
    return tmesh.open_device("reference")


def run(device: Device, seed: int = 0, **fields: object) -> Result:
    return tmesh.run(Scenario(topology=COMPLETE, **fields), device, seed)  # type: ignore[arg-type]


def outcomes(result: Result) -> set[int]:
    return {certificate.outcome for certificate in result.certificates}


@pytest.mark.parametrize("adversary", ["hide-lock", "late", "double-spend", "equivocate", "hold"])
def test_one_liar_of_four_stops_nothing(device: Device, adversary: str) -> None:
    epochs = []
    for seed in range(8):
        result = run(device, seed, **FOUR, adversary=adversary)
        assert result.decided == 1
        assert len(outcomes(result)) == 1
        assert result.certificates[0].vote.epoch <= 10
        epochs.append(result.epochs)
    assert max(epochs) > 1  # clocks run out before the votes are in


def test_certificates_verify_with_the_genesis_alone(device: Device) -> None:
    result = run(device, 5, agents=10, k=4, decisions=3, outcomes=3, mixing=0, majority=0.9)
    assert len(result.certificates) == 3
    for certificate, chosen in zip(result.certificates, result.outcomes, strict=True):
        tmesh.finality.Certificate.decode(certificate.encoded).verify(result.genesis.keys)
        assert set(chosen.tolist()) == {certificate.outcome}
    shown = result.to_dict()["certificates"]
    assert [one["signers"] for one in shown] == [7, 7, 7]


def test_clocks_that_are_too_short_only_cost_epochs(device: Device) -> None:
    fields = {"agents": 20, "k": 8, "mixing": 0, "timeout": 1, "channel": "uav-mesh"}
    result = run(device, **fields)
    assert result.decided == 1
    assert result.certificates[0].vote.epoch > 1


def test_killed_agents_come_back_and_the_run_ends(device: Device) -> None:
    """A hundred kills with torn writes in four runs: none loses or contradicts a final decision."""
    for seed in range(4):
        fields = {"agents": 24, "k": 8, "mixing": 0, "timeout": 20, "channel": "uav-mesh"}
        result = run(device, seed, **fields, faulty=3, adversary="hold", kills=25)
        assert result.decided == 1
        assert len(outcomes(result)) == 1


def test_more_liars_than_declared_make_conflicting_certificates(device: Device) -> None:
    """The tests above can fail: of seven agents none may lie, as declared, and one signs both
    outcomes, to agents who settle on what they thought at first."""
    fields = {"agents": 7, "k": 1, "faults": 0, "mixing": 0, "kappa": 8, "beta": 1, "majority": 0.5}
    fields |= {"adversary": "double-spend", "confidence": 0.99, "epsilon": 0.6, "faulty": 1}
    pairs = 0
    for seed in range(40):
        result = run(device, seed, **fields)
        for certificate in result.certificates:
            certificate.verify(result.genesis.keys)  # valid, every one of them
        pairs += len(outcomes(result)) == 2
    assert pairs > 0


def test_only_the_side_with_a_quorum_makes_certificates(device: Device) -> None:
    """24 agents, q = 16: 18 go on while 6 are apart, which catch up when the partition ends."""
    apart = tuple(range(6))
    fields = {"agents": 24, "k": 5, "mixing": 0, "kappa": 8, "majority": 0.7, "timeout": 60}
    cut = Partition(start=0.0, end=1e9, groups=(apart,))
    parted = run(device, 1, **fields, partitions=(cut,), rounds=40)
    assert np.all(parted.outcomes[0, 6:] >= 0)
    assert np.all(parted.outcomes[0, :6] < 0)
    cut = Partition(start=0.0, end=0.1, groups=(apart,))
    healed = run(device, 1, **fields, partitions=(cut,), rounds=400)
    assert healed.decided == 1
    assert outcomes(healed) == outcomes(parted)
    halves = Partition(start=0.0, end=1e9, groups=(tuple(range(12)),))
    neither = run(device, 1, **fields, partitions=(halves,), rounds=40)
    assert not neither.certificates


def test_two_sides_that_settled_apart_end_with_one_outcome(device: Device) -> None:
    """Conflicting provisional outcomes run again; what lost stays signed, as a tombstone."""
    found = 0
    for seed in range(6):
        scenario = Scenario(
            agents=16,
            k=4,
            mixing=0,
            confidence=0.9,
            majority=0.5,
            timeout=30,
            rounds=600,
            topology=COMPLETE,
            partitions=(Partition(start=0.0, end=0.08, groups=(tuple(range(8)),)),),
        )
        result = tmesh.run(scenario, device, seed)
        assert result.decided == 1
        assert len(outcomes(result)) == 1
        found += result.tombstones > 0 and result.glued[0]["conflicting"] == 1
    assert found > 0
