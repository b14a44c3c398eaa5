"""The ledger: a closed set of events, the same in whatever order they came."""

import dataclasses
import itertools
from collections.abc import Callable

import cbor2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tmesh.ledger import (
    Admission,
    Equivocation,
    Event,
    InvalidEvent,
    KeySet,
    Kind,
    Ledger,
    Reference,
)

AGENTS = 5
KEYS, SIGNERS = KeySet.simulated(AGENTS, 0)
DECISION = bytes(32)


def history(seed: int, size: int = 30, liars: int = 1) -> list[Event]:
    """Random events, causes first; the first agents sometimes sign two with one number."""
    rng = np.random.default_rng(seed)
    events: list[Event] = []
    tips: list[list[Event]] = [[] for _ in range(AGENTS)]
    for number in range(size):
        author = int(rng.integers(AGENTS))
        chain = tips[author]
        others = [
            tips[other][-1].reference for other in range(AGENTS) if tips[other] and other != author
        ]
        chosen = tuple(sorted(other for other in others if rng.random() < 0.5))
        last = chain[-1] if chain else None
        if author < liars and len(chain) > 1 and rng.random() < 0.3:
            last = chain[-2]
        seq, previous = (last.seq + 1, last.id) if last else (0, b"")
        payload = number.to_bytes(4)
        event = Event(author, seq, Kind.STATEMENT, DECISION, previous, chosen, payload)
        events.append(event.signed(SIGNERS[author]))
        chain.append(events[-1])
    return events


def ledger(events: list[Event]) -> Ledger:
    made = Ledger(KEYS)
    for event in events:
        made.append(event)
    return made


def closed(events: list[Event], pick: Callable[[int], bool]) -> list[Event]:
    """Some of them, and all that they use."""
    names = {event.id: event for event in events}
    wanted = {event.id for number, event in enumerate(events) if pick(number)}
    for event in reversed(events):
        if event.id in wanted:
            wanted |= {parent.id for parent in event.parents} | {event.previous} - {b""}
    return [names[event.id] for event in events if event.id in wanted]


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.integers(0, 1000), st.lists(st.booleans(), min_size=90, max_size=90), st.randoms())
def test_merging_is_the_union(seed: int, picks: list[bool], order: object) -> None:
    """Commutative, associative, idempotent; the order of delivery does not matter, nor where the
    order of all events is asked for."""
    events = history(seed)
    a, b, c = (closed(events, lambda n, i=i: picks[30 * i + n]) for i in range(3))  # type: ignore[misc]
    order.shuffle(a)  # type: ignore[attr-defined]

    def merged(*parts: Ledger) -> Ledger:
        first = parts[0].copy()
        for part in parts[1:]:
            first.merge(part)
        return first

    one, two, three = ledger(a), ledger(b), ledger(c)
    assert one.ids == {event.id for event in a}  # whatever the order
    assert not one.missing()
    assert merged(one, two).ids == merged(two, one).ids == one.ids | two.ids
    left, right = merged(merged(one, two), three), merged(one, merged(two, three))
    assert left.ids == right.ids
    assert left.order() == right.order()
    assert merged(left, left).ids == left.ids
    left.verify()
    places = {event.id: place for place, event in enumerate(left.order())}
    for event in left:
        assert all(places[parent.id] < places[event.id] for parent in event.parents)
        assert not event.seq or places[event.previous] < places[event.id]
    assert left.equivocators().keys() == right.equivocators().keys() <= {0}


def test_proofs_of_equivocation_travel() -> None:
    """Anyone with the keys can check one; there is none against who signed each number once."""
    proofs = ledger(history(3, 200)).equivocators()
    assert set(proofs) == {0}
    proof = proofs[0]
    assert Equivocation.decode(proof.encoded) == proof
    assert Equivocation.decode(proof.encoded).verify(KEYS)
    other_keys, _ = KeySet.simulated(AGENTS, 1)
    assert not proof.verify(other_keys)
    forged = dataclasses.replace(proof.second, payload=b"forged")
    assert not dataclasses.replace(proof, second=forged).verify(KEYS)
    assert not dataclasses.replace(proof, second=proof.first).verify(KEYS)
    for data in (b"", b"\x80", b"\x01", proof.encoded + b"x", cbor2.dumps([b"a", b"b"])):
        with pytest.raises(InvalidEvent):
            Equivocation.decode(data)


@settings(max_examples=20, derandomize=True, deadline=None)
@given(st.integers(0, 1000))
def test_nobody_can_accuse_who_signs_each_number_once(seed: int) -> None:
    """From whatever he signed, and with whatever is changed."""
    events = history(seed, liars=0)
    assert not ledger(events).equivocators()
    for first, second in itertools.permutations(events, 2):
        assert not Equivocation(first, second).verify(KEYS)
        if second.seq:
            moved = dataclasses.replace(first, seq=second.seq, previous=second.previous)
            assert not Equivocation(moved, second).verify(KEYS)
    for event in events:
        other = dataclasses.replace(event, payload=b"other")
        for signer in SIGNERS[: event.author] + SIGNERS[event.author + 1 :]:
            assert not Equivocation(event, other.signed(signer)).verify(KEYS)


def test_events_wait_for_what_they_use() -> None:
    events = history(1)
    late = Ledger(KEYS)
    assert late.append(events[-1]) is Admission.WAITING
    assert len(late) == 0
    assert late.missing() <= {event.id for event in events}
    for event in reversed(events[:-1]):
        late.append(event)
    assert late.ids == {event.id for event in events}
    assert late.append(events[0]) is Admission.KNOWN


def test_a_flood_of_events_that_wait_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tmesh.ledger.ledger.WAITING", 50)
    one = Ledger(KEYS)
    for number in range(500):
        missing = Reference(1, number, number.to_bytes(32))
        event = Event(0, 0, Kind.STATEMENT, DECISION, b"", (missing,), b"")
        one.append(event.signed(SIGNERS[0]))
    assert len(one.missing()) == 50
    assert len(one._wanted) == 50


def test_one_extends_ones_own_chain() -> None:
    one = Ledger(KEYS)
    first = one.next(SIGNERS[0], Kind.STATEMENT, DECISION, payload=b"a")
    others = [one.next(SIGNERS[who], Kind.STATEMENT, DECISION, [first]) for who in (3, 1)]
    last = one.next(SIGNERS[0], Kind.STATEMENT, DECISION, [first, *others, *others])
    assert one.chain(0) == [first, last]
    assert last.previous == first.id
    assert [parent.author for parent in last.parents] == [1, 3]
    assert one.get(last.id) == one.head(0) == last
    assert one.head(2) is None
    with pytest.raises(ValueError, match="is not in the ledger"):
        Ledger(KEYS).next(SIGNERS[0], Kind.STATEMENT, DECISION, others)


def test_forged_and_inconsistent_events_change_nothing() -> None:
    events = history(2)
    one = Ledger(KEYS, check=lambda event: "too short" if len(event.payload) < 4 else None)
    one.merge(events)
    before = one.ids
    last, other = one.head(1), one.head(2)
    assert last is not None
    assert other is not None

    def next_event(previous: bytes, *parents: Reference, payload: bytes = b"four") -> Event:
        return Event(1, last.seq + 1, Kind.STATEMENT, DECISION, previous, parents, payload)

    wrong = Reference(other.author, other.seq + 1, other.id)
    for event, reason in (
        (next_event(last.id).signed(SIGNERS[2]), "did not sign"),
        (dataclasses.replace(events[0], author=AGENTS), "no agent"),
        (next_event(last.id, payload=b"x").signed(SIGNERS[1]), "too short"),
        (next_event(other.id).signed(SIGNERS[1]), "cites event"),
        (next_event(last.id, wrong).signed(SIGNERS[1]), "cites event"),
        (next_event(last.id, payload=bytes(65_500)).signed(SIGNERS[1]), "more than 65536"),
        (next_event(last.id, Reference(9, 0, bytes(32))).signed(SIGNERS[1]), "no agent 9"),
    ):
        with pytest.raises(InvalidEvent, match=reason):
            one.append(event)
        assert one.ids == before
    one.verify()


def test_pruning_forgets_but_does_not_take_back() -> None:
    """What is below the floors is gone unless it is kept or a proof; later events still fit, and
    merging with a ledger that has all brings nothing back."""
    events = history(4, 120)
    one, whole = ledger(events), ledger(events)
    proofs, heads = one.equivocators(), {a: one.head(a) for a in range(AGENTS)}
    keep = next(event for event in events if event.author == 3)
    floors = {author: head.seq for author, head in heads.items() if head is not None}
    gone = one.prune(floors, [keep.id])
    assert gone > 60
    assert keep.id in one
    assert one.equivocators() == proofs
    assert one.merge(whole) == 0
    head = heads[3]
    assert head is not None
    old = next(event for event in events if event.author == 2)
    assert old.id not in one
    parents = (old.reference,)
    later = Event(3, head.seq + 1, Kind.STATEMENT, DECISION, head.id, parents, b"late")
    assert one.append(later.signed(SIGNERS[3])) is Admission.ADMITTED
    one.verify()
    assert one.prune({1: 0}, [keep.id]) == 0  # floors only rise
    assert one.floors == floors
    with pytest.raises(ValueError, match="floors: event 999 of agent 1 is not here"):
        one.prune({1: 999})
    # Equal sets have equal orders, whenever they were pruned; a copy has what was kept.
    early = whole.copy()
    early.append(later.signed(SIGNERS[3]))
    early.prune(floors, [keep.id])
    assert early.order() == one.order() == one.copy().order()
    one.copy().verify()


def test_pruning_releases_what_waited_for_what_is_below() -> None:
    """The other side of an equivocation that never came."""
    one, source = Ledger(KEYS), Ledger(KEYS)
    for _ in range(3):
        one.merge([source.next(SIGNERS[1], Kind.STATEMENT, DECISION)])
    unseen = Reference(1, 1, b"u" * 32)
    user = Event(2, 0, Kind.STATEMENT, DECISION, b"", (unseen,), b"").signed(SIGNERS[2])
    assert one.append(user) is Admission.WAITING
    assert one.missing() == {unseen.id}
    assert one.prune({1: 2}) == 2
    assert user.id in one
    assert not one.missing()
    one.verify()
