"""The rules: safe in every schedule; and the checks find rules that are not."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tmesh.finality.rules import (
    HORIZON,
    Act,
    Begin,
    Collapsed,
    Expired,
    Final,
    Heard,
    Lock,
    Rules,
    Sign,
    Start,
    State,
    Vote,
    quorum,
)

from . import model_checker, random_schedules

RULES = Rules(0, 0b1111, 1)  # q = 3
OTHERS = 0b0110


def enter(epoch: int) -> Vote:
    return Vote(Act.ENTER, epoch, 0)


def attest(epoch: int, outcome: int) -> Vote:
    return Vote(Act.ATTEST, epoch, outcome)


def commit(epoch: int, outcome: int) -> Vote:
    return Vote(Act.COMMIT, epoch, outcome)


@pytest.mark.parametrize(
    ("agents", "faults", "needed"), [(4, 1, 3), (64, 21, 43), (1000, 333, 667)]
)
def test_two_quorums_share_an_honest_agent(agents: int, faults: int, needed: int) -> None:
    assert quorum(agents, faults) == needed
    assert 2 * needed - agents > faults  # they share so many
    assert needed <= agents - faults  # and the honest can make one


def test_a_third_may_not_lie() -> None:
    with pytest.raises(ValueError, match="faults: 2 of 6"):
        quorum(6, 2)


def test_the_way_to_a_final_decision() -> None:
    state, replies = RULES.begin()
    assert replies == (Sign(enter(1)), Begin(1, ()))
    state, replies = RULES.step(state, Collapsed(1, 1))
    assert replies == (Sign(attest(1, 1)),)
    state, replies = RULES.step(state, Heard(attest(1, 1), OTHERS))
    assert replies == (Sign(commit(1, 1)), Start(1))
    state, replies = RULES.step(state, Heard(commit(1, 1), OTHERS))
    assert replies == (Final(commit(1, 1)),)
    assert RULES.step(state, Expired(1)) == (state, ())


def test_an_agent_attests_once_an_epoch() -> None:
    state, _ = RULES.begin()
    state, _ = RULES.step(state, Collapsed(1, 1))
    assert RULES.step(state, Collapsed(1, 0)) == (state, ())
    assert RULES.step(state, Collapsed(2, 0)) == (state, ())


def test_only_its_own_commit_binds_until_a_higher_lock() -> None:
    state, _ = RULES.begin()
    state, _ = RULES.step(state, Heard(attest(1, 1), 0b1110))
    assert state.bound == Lock(1, 1)
    state, replies = RULES.step(state, Expired(1))
    assert replies == (Sign(enter(2)), Begin(2, (1,)), Sign(attest(2, 1)))
    state, replies = RULES.step(state, Heard(attest(3, 0), 0b1110))  # it goes there, and commits
    assert Sign(commit(3, 0)) in replies
    late, _ = RULES.step(RULES.begin()[0], Expired(1))
    late, replies = RULES.step(late, Heard(attest(1, 1), 0b1110))  # of an epoch that it has left
    assert replies == ()
    assert late.bound is None
    late, replies = RULES.step(late, Collapsed(2, 0))
    assert replies[0] == Sign(attest(2, 0))  # a lock that it has only seen is no more than advice


def test_one_message_moves_nobody() -> None:
    state, _ = RULES.begin()
    state, replies = RULES.step(state, Heard(enter(5), 0b1000))
    assert state.epoch == 1
    assert not replies
    state, replies = RULES.step(state, Heard(attest(3, 1), 0b0100))
    assert state.epoch == 3  # of two agents one is honest, and it was at least there
    assert replies[:2] == (Sign(enter(3)), Begin(3, ()))


def test_the_clock_starts_when_enough_are_there() -> None:
    state, _ = RULES.begin()
    state, replies = RULES.step(state, Heard(enter(1), 0b0010))
    assert not replies
    state, replies = RULES.step(state, Heard(enter(1), 0b0100))
    assert replies == (Start(1),)
    assert RULES.step(state, Heard(enter(1), 0b1000))[1] == ()


def votes_of(state: State, author: int) -> int:
    return sum(signers >> author & 1 for _, signers in state.tallies)


#: Of one author, as docs/finality.md has it.
MOST = 5 * (2 * HORIZON + 1) + 2

epochs = st.sampled_from([1, 2, HORIZON, 1000, 10_000, (1 << 32) - 1])
floods = st.lists(
    st.tuples(epochs, st.integers(1, 40), st.sampled_from([1, -1]), st.sampled_from(Act)),
    max_size=5,
)


@given(st.integers(0, 6), st.integers(1, 127), floods, st.integers(1, 127))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_nobody_fills_the_memory_of_an_agent(
    me: int, voters: int, some: list[tuple[int, int, int, Act]], movers: int
) -> None:
    """Alone or as any set, up to quorums that no f agents make; of epochs that rise or fall, of
    many outcomes, and while others move the agent on."""
    rules = Rules(me, 0b1111111, 2)
    state, _ = rules.begin()
    for first, count, step, act in some:
        for number in range(count):
            epoch = max(1, first + step * number)
            for outcome in range(1 if act == Act.ENTER else 5):
                state, _ = rules.step(state, Heard(Vote(act, epoch, outcome), voters))
            if number % 5 == 0:
                state, _ = rules.step(state, Heard(enter(epoch), movers))
    assert all(votes_of(state, author) <= MOST for author in range(7))
    assert len(state.locks) <= 5


def test_each_author_fills_its_own_part_only() -> None:
    """Two Byzantine agents, one of them agent 0, with different epochs: the others' votes stay."""
    rules = Rules(3, 0b1111111, 2)
    state, _ = rules.begin()
    for author in (1, 2):
        state, _ = rules.step(state, Heard(attest(1, 1), 1 << author))
    for number in range(5000):
        for author, epoch in ((0, 10_000 + number), (6, 60_000 - 7 * number)):
            state, _ = rules.step(state, Heard(attest(epoch, number % 3), 1 << author))
            state, _ = rules.step(state, Heard(attest(1 + number % 40, number % 7), 1 << author))
    assert state.epoch == 1
    assert votes_of(state, 0) <= MOST
    assert votes_of(state, 6) <= MOST
    assert state.signers(attest(1, 1)) & 0b110 == 0b110
    state, _ = rules.step(state, Collapsed(1, 1))
    state, replies = rules.step(state, Heard(attest(1, 1), 0b110000))
    assert Sign(commit(1, 1)) in replies


def test_who_is_far_behind_follows_f_plus_one_agents() -> None:
    """Whatever was left out of their votes; and a quorum is counted as soon as it is heard."""
    for me in range(4):
        rules = Rules(me, 0b1111, 1)
        state, _ = rules.begin()
        others = [agent for agent in range(4) if agent != me]
        for epoch, author in ((10**6, others[0]), (999, others[1])):
            state, _ = rules.step(state, Heard(attest(epoch, 1), 1 << author))
        assert state.epoch == 999
        together = sum(1 << agent for agent in others)
        state, replies = rules.step(state, Heard(attest(2_000_000, 1), together))
        assert state.epoch == 2_000_000
        assert Sign(commit(2_000_000, 1)) in replies


def test_an_old_lock_is_counted_as_a_whole_and_its_proof_kept() -> None:
    for me in range(4):
        rules = Rules(me, 0b1111, 1)
        state, _ = rules.begin()
        others = sum(1 << agent for agent in range(4) if agent != me)
        state, _ = rules.step(state, Heard(enter(9 * HORIZON), others))
        state, _ = rules.step(state, Heard(attest(5, 1), others))
        assert state.locks == (Lock(5, 1),)
        assert state.signers(attest(5, 1)) == others
        state, _ = rules.step(state, Heard(attest(4, 0), others))
        assert set(state.locks) == {Lock(5, 1), Lock(4, 0)}
        assert state.signers(attest(4, 0)) == 0
        state, replies = rules.step(state, Heard(commit(2, 1), others))
        assert replies == (Final(commit(2, 1)),)


def test_every_agent_resumes_with_its_own_votes() -> None:
    for me in range(4):
        rules = Rules(me, 0b1111, 1)
        state, replies = rules.resume([enter(1), attest(1, 1), commit(1, 1), enter(2)])
        assert state.bound == Lock(1, 1)
        assert state.signers(commit(1, 1)) == 1 << me
        assert replies == (Begin(2, (1,)), Sign(attest(2, 1)))


@given(st.lists(st.tuples(st.sampled_from(Act), st.integers(1, 4), st.integers(0, 1)), max_size=9))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_signatures_count_the_same_in_any_portions(votes: list[tuple[Act, int, int]]) -> None:
    """One signer after another, or all that there are at once, as the model checker delivers them:
    the same locks, the same epoch, the same end."""
    together, apart = RULES.begin()[0], RULES.begin()[0]
    for act, epoch, outcome in votes:
        vote = Vote(act, epoch, outcome * (act != 0))
        together, _ = RULES.step(together, Heard(vote, 0b1110))
        for bit in (0b0010, 0b0100, 0b1000):
            apart, _ = RULES.step(apart, Heard(vote, bit))
    assert (apart.final is None) == (together.final is None)
    if apart.final is None:
        assert set(apart.locks) == set(together.locks)
        assert apart.epoch == together.epoch
        assert apart.bound == together.bound


#: With the second one votes of two epochs away are dropped, or count as entries.
HORIZONS = (HORIZON, 1)


@pytest.mark.parametrize(
    ("honest", "epochs", "outcomes", "horizon"),
    [(3, 3, 2, HORIZONS[0]), (3, 3, 2, 1), (3, 2, 3, HORIZONS[0]), (4, 2, 2, HORIZONS[0])],
)
def test_no_schedule_makes_two_outcomes_final(
    honest: int, epochs: int, outcomes: int, horizon: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmesh.finality.rules.HORIZON", horizon)
    verdict = model_checker.Checker(Rules, honest, epochs, outcomes).check()
    assert verdict.conflict is None
    assert verdict.states > 500


#: The shortest ways to two final outcomes, as docs/finality.md has them.
STEPS = dict(zip(model_checker.BUGS, (10, 10, 14, 8, 9, 10, 4), strict=True))


@pytest.mark.parametrize("bug", model_checker.BUGS)
def test_the_checker_finds_planted_bugs(bug: type[Rules]) -> None:
    kills = bug is model_checker.Forgetful
    verdict = model_checker.Checker(bug, kills=kills).check()
    assert verdict.conflict is not None
    assert len(verdict.conflict) == STEPS[bug]


@pytest.mark.parametrize("horizon", HORIZONS)
def test_random_schedules_have_no_conflict(horizon: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tmesh.finality.rules.HORIZON", horizon)
    rng, finals = random.Random(1), 0
    for agents in (4, 5, 7) * 100:
        faults = (agents - 1) // 3
        found = random_schedules.run(rng, agents, faults, faults, 60 * agents)
        assert len(found) <= 1
        finals += len(found)
    assert finals > 50


def test_more_liars_than_declared_make_two_outcomes_final() -> None:
    """The checks can fail: 2q − n liars are in both quorums."""
    agents, faults = 7, 2
    needed = quorum(agents, faults)
    liars = (1 << 2 * needed - agents) - 1
    assert liars.bit_count() == faults + 1
    finals = set()
    for outcome, camp in enumerate([(3, 4), (5, 6)]):
        others = liars | sum(1 << member for member in camp)
        rules = Rules(camp[0], (1 << agents) - 1, faults)
        state, _ = rules.begin()
        state, _ = rules.step(state, Collapsed(1, outcome))
        state, _ = rules.step(state, Heard(attest(1, outcome), others))
        state, replies = rules.step(state, Heard(commit(1, outcome), others))
        assert replies == (Final(commit(1, outcome)),)
        finals.add(outcome)
    assert finals == {0, 1}
