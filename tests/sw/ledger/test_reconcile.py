"""Set reconciliation: both sides learn the difference, in bytes that grow with it."""

import contextlib
import random
import sys

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tmesh.ledger import InvalidMessage, KeySet, Kind, Ledger, Reconciler, reconcile


def exchange(a: set[bytes], b: set[bytes]) -> int:
    """Bytes until both know what the other lacks."""
    sides = Reconciler(b), Reconciler(a)
    found: list[set[bytes]] = [set(), set()]
    message: bytes | None = sides[1].open()
    size = turn = 0
    while message is not None:
        size += len(message)
        message, lacking, _ = sides[turn % 2].answer(message)
        found[turn % 2] |= lacking
        turn += 1
    assert (found[0], found[1]) == (b - a, a - b)
    return size


def ids(rng: random.Random, count: int) -> set[bytes]:
    return {rng.randbytes(32) for _ in range(count)}


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 300), st.integers(0, 60), st.integers(0, 60))
def test_both_sides_learn_the_difference(seed: int, both: int, mine: int, yours: int) -> None:
    rng = random.Random(seed)
    common = ids(rng, both)
    exchange(common | ids(rng, mine), common | ids(rng, yours))


def test_bytes_grow_with_the_difference_not_with_the_sets() -> None:
    """Ten differences: 32 bytes each at the least, and the way down to them."""
    rng = random.Random(1)
    sizes = []
    for count in (1000, 10_000, 100_000):
        common = ids(rng, count)
        sizes.append(exchange(common | ids(rng, 5), common | ids(rng, 5)))
        assert exchange(common, common) < 100
    assert sizes[2] < 3 * sizes[0]  # a hundred times the ids
    assert sizes[2] < 20_000


KEYS, SIGNERS = KeySet.simulated(4, 0)


def grown(count: int, start: Ledger | None = None, signers: tuple[int, ...] = (0, 1)) -> Ledger:
    ledger = start.copy() if start else Ledger(KEYS)
    for number in range(count):
        author = signers[number % len(signers)]
        ends = [end for other in signers if (end := ledger.head(other))]
        ledger.next(SIGNERS[author], Kind.STATEMENT, bytes(32), ends, number.to_bytes(4))
    return ledger


def test_ledgers_become_equal() -> None:
    """As after a partition: each side has events of its own."""
    common = grown(60)
    a, b = grown(10, common, (0, 1)), grown(7, common, (2, 3))
    exchange = reconcile(a, b)
    assert a.ids == b.ids
    assert a.order() == b.order()
    assert (len(a), exchange.events, exchange.refused) == (77, 17, {})
    again = reconcile(a, b)
    assert (again.rounds, again.messages, again.events) == (1, 1, 0)


def test_ledgers_that_share_nothing_become_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    """More differences than a message has room for, so in several rounds."""
    monkeypatch.setattr(sys.modules[Reconciler.__module__], "RANGES", 64)
    a, b = grown(500, signers=(0, 1)), grown(500, signers=(2, 3))
    exchange = reconcile(a, b)
    assert exchange.rounds > 2
    assert a.ids == b.ids
    assert len(a) == 1000


def test_an_event_that_is_refused_is_named_and_sent_once() -> None:
    a = grown(5)
    b = Ledger(KEYS, check=lambda event: "three" if event.payload == b"\0\0\0\3" else None)
    exchange = reconcile(a, b)
    assert list(exchange.refused.values()) == ["three"]
    assert len(b) == 3  # the first three; the last stands on the one that was refused


def test_what_one_side_has_pruned_is_left_alone() -> None:
    whole = grown(40)
    pruned = whole.copy()
    pruned.prune({0: 15, 1: 15})
    more = grown(3, pruned)
    exchange = reconcile(whole, more)
    assert exchange.events == 3
    assert exchange.messages < 10
    assert len(whole) == 43
    assert len(more) == 13


BAD = [
    b"",
    b"\xff",
    cbor2.dumps(1),
    cbor2.dumps([]),
    cbor2.dumps([[1, 2]]),
    cbor2.dumps([[b"b", b"a", b"", None, False]]),
    cbor2.dumps([[b"a", b"b", b"", [b"short"], False]]),
    cbor2.dumps([[b"a", b"b", b"", [b"c" * 32], False]]),
    cbor2.dumps([[b"a", b"b", 7, None, False]]),
    cbor2.dumps([[b"a", b"b", b"", None, None]]),
    cbor2.dumps([[b"a", b"c", b"", None, False], [b"b", b"d", b"", None, False]]),
    cbor2.dumps([[b"a", b"b", b"", None, False]] * 2),
]


@pytest.mark.parametrize("message", BAD)
def test_what_is_no_message_is_refused(message: bytes) -> None:
    with pytest.raises(InvalidMessage):
        Reconciler(ids(random.Random(2), 10)).answer(message)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_answered_or_refused(message: bytes) -> None:
    """Nothing else is ever raised."""
    with contextlib.suppress(InvalidMessage):
        Reconciler(ids(random.Random(3), 20)).answer(message)
