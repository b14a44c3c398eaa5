"""Events: one encoding each, and nobody else's signature."""

import contextlib
import dataclasses

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tmesh.ledger import Event, InvalidEvent, InvalidSignature, KeySet, Kind, Reference

KEYS, SIGNERS = KeySet.simulated(4, 0)
DECISION = b"d" * 32


def event(author: int = 0, seq: int = 0, **fields: object) -> Event:
    chosen = {"previous": b"p" * 32 if seq else b"", "parents": (), "payload": b"x", **fields}
    unsigned = Event(author, seq, Kind.STATEMENT, DECISION, **chosen)  # type: ignore[arg-type]
    return unsigned.signed(SIGNERS[author])


def test_bytes_and_back() -> None:
    one = event(2, 5, parents=(Reference(0, 1, b"a" * 32), Reference(3, 0, b"b" * 32)))
    assert Event.decode(one.encoded) == one
    one.verify(KEYS)


def test_a_signature_is_not_part_of_the_id() -> None:
    """Or signing twice would look like an equivocation."""
    one = event()
    assert dataclasses.replace(one, signature=b"s" * 64).id == one.id


def test_every_flipped_bit_is_noticed() -> None:
    data = event(1, 3).encoded
    for place in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(InvalidEvent):
            Event.decode(bytes(flipped)).verify(KEYS)


def test_every_truncation_is_noticed() -> None:
    data = event(1, 3).encoded
    for size in range(len(data)):
        with pytest.raises(InvalidEvent):
            Event.decode(data[:size])


def _body(**changes: object) -> bytes:
    one = event(1, 3)
    fields = dict(
        zip(
            ("domain", "author", "seq", "kind", "decision", "previous", "parents", "payload"),
            cbor2.loads(one.body),
            strict=True,
        )
    )
    return cbor2.dumps([cbor2.dumps(list({**fields, **changes}.values())), one.signature, []])


PARENT = [0, 0, b"a" * 32]
BAD = [
    (b"", "no CBOR"),
    (b"\xff", "no CBOR"),
    (event().encoded + b"\x00", "canonical"),
    (cbor2.dumps([1, 2]), "event: no array of 3"),
    (cbor2.dumps([event().body, b"short", []]), "signature: not 64 bytes"),
    (_body(domain="other"), "'other'"),
    (_body(author=-1), "author: -1"),
    (_body(author=True), "author: True"),
    (_body(seq=1 << 32), "seq: 4294967296"),
    (_body(kind=99), "no kind 99"),
    (_body(kind=1 << 20_000), "kind: a huge number"),  # which Python refuses to print
    (_body(domain=1 << 20_000), "of a huge number"),
    (_body(domain=["tmesh"]), "of list"),
    (_body(decision=b"d"), "decision: not 32 bytes"),
    (_body(previous=b""), "previous: not 32 bytes"),
    (_body(parents=[PARENT, PARENT]), "parents: they must ascend"),
    (_body(parents=[[1, 0, b"a" * 32]]), "parents: one is an event of the author"),
    (_body(parents={}), "parents: no array"),
    (_body(payload="text"), "payload: not bytes"),
    (_body(payload=b"x" * 70_000), "more than 65536"),
]


@pytest.mark.parametrize(("data", "reason"), BAD)
def test_what_is_no_event_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidEvent, match=reason) as caught:
        Event.decode(data)
    assert "\n" not in str(caught.value)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(st.integers(0, 300), inner),
)


def _tagged(value: object) -> object:
    if isinstance(value, tuple):
        return cbor2.CBORTag(value[0], _tagged(value[1]))
    return [_tagged(one) for one in value] if isinstance(value, list) else value


@settings(max_examples=400, derandomize=True, deadline=None)
@given(st.sampled_from(["domain", "author", "kind", "decision", "parents", "payload"]), JUNK)
def test_nothing_else_is_raised(name: str, junk: object) -> None:
    """Or one message would stop an agent: tags that name dates, numbers, patterns are tried too."""
    with contextlib.suppress(InvalidEvent):
        Event.decode(_body(**{name: _tagged(junk)}))


def test_a_meeting_is_witnessed_by_those_who_met() -> None:
    parents = (Reference(1, 0, b"a" * 32), Reference(3, 2, b"b" * 32))
    alone = Event(0, 0, Kind.MEETING, DECISION, b"", parents, b"").signed(SIGNERS[0])
    both = alone.witnessed(SIGNERS[3]).witnessed(SIGNERS[1])
    assert both.id == alone.id
    assert [member for member, _ in both.witnesses] == [1, 3]
    assert Event.decode(both.encoded) == both
    both.verify(KEYS)
    forged = dataclasses.replace(both, witnesses=((1, both.witnesses[1][1]),))
    with pytest.raises(InvalidSignature, match="agent 1 did not sign event 0 of agent 0"):
        forged.verify(KEYS)
    for witnesses, reason in (
        (both.witnesses[::-1], "witnesses: they must ascend"),
        (both.witnesses[:1] * 2, "witnesses: they must ascend"),
        (((2, bytes(64)),), "witness 2 is not the author"),
        (((1, bytes(63)),), "not 64 bytes"),
    ):
        with pytest.raises(InvalidEvent, match=reason):
            dataclasses.replace(both, witnesses=witnesses).verify(KEYS)
    with pytest.raises(InvalidEvent, match="not the author of a parent"):
        dataclasses.replace(both, kind=Kind.STATEMENT).verify(KEYS)


def test_what_cannot_travel_is_not_valid() -> None:
    """Or an agent would keep an event of its own that it cannot read again."""
    with pytest.raises(InvalidEvent, match="more than 65536"):
        event(payload=bytes(65_500)).verify(KEYS)
    with pytest.raises(InvalidEvent, match="no agent 4"):
        event(parents=(Reference(4, 0, b"a" * 32),)).verify(KEYS)


def test_longer_cbor_of_the_same_event_is_refused() -> None:
    """One event has one encoding, or it would have several ids."""
    one = event()
    inner = bytearray(one.body)
    assert inner[0] == 0x88  # an array of eight, in one byte
    longer = bytes([0x98, 8]) + bytes(inner[1:])
    with pytest.raises(InvalidEvent, match="canonical"):
        Event.decode(cbor2.dumps([longer, one.signature, []]))


def test_only_the_author_can_sign() -> None:
    one = event(0)
    for forged in (
        dataclasses.replace(one, author=1),
        dataclasses.replace(one, payload=b"y"),
        dataclasses.replace(one, signature=bytes(64)),
        dataclasses.replace(one, author=7),
    ):
        with pytest.raises(InvalidEvent, match=r"did not sign|no agent"):
            forged.verify(KEYS)
