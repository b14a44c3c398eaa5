"""Certificates: valid by their bytes and the keys alone, and nothing else is."""

import dataclasses
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tmesh.errors import InvalidInput
from tmesh.finality import Act, Certificate, Decision, InvalidCertificate, Vote
from tmesh.ledger import KeySet

KEYS, SIGNERS = KeySet.simulated(7, 0)
DECISION = Decision.of_all(b"landing pad 3", 7)  # f = 2, q = 5
COMMIT = Vote(Act.COMMIT, 2, 1)


def certificate(decision: Decision = DECISION, vote: Vote = COMMIT, first: int = 1) -> Certificate:
    signed = {a: decision.sign(SIGNERS[a], vote) for a in range(first, first + decision.quorum)}
    return Certificate.of(decision, vote, signed)


def test_it_verifies_from_its_bytes() -> None:
    made = certificate()
    read = Certificate.decode(made.encoded)
    read.verify(KEYS)
    assert read == made
    assert (read.decision, read.outcome, read.final) == (DECISION, 1, True)
    assert len(made.encoded) < 64 * DECISION.quorum + 80


def test_a_lock_is_one_of_attestations() -> None:
    lock = certificate(vote=Vote(Act.ATTEST, 2, 1))
    lock.verify(KEYS)
    assert not lock.final


def test_a_part_of_the_swarm_decides_for_itself() -> None:
    local = Decision(b"gripper", 0b0111100, 1)  # agents 2 to 5, q = 3
    made = certificate(local, first=2)
    Certificate.decode(made.encoded).verify(KEYS)
    stranger = {a: local.sign(SIGNERS[a], COMMIT) for a in (1, 2, 3)}
    with pytest.raises(InvalidCertificate, match="agent 1 is not one of the decision's agents"):
        Certificate.of(local, COMMIT, stranger).verify(KEYS)


def test_decisions_that_differ_in_anything_have_other_names() -> None:
    some = [
        DECISION,
        Decision.of_all(b"landing pad 4", 7),
        Decision.of_all(b"landing pad 3", 7, 1),
        Decision.of_all(b"landing pad 3", 8),
        Decision.of_all(b"landing pad 3", 7, labels=("no", "yes", "yet")),
        Decision.of_all(b"landing pad 3", 7, labels=("n", "oyes")),
        Decision.of_all(b"landing pad 3", 7, labels=()),
        Decision.of_all(b"landing pad 3", 7, number=1),
    ]
    assert len({decision.id for decision in some}) == len(some)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"vote": Vote(Act.COMMIT, 2, 0)}, "did not sign"),
        ({"vote": Vote(Act.COMMIT, 3, 1)}, "did not sign"),
        ({"vote": Vote(Act.ATTEST, 2, 1)}, "did not sign"),
        ({"vote": Vote(Act.ENTER, 2, 0)}, "prove nothing"),
        ({"signers": 0b1001111}, "did not sign"),
        ({"signers": 0b0001110}, "3 signatures of commit prove nothing"),
        ({"signers": 0b1111110}, "6 signers, but"),
        ({"decision": Decision.of_all(b"another", 7)}, "did not sign"),
        ({"decision": Decision.of_all(b"landing pad 3", 7, labels=("a", "b"))}, "did not sign"),
        ({"decision": Decision.of_all(b"landing pad 3", 9, 0)}, "no more than 7 agents"),
    ],
)
def test_nothing_else_is_valid(changes: dict[str, object], reason: str) -> None:
    false = dataclasses.replace(certificate(), **changes)  # type: ignore[arg-type]
    with pytest.raises(InvalidCertificate, match=reason):
        Certificate.decode(false.encoded).verify(KEYS)


def test_a_certificate_means_something_in_one_swarm_only() -> None:
    certificate().verify(KEYS)
    with pytest.raises(InvalidCertificate, match="agent 1 did not sign it"):
        certificate().verify(KeySet([KEYS[agent] for agent in range(7)], swarm=b"s" * 32))


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (("yes", "no"), "labels: 'no' does not come after 'yes'"),
        (("no", "no"), "labels: 'no' does not come after 'no'"),
        (("é", "z"), "labels: 'z' does not come after 'é'"),
        (("no",), "labels: 1 is no number from 2 to 1024"),
        (("no", "y" * 65), "labels: 65 bytes are more than 64"),
        (("no", 1), "labels: 1 is no text"),
        (("no", "\ud800"), "has no UTF-8"),
        ("no", "labels: no array"),
    ],
)
def test_labels_are_different_texts_in_order(labels: Any, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        Decision.of_all(b"landing pad 3", 7, labels=labels)


def test_a_vote_is_for_an_outcome_of_its_decision() -> None:
    with pytest.raises(InvalidInput, match="outcome: 2 is no number from 0 to 1"):
        DECISION.sign(SIGNERS[0], COMMIT._replace(outcome=2))
    numbered = Decision.of_all(b"landing pad 3", 7, labels=())
    assert numbered.sign(SIGNERS[0], COMMIT._replace(outcome=2))


def test_too_few_make_none() -> None:
    with pytest.raises(ValueError, match="4 signatures, not 5"):
        Certificate.of(DECISION, COMMIT, {a: bytes(64) for a in range(4)})


@given(st.data())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_bytes_that_were_changed_are_refused(data: st.DataObject) -> None:
    good = bytearray(certificate().encoded)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(good) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "add"])):
            case "flip":
                good[place] ^= data.draw(st.integers(1, 255))
            case "cut":
                del good[place]
            case _:
                good.insert(place, data.draw(st.integers(0, 255)))
    if bytes(good) != certificate().encoded:
        with pytest.raises(InvalidCertificate):
            Certificate.decode(bytes(good)).verify(KEYS)


@given(st.binary(max_size=200) | st.lists(st.integers(-5, 1 << 70)).map(cbor2.dumps))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidCertificate):
        Certificate.decode(data)
