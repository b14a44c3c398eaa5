"""Statements, proofs and messages as bytes."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tmesh.agent.opinion import Opinions
from tmesh.agent.statement import Place, Statement
from tmesh.errors import InvalidInput
from tmesh.ledger import KeySet, Signer

KEYS, SIGNERS = KeySet.simulated(64, 0)
PLACE = Place(bytes(32), 1, 0)


def statement(**fields: object) -> Statement:
    values = {
        "place": PLACE,
        "author": 3,
        "round": 2,
        "list_": 0b1011,
        "cites": bytes(range(32)),
        "opinions": Opinions((-4000,), (1,), 1),
    }
    return Statement(**{**values, **fields}).signed(SIGNERS[3])  # type: ignore[arg-type]


@given(
    st.integers(1, 1 << 20),
    st.integers(0, 1 << 64),
    st.integers(1, 1 << 20),
    st.integers(0, (1 << 16) - 1),
    st.lists(st.tuples(st.integers(-(1 << 16), 1 << 16), st.integers(0, 5)), min_size=1),
)
def test_a_statement_survives_its_bytes(
    epoch: int, generation: int, count: int, listed: int, some: list[tuple[int, int]]
) -> None:
    opinions = Opinions(tuple(z for z, _ in some), tuple(s for _, s in some), 1)
    one = statement(
        place=Place(bytes(32), epoch, generation), round=count, list_=listed, opinions=opinions
    )
    again = Statement.decode(one.encoded)
    assert again == one
    assert again.id == one.id
    assert again.verify(KEYS)


def test_a_statement_with_eight_neighbours_takes_at_most_200_bytes() -> None:
    largest = statement(
        place=Place(b"\xff" * 32, 100, (1 << 64) - 1),
        author=63,
        round=1000,
        list_=(1 << 16) - 1,
        opinions=Opinions((-(1 << 16),), (3,), 1),
    )
    assert len(largest.encoded) <= 200


def test_every_change_of_a_field_changes_the_id_and_voids_the_signature() -> None:
    one = statement()
    for change in (
        {"place": Place(b"\x01" * 32, 1, 0)},
        {"place": Place(bytes(32), 2, 0)},
        {"place": Place(bytes(32), 1, 1)},
        {"author": 4},
        {"round": 3},
        {"list_": 0b1010},
        {"cites": bytes(32)},
        {"opinions": Opinions((-4001,), (1,), 1)},
        {"opinions": Opinions((-4000,), (0,), 1)},
        {"opinions": Opinions((-4000,), (1,), 0)},
    ):
        other = dataclasses.replace(one, **change)  # type: ignore[arg-type]
        assert other.id != one.id
        assert not other.verify(KEYS)
    elsewhere = dataclasses.replace(one).signed(Signer.simulated(3, 0).within(b"\x01" * 32))
    assert not elsewhere.verify(KEYS)


@pytest.mark.parametrize(
    "fields",
    [
        {"round": -1},
        {"round": True},
        {"round": 1 << 40},
        {"round": 0},  # with a list and citations
        {"cites": b""},
        {"opinions": Opinions((), (), 0)},
        {"opinions": Opinions((1,), (0, 0), 0)},
        {"opinions": Opinions((1,), (0,), 2)},
        {"opinions": Opinions((1 << 30,), (0,), 0)},
        {"lock": 1},
        {"place": Place(bytes(31), 1, 0)},
        {"place": Place(bytes(32), 0, 0)},
        {"author": "3"},
    ],
)
def test_fields_that_nobody_states_are_refused_before_signing(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        statement(**fields)


def test_round_0_cites_and_amplifies_nothing() -> None:
    opening = {"round": 0, "list_": 0, "cites": b""}
    assert statement(**opening, opinions=Opinions((5,), (0,), 0)).round == 0
    for opinions in (Opinions((5,), (1,), 0), Opinions((5,), (0,), 1)):
        with pytest.raises(InvalidInput, match="round 0 amplifies nothing"):
            statement(**opening, opinions=opinions)


@given(st.integers(0, 1 << 30), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_voids_the_signature(place: int, change: int) -> None:
    data = bytearray(statement().encoded)
    data[place % len(data)] ^= change
    try:
        found = Statement.decode(bytes(data))
    except InvalidInput:
        return
    assert not found.verify(KEYS)
