"""Set reconciliation: both sides learn the difference, in bytes that grow with it."""

import contextlib
import random

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tmesh.ledger import InvalidMessage, Reconciler


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
