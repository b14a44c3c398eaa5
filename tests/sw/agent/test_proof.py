"""Fraud proofs: each kind shows its fault, and none can be made of honest statements."""

import dataclasses
import itertools
import random

import pytest
from tmesh.agent.draw import Draw, draw
from tmesh.agent.opinion import Opinions
from tmesh.agent.proof import Kind, Proof
from tmesh.agent.statement import Statement, digest, mark
from tmesh.errors import InvalidInput, InvalidProof
from tmesh.finality import Act, Signed, Vote

from .schedules import Run

RUN = Run(7, seed=0, loss=0, copies=0, haste=0.01).play()
GENESIS, DECISION, RULES = RUN.genesis, RUN.decision, RUN.rules


def by_round() -> dict[tuple[int, int], Statement]:
    """The honest statements of the first place, by author and round."""
    some = [one for one in RUN.statements.values() if one.place.epoch == 1]
    return {(one.author, one.round): one for one in some}


SOME = by_round()
DRAWN: Draw = draw(GENESIS, DECISION, 1, 0)


def cited(one: Statement) -> list[Statement]:
    """What an honest statement of a run without silence cites."""
    authors = (one.author, *one.heard(DRAWN))
    found = []
    for author in authors:
        settled = max(r for a, r in SOME if a == author)
        found.append(SOME[author, min(settled, one.round - 1)])
    return found


def signed(one: Statement, **fields: object) -> Statement:
    """The statement with other fields, signed by its author."""
    made = dataclasses.replace(one, **fields)  # type: ignore[arg-type]
    return made.signed(RUN.signers[one.author].within(GENESIS.id))


def changed(one: Statement, by: int) -> Statement:
    """The statement with other opinions."""
    return signed(one, opinions=one.opinions._replace(z=tuple(z + by for z in one.opinions.z)))


def show(kind: Kind, *statements: Statement) -> str:
    """The fault of a proof that went through its bytes."""
    proof = Proof(kind, DECISION, statements)
    again = Proof.decode(proof.encoded)
    assert again == proof
    return again.verify(GENESIS)


def test_the_run_is_one_of_many_rounds() -> None:
    assert RUN.done
    assert max(count for _, count in SOME) >= 5


def test_two_statements_of_one_round_show_an_equivocation() -> None:
    one = SOME[2, 3]
    pair = sorted([one, changed(one, -1)], key=lambda some: some.id)
    assert show(Kind.EQUIVOCATION, *pair) == "agent 2: two statements of round 3"
    for wrong in ([one, one], pair[::-1], [one, SOME[2, 4]], [one, SOME[3, 3]]):
        with pytest.raises(InvalidProof):
            show(Kind.EQUIVOCATION, *wrong)


def test_evidence_above_the_cap_is_shown_by_one_statement() -> None:
    opening = SOME[1, 0]
    loud = signed(opening, opinions=Opinions.opening((RULES.most + 1,)))
    assert "more than the cap" in show(Kind.OPENING, loud)
    for one in (opening, signed(opening, opinions=Opinions.opening((-RULES.most,)))):
        with pytest.raises(InvalidProof):
            show(Kind.OPENING, one)


def test_a_second_opening_is_shown_across_epochs_and_generations() -> None:
    opening = SOME[1, 0]
    for place in (opening.place, opening.place._replace(epoch=2, generation=1)):
        other = signed(changed(opening, -1), place=place)
        pair = sorted([opening, other], key=lambda some: some.id)
        assert show(Kind.SECOND_OPENING, *pair) == "agent 1: two openings"
    again = signed(opening, place=opening.place._replace(epoch=2))
    with pytest.raises(InvalidProof):
        show(Kind.SECOND_OPENING, *sorted([opening, again], key=lambda some: some.id))


def test_a_lock_without_an_outcome_is_shown() -> None:
    place = SOME[1, 0].place._replace(epoch=3)
    with_lock = signed(SOME[1, 0], place=place, lock=2)
    assert "states no outcome" in show(Kind.OPENING, with_lock)
    certain = signed(with_lock, opinions=Opinions.opening((-RULES.one,)))
    with pytest.raises(InvalidProof):
        show(Kind.OPENING, certain)


def test_a_result_that_is_off_by_one_unit_is_shown() -> None:
    for by in (1, -1):
        one = changed(SOME[4, 2], by)
        assert "its update gives" in show(Kind.STEP, one, *cited(SOME[4, 2]))


def faults() -> list[tuple[str, Statement, list[Statement]]]:
    """A statement that breaks each rule of a step, and what it cites."""
    late = next(one for one in SOME.values() if one.opinions.amplified and one.round > 2)
    first = next(one for one in SOME.values() if one.round == 2 and len(one.heard(DRAWN)) > 1)
    last = max(SOME.values(), key=lambda one: one.round)
    own, *heard = cited(first)
    dropped = signed(own, list_=0)
    unlisting = [signed(heard[0], list_=0), *heard[1:]]
    after = signed(
        last,
        round=last.round + 1,
        cites=digest(one.id for one in (last, *(SOME_LAST[a] for a in last.heard(DRAWN)))),
    )
    calm = signed(late, opinions=late.opinions._replace(amplified=0, streak=(0,)))
    lucky = signed(first, opinions=first.opinions._replace(streak=(2,)))
    grown = signed(first, cites=digest(one.id for one in (dropped, *heard)))
    deaf = signed(first, cites=digest(one.id for one in (own, *unlisting)))
    other = [own, SOME[heard[0].author, 0], *heard[1:]]
    old = signed(first, cites=digest(one.id for one in other))
    before = cited(late)
    risen = signed(before[0], opinions=before[0].opinions._replace(amplified=1))
    fallen = signed(calm, cites=digest(one.id for one in (risen, *before[1:])))
    return [
        ("its list grew", grown, [dropped, *heard]),
        ("does not list its author", deaf, [own, *unlisting]),
        ("of another round", old, other),
        ("no longer amplifies", fallen, [risen, *before[1:]]),
        ("counts wrongly", lucky, cited(first)),
        ("were settled", after, [last, *(SOME_LAST[a] for a in last.heard(DRAWN))]),
    ]


SOME_LAST = {a: SOME[a, max(r for b, r in SOME if b == a)] for a in range(7)}


@pytest.mark.parametrize("place", range(6))
def test_every_rule_of_a_step_is_shown(place: int) -> None:
    reason, one, past = faults()[place]
    assert reason in show(Kind.STEP, one, *past)


def test_citations_that_the_digest_does_not_bind_show_nothing() -> None:
    one = changed(SOME[4, 2], 1)
    past = cited(SOME[4, 2])
    for wrong in (
        past[:-1],
        [past[0], *past[:0:-1]] if len(past) > 2 else [past[0], past[0]],
        [changed(past[0], 1), *past[1:]],
        [past[0], *(changed(some, 1) for some in past[1:])],
    ):
        with pytest.raises(InvalidProof):
            show(Kind.STEP, one, *wrong)


def test_two_votes_of_one_act_and_epoch_show_a_fault() -> None:
    signer = RUN.signers[3].within(GENESIS.id)

    def vote(act: Act, epoch: int, outcome: int) -> Signed:
        made = Vote(act, epoch, outcome)
        return Signed(3, made, DECISION.sign(signer, made))

    for act in (Act.ATTEST, Act.COMMIT):
        pair = vote(act, 2, 0), vote(act, 2, 1)
        proof = Proof.decode(Proof(Kind.VOTES, DECISION, votes=pair).encoded)
        assert proof.verify(GENESIS) == "agent 3: it votes for outcomes 0 and 1"
    for pair in (
        (vote(Act.ATTEST, 2, 0), vote(Act.ATTEST, 3, 1)),
        (vote(Act.ATTEST, 2, 0), vote(Act.COMMIT, 2, 1)),
        (vote(Act.ATTEST, 2, 0), vote(Act.ATTEST, 2, 0)),
        (vote(Act.ATTEST, 2, 0), vote(Act.ATTEST, 2, 1)._replace(signature=bytes(64))),
        (vote(Act.ATTEST, 2, 0), vote(Act.ATTEST, 2, 1)._replace(author=4)),
    ):
        with pytest.raises(InvalidProof):
            Proof(Kind.VOTES, DECISION, votes=pair).verify(GENESIS)


def test_no_proof_can_be_made_of_honest_statements() -> None:
    statements, rng = list(SOME.values()), random.Random(0)
    for one in statements:
        if one.round:
            with pytest.raises(InvalidProof):
                show(Kind.STEP, one, *cited(one))
        with pytest.raises(InvalidProof):
            show(Kind.OPENING, one)
    for one, other in itertools.permutations(statements, 2):
        for kind in (Kind.EQUIVOCATION, Kind.SECOND_OPENING, Kind.STEP):
            if rng.random() < 0.1:
                with pytest.raises(InvalidProof):
                    show(kind, one, other)


def test_a_statement_that_its_author_did_not_sign_shows_nothing() -> None:
    forged = dataclasses.replace(changed(SOME[4, 2], 1), signature=bytes(64))
    with pytest.raises(InvalidProof, match="did not sign"):
        show(Kind.STEP, forged, *cited(SOME[4, 2]))


def test_a_proof_of_another_decision_or_swarm_shows_nothing() -> None:
    one = changed(SOME[4, 2], 1)
    proof = Proof(Kind.STEP, DECISION, (one, *cited(SOME[4, 2])))
    other = dataclasses.replace(DECISION, number=99)
    with pytest.raises(InvalidProof, match="another decision"):
        dataclasses.replace(proof, decision=other).verify(GENESIS)
    with pytest.raises(InvalidProof, match="did not sign"):
        proof.verify(Run(7, seed=0, rules=RULES.model_copy(update={"k": 3})).genesis)


def test_a_proof_is_refused_that_has_the_wrong_number_of_statements() -> None:
    for kind, count in ((Kind.EQUIVOCATION, 1), (Kind.OPENING, 2), (Kind.STEP, 1), (9, 2)):
        with pytest.raises(InvalidInput):
            Proof(kind, DECISION, (SOME[1, 0],) * count)  # type: ignore[arg-type]


def test_the_list_of_a_proof_is_that_of_the_draw() -> None:
    one = SOME[4, 2]
    assert mark(DRAWN, 4, one.heard(DRAWN)) == one.list_
