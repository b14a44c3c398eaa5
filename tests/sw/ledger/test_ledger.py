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
    reconcile,
    waiting,
)
from tmesh.ledger.waiting import Waiting

from ..memory import entries

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


def lacking(author: int, number: int, payload: bytes = b"") -> Event:
    """An event that cites one that nobody has."""
    missing = Reference(2, number, number.to_bytes(32))
    event = Event(author, 0, Kind.STATEMENT, DECISION, b"", (missing,), payload)
    return event.signed(SIGNERS[author])


@pytest.mark.parametrize("size", [0, 2000])
def test_what_one_author_floods_displaces_nothing_of_others(size: int) -> None:
    """The limits are on the number of events and on their bytes."""
    for author in (0, 1):
        one, other = Ledger(KEYS), lacking(1 - author, 10**6)
        one.append(other)
        for number in range(3 * waiting.EVENTS // 2):
            assert one.append(lacking(author, number, bytes(size))) is Admission.WAITING
        held = [event for event in one._waiting if event.author == author]
        assert waiting.EVENTS // 4 < len(held) <= waiting.EVENTS
        assert sum(len(event.encoded) for event in held) <= waiting.BYTES
        assert len(one.missing()) == len(held) + 1
        assert other.parents[0].id in one.missing()
        assert entries(one, Ledger, Waiting) < 20 * waiting.EVENTS


def test_the_events_of_an_author_that_are_next_wait_longest() -> None:
    source, one = Ledger(KEYS), Ledger(KEYS)
    chain = [
        source.next(SIGNERS[0], Kind.STATEMENT, DECISION, payload=bytes(2000)) for _ in range(200)
    ]
    for event in chain[:0:-1]:
        one.append(event)
    one.append(chain[0])
    assert 100 < len(one) < 200
    assert list(one) == chain[: len(one)]
    one.merge(chain)
    assert list(one) == chain


def fork(number: int, author: int = 0) -> Event:
    """One of many first events of an author."""
    payload = number.to_bytes(4)
    return Event(author, 0, Kind.STATEMENT, DECISION, b"", (), payload).signed(SIGNERS[author])


FLOOD = [fork(1000 + number) for number in range(300)]


def test_two_events_of_one_number_are_kept_and_no_more() -> None:
    for author in (0, 3):
        one = Ledger(KEYS)
        taken = [one.append(fork(number, author)) for number in range(600)]
        assert taken[:2] == [Admission.ADMITTED] * 2
        assert set(taken[2:]) == {Admission.WAITING}
        assert len(one) == 2
        assert one.equivocators()[author].verify(KEYS)
        assert len(one.surplus) <= waiting.EVENTS
        assert entries(one, Ledger, Waiting) < 20 * waiting.EVENTS
        assert not one.missing()


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.randoms(), st.booleans())
def test_forks_that_others_stand_on_are_admitted_in_any_order(order: object, flood: bool) -> None:
    """Each agent may have been shown another one, before anyone knew; also after a flood of forks
    that no other agent stands on."""
    forks = [fork(number) for number in range(6)]
    second = [
        Event(0, 1, Kind.STATEMENT, DECISION, first.id, (), b"").signed(SIGNERS[0])
        for first in forks[:4]
    ]
    citing = [
        Event(1 + n % 4, n // 4, Kind.STATEMENT, DECISION, b"", (cited.reference,), b"")
        for n, cited in enumerate([*second, *forks[4:]])
        if n < 4
    ]
    signed = [event.signed(SIGNERS[event.author]) for event in citing]
    last = Event(1, 1, Kind.STATEMENT, DECISION, signed[0].id, (forks[5].reference,), b"")
    events = [*forks[:4], forks[5], *second, *signed, last.signed(SIGNERS[1])]
    order.shuffle(events)  # type: ignore[attr-defined]
    others = FLOOD if flood else []
    one = ledger(others + events)
    reconcile(one, ledger(events))  # those that had no room come again
    assert one.ids == {event.id for event in events + others[:2]}
    assert len(one._waiting) == len(one.surplus) <= waiting.EVENTS
    one.verify()


@pytest.mark.parametrize("accomplice", [False, True])
@pytest.mark.parametrize("length", [1, 2, 5])
def test_no_flood_of_forks_cuts_an_honest_author_off(length: int, accomplice: bool) -> None:
    """Author 0 shows agents 1 and 2 two chains, and floods agent 1. With an accomplice an event of
    another author stands on each fork of the flood, and waits for ever."""
    source = Ledger(KEYS)
    for _ in range(length):
        shown = source.next(SIGNERS[0], Kind.STATEMENT, DECISION, payload=b"for agent 2")
    for _ in range(20):
        source.next(SIGNERS[2], Kind.STATEMENT, DECISION, [shown])
    one = ledger(FLOOD)
    if accomplice:
        for number, low in enumerate(FLOOD):
            parents = (low.reference, Reference(3, number, number.to_bytes(32)))
            event = Event(4, 0, Kind.STATEMENT, DECISION, b"", parents, number.to_bytes(4))
            one.append(event.signed(SIGNERS[4]))
        for low in FLOOD:
            one.append(low)
    for _ in range(length):
        reconcile(source, one)
    assert one.head(2) == source.head(2)
    assert source.ids < one.ids
    assert sum(event.author == 0 for event in one._waiting) <= waiting.EVENTS


def test_an_event_that_stands_on_a_fork_by_a_wrong_number_is_refused() -> None:
    one = ledger([fork(number) for number in range(3)])
    third = fork(2)
    for wrong in (Reference(0, 1, third.id), Reference(2, 0, third.id)):
        event = Event(1, 0, Kind.STATEMENT, DECISION, b"", (wrong,), b"").signed(SIGNERS[1])
        with pytest.raises(InvalidEvent, match="cites event 0 of agent 0 as event"):
            one.append(event)
    good = Event(1, 0, Kind.STATEMENT, DECISION, b"", (third.reference,), b"").signed(SIGNERS[1])
    assert one.append(good) is Admission.ADMITTED
    assert third.id in one


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
    assert one.head(2) == user
    assert one.next(SIGNERS[2], Kind.STATEMENT, DECISION).seq == 1  # no second event of number 0
    assert not one.equivocators()
