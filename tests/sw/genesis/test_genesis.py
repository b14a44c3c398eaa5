"""A genesis: everything in it changes the swarm id, and its bytes say all of it."""

from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tmesh.errors import InvalidInput
from tmesh.genesis import Genesis, SwarmRules
from tmesh.ledger import KeySet

KEYS, SIGNERS = KeySet.simulated(7, 0)
LINKS = [(0, 1), (0, 6), (1, 2), (3, 4)]


def genesis(**changes: Any) -> Genesis:
    fields = {"keys": KEYS, "faults": 2, "links": LINKS, "rules": SwarmRules()}
    return Genesis(**{**fields, **changes})


def test_its_bytes_say_all_of_it() -> None:
    for one in (genesis(), genesis(links=None), genesis(rules=SwarmRules(k=3, epsilon=0.05))):
        read = Genesis.decode(one.encoded)
        assert read == one
        assert (read.faults, read.links, read.rules) == (one.faults, one.links, one.rules)
        assert [read.keys[agent] for agent in range(7)] == [KEYS[agent] for agent in range(7)]


def test_whatever_differs_makes_another_swarm() -> None:
    some = [genesis(keys=KeySet.simulated(7, 1)[0]), genesis(faults=1), genesis(links=LINKS[:3])]
    some += [genesis(), genesis(links=None), genesis(links=[])]
    rules = SwarmRules()
    others = {"f": 14, "amplify": "interfere", "epsilon": 0.05, "cap": 0.5, "level": "off"}
    for name, value in rules.model_dump().items():
        changed = {**rules.model_dump(), name: others.get(name, 2)}
        assert changed[name] != value
        some.append(genesis(rules=SwarmRules(**changed)))
    assert len({one.id for one in some}) == len(some)


def test_its_signatures_count_in_this_swarm_alone() -> None:
    here, there = genesis(), genesis(faults=1)
    signature = here.signer(3, SIGNERS[3].secret).sign(b"message")
    assert here.keys.verify(3, b"message", signature)
    assert not there.keys.verify(3, b"message", signature)
    assert not KEYS.verify(3, b"message", signature)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: genesis(faults=3), "faults"),
        (lambda: genesis(links=[(1, 0)]), "link: 0 is no number from 2 to 6"),
        (lambda: genesis(links=[(1, 1)]), "link: 1 is no number from 2 to 6"),
        (lambda: genesis(links=[(1, 7)]), "link: 7 is no number from 2 to 6"),
        (lambda: genesis(links=[(1, 2), (1, 2)]), "does not come after"),
        (lambda: genesis(links=[(1, 2, 3)]), "link: no array of 2"),
        (lambda: genesis().signer(3, SIGNERS[2].secret), "secret: it is not that of agent 3"),
        (lambda: genesis().signer(7, SIGNERS[2].secret), "author: 7 is no number from 0 to 6"),
        (lambda: SwarmRules(kappa=3), "kappa: Input should be 1, 2, 4 or 8, not 3"),
        (lambda: SwarmRules(f=17), "f: "),
        (lambda: SwarmRules(colour=1), "colour: Extra inputs are not permitted"),
    ],
)
def test_a_bad_one_is_refused(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        make()


PARTS = cbor2.loads(genesis().encoded)


@given(st.integers(0, 4), st.none() | st.integers() | st.binary() | st.lists(st.integers()))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_other_bytes_are_refused(place: int, value: Any) -> None:
    parts = [*PARTS]
    parts[place] = value
    try:
        read = Genesis.decode(cbor2.dumps(parts, canonical=True))
    except InvalidInput:
        return
    assert read.encoded == cbor2.dumps(parts, canonical=True)


@pytest.mark.parametrize("rules", [{"self": 1}, {1: 2}, {"f": 16.0}, 3])
def test_other_rules_are_refused(rules: Any) -> None:
    with pytest.raises(InvalidInput):
        Genesis.decode(cbor2.dumps([*PARTS[:4], rules], canonical=True))
