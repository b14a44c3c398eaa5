"""One check of messages for both directions: agents can read all that agents can send.

Fields are drawn at random, right and wrong ones. Either a constructor refuses them, or the bytes
that it gives decode to an equal object. Bytes are drawn at random, by changing good ones too.
Either a decoder refuses them, or the object that it gives has just these bytes.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tmesh.errors import InvalidInput
from tmesh.finality import Act, Certificate, Decision, Signed, Summary, Vote, Voter, pack, unpack
from tmesh.ledger import (
    Equivocation,
    Event,
    InvalidEvent,
    InvalidMessage,
    KeySet,
    Kind,
    Ledger,
    Reconciler,
    Reference,
    event,
)

KEYS, SIGNERS = KeySet.simulated(4, 0)
DECISION = Decision.of_all(b"slot 1", 4)
FUZZ = settings(max_examples=400, deadline=None, derandomize=True)

#: Wrong values for a number, bytes or a list.
WRONG = st.sampled_from(
    [True, 1.0, float("nan"), "1", None, -1, 1 << 32, 1 << 70, b"x", [], {}, np.float64(1)]
)
numbers = st.integers(0, 5) | st.integers(0, 5).map(np.int64) | WRONG
small = st.integers(0, 3)
ids = st.integers(0, 3).map(lambda one: bytes([one]) * 32)
octets = st.binary(max_size=40) | WRONG
signatures = st.binary(min_size=64, max_size=64) | st.sampled_from([b"", bytes(63)]) | WRONG
votes = st.tuples(st.sampled_from([0, 1, 2, 3]) | numbers, numbers, numbers)
labels = st.sets(st.text(max_size=2), max_size=4).map(sorted) | st.just(["é", "z"]) | WRONG
decisions = st.tuples(octets, st.integers(0, 300) | WRONG, numbers, labels, numbers)
parents = st.lists(st.tuples(small, small, ids) | WRONG, max_size=3) | WRONG


def made(call: Callable[[], Any]) -> Any:
    """An object, None if its fields are refused in one line that names a field."""
    try:
        return call()
    except InvalidInput as error:
        reason = str(error)
    assert 0 < len(reason) < 200
    assert "\n" not in reason
    return None


kinds = st.sampled_from([1, 2, 6]) | numbers


@FUZZ
@given(st.tuples(numbers, numbers, kinds, ids | octets, octets, parents, octets))
def test_events(fields: tuple[Any, ...]) -> None:
    fields = (*fields[:4], fields[4] if fields[1] else b"", *fields[5:])
    one = made(lambda: Event(*fields).signed(SIGNERS[0]))
    if one is not None:
        assert Event.decode(one.encoded) == one
        assert {type(one.author), type(one.seq)} == {int}
        proof = Equivocation(one, one)
        assert Equivocation.decode(proof.encoded) == proof


@FUZZ
@given(decisions, votes)
def test_votes(fields: tuple[Any, ...], vote: tuple[Any, ...]) -> None:
    decision = made(lambda: Decision(*fields)) or DECISION
    signature = made(lambda: decision.sign(SIGNERS[0], Vote(*vote)))
    if signature is not None:
        one = Signed(0, Vote(*vote), signature)
        (read,) = unpack(pack([one]))
        assert read == one
        assert decision.verify(KEYS, *read) is (decision.agents & 1 == 1)
        assert Summary.decode(Summary(((one.vote, 1),)).encoded).has(read.vote) == 1
        return
    assert made(lambda: Certificate(decision, Vote(*vote), 7, bytes(192))) is None
    if made(lambda: Vote.checked(*vote)) is None:
        assert made(lambda: pack([Signed(0, Vote(*vote), bytes(64))])) is None
        assert made(lambda: Summary(((Vote(*vote), 1),))) is None


@FUZZ
@given(st.lists(st.tuples(numbers, votes, signatures), max_size=4))
def test_packed_votes(some: list[tuple[Any, Any, Any]]) -> None:
    packed = made(lambda: pack([Signed(author, Vote(*vote), one) for author, vote, one in some]))
    if packed is not None:
        latest = {(author, vote): one for author, vote, one in some}
        assert {(one.author, one.vote): one.signature for one in unpack(packed)} == latest


@FUZZ
@given(st.lists(st.tuples(votes, numbers), max_size=3))
def test_summaries(known: list[tuple[Any, Any]]) -> None:
    one = made(lambda: Summary(tuple((Vote(*vote), signers) for vote, signers in known)))
    if one is not None:
        assert Summary.decode(one.encoded) == one


@FUZZ
@given(decisions, votes, numbers, octets)
def test_certificates(fields: tuple[Any, ...], vote: Any, signers: Any, data: Any) -> None:
    one = made(lambda: Certificate(Decision(*fields), Vote(*vote), signers, data))
    if one is not None:
        assert Certificate.decode(one.encoded) == one


@FUZZ
@given(st.lists(ids | octets, max_size=8) | WRONG)
def test_reconciliation(some: Any) -> None:
    try:
        one = made(lambda: Reconciler(some))
    except TypeError:
        return
    if one is not None:
        message = one.open()
        while message is not None:
            message, *_ = Reconciler([bytes([9]) * 32]).answer(message)


GOOD = Ledger(KEYS).next(SIGNERS[0], Kind.STATEMENT, bytes(32), payload=b"x")
PROOF = Equivocation(GOOD, Event(0, 0, Kind.STATEMENT, bytes(32), b"", (), b"y").signed(SIGNERS[0]))
LOCK = Vote(Act.ATTEST, 2, 1)
VOTES = [Signed(agent, LOCK, DECISION.sign(SIGNERS[agent], LOCK)) for agent in range(3)]
COMMITTED = Certificate.of(DECISION, LOCK, {one.author: one.signature for one in VOTES})

#: A message and its decoder; `tests/fuzz` tries many more.
PARSERS: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
    "event": (GOOD.encoded, Event.decode),
    "proof": (PROOF.encoded, Equivocation.decode),
    "votes": (pack(VOTES), unpack),
    "summary": (Summary(((LOCK, 7),)).encoded, Summary.decode),
    "certificate": (COMMITTED.encoded, Certificate.decode),
}


def test_nobody_signs_an_outcome_that_there_is_not() -> None:
    """A peer would refuse the vote, or all that comes with it."""
    for wrong in (7, 2, -1, 1 << 40, True, 1.0, "1", None, float("nan")):
        voter = Voter(DECISION, KEYS, SIGNERS[1])
        before = voter.state, voter.lacking(Summary(()))
        with pytest.raises(ValueError, match=r"outcome: .* is no number from 0 to"):
            voter.collapsed(wrong)  # type: ignore[arg-type]
        assert (voter.state, voter.lacking(Summary(()))) == before
    voter = Voter(DECISION, KEYS, SIGNERS[1])
    voter.collapsed(np.int64(1))  # type: ignore[arg-type]
    peer = Voter(DECISION, KEYS, SIGNERS[2])
    assert peer.hear(unpack(pack(voter.lacking(peer.summary)))) == 0


def test_a_voter_is_one_of_those_who_decide_with_its_own_key() -> None:
    for decision, signer, reason in (
        (Decision(b"", 0b0111, 0), SIGNERS[3], "signer: agent 3 has no part"),
        (Decision.of_all(b"", 5), SIGNERS[3], "decision: agents without keys, there are 4"),
        (DECISION, KeySet.simulated(4, 1)[1][3], "signer: its key is not that of agent 3"),
        (DECISION, SIGNERS[3].within(b"s" * 32), "signer: it signs for another swarm"),
    ):
        with pytest.raises(ValueError, match=reason):
            Voter(decision, KEYS, signer)


def test_what_does_not_fit_is_not_signed_or_kept() -> None:
    one = Ledger(KEYS)
    for fields in (
        {"payload": bytes(event.LARGEST)},
        {"decision": b"short"},
        {"kind": 3},
        {"kind": True},
        {"payload": "text"},
    ):
        chosen = {"kind": Kind.STATEMENT, "decision": bytes(32), **fields}
        with pytest.raises(InvalidEvent):
            one.next(SIGNERS[0], **chosen)  # type: ignore[arg-type]
        assert not len(one)
    assert one.next(SIGNERS[0], np.int64(1), bytes(32)).kind is Kind.STATEMENT  # type: ignore[arg-type]
    with pytest.raises(InvalidEvent, match="event 0 of agent 0 is not signed"):
        _ = Event(0, 0, Kind.STATEMENT, bytes(32), b"", (), b"").encoded


@pytest.mark.parametrize("kind", [0, 3, 4, 5, 7])
def test_kinds_that_nobody_produces_are_refused(kind: int) -> None:
    fields = cbor2.loads(GOOD.body)
    fields[3] = kind
    with pytest.raises(InvalidEvent, match=f"there is no kind {kind}"):
        Event.decode(cbor2.dumps([cbor2.dumps(fields), bytes(64), []]))


def test_a_list_of_ids_has_a_limit_in_both_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A side sends the events of a list that is too long, and leaves out the list."""
    monkeypatch.setattr(sys.modules[Reconciler.__module__], "IDS", 50)
    many = [number.to_bytes(32) for number in range(200)]
    one, other = Reconciler(many), Reconciler([])
    reply, lacking, _ = one.answer(other.answer(one.open())[0] or b"")
    assert lacking == set(many)
    assert reply is None
    listed = cbor2.dumps([[b"", b"\xff" * 33, b"", many[:51], True]])
    with pytest.raises(InvalidMessage, match="more than 50 ids"):
        other.answer(listed)


@pytest.mark.parametrize("name", PARSERS)
def test_a_tag_is_refused_before_it_is_read(name: str) -> None:
    """A fraction of two numbers of 60 kB takes its parser a second, and one of 8 MB hours."""
    fraction = cbor2.CBORTag(30, [(1 << 240_000) - 1, (1 << 240_001) - 3])
    _, decode = PARSERS[name]
    for data in (cbor2.dumps(fraction), cbor2.dumps([[fraction]])):
        started = time.process_time()
        with pytest.raises(InvalidInput, match=r"tag|bytes are more"):
            decode(data)
        assert time.process_time() - started < 0.1


def test_references_are_tuples_with_names() -> None:
    cited = [[1, 0, b"a" * 32]]
    one = Event(0, 0, Kind.STATEMENT, bytes(32), b"", cited, b"")  # type: ignore[arg-type]
    assert one.parents == (Reference(1, 0, b"a" * 32),)
