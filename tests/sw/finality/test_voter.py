"""An agent's votes: kept before they are sent, and never contradicted."""

import random
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tmesh.finality import Act, Certificate, Decision, Signed, Summary, Vote, Voter, pack, unpack
from tmesh.finality.certificate import VOTE
from tmesh.finality.rules import HORIZON, State
from tmesh.ledger import CorruptJournal, Journal, KeySet

from ..crash_harness import crash_harness
from ..memory import entries

KEYS, SIGNERS = KeySet.simulated(4, 0)
DECISION = Decision.of_all(b"slot 1", 4)
OF_MANY = Decision.of_all(b"slot 1", 4, labels=tuple(f"{outcome:02}" for outcome in range(100)))


def voter(agent: int, journal: Journal | None = None) -> Voter:
    return Voter(DECISION, KEYS, SIGNERS[agent], journal=journal)


def signed(agent: int, vote: Vote, decision: Decision = DECISION) -> Signed:
    return Signed(agent, vote, decision.sign(SIGNERS[agent], vote))


def exchange(voters: list[Voter]) -> None:
    """Every agent gets from every other what it lacks, until none lacks anything."""
    moved = True
    while moved:
        moved = False
        for one in voters:
            for other in voters:
                missing = other.lacking(one.summary)
                assert one.hear(missing) == 0
                moved |= bool(missing) and one.certificate is None


def test_agents_that_agree_end_with_the_same_certificate() -> None:
    voters = [voter(agent) for agent in range(4)]
    for one in voters[:3]:
        one.collapsed(1)
    exchange(voters)
    for one in voters:
        assert one.certificate is not None
        assert one.certificate.outcome == 1
        one.certificate.verify(KEYS)


def test_who_was_away_takes_over_the_certificate() -> None:
    voters = [voter(agent) for agent in range(3)]
    for one in voters:
        one.collapsed(0)
    exchange(voters)
    late, certificate = voter(3), voters[0].certificate
    assert certificate is not None
    late.settle(certificate)
    assert late.certificate is not None
    other = Voter(Decision.of_all(b"slot 2", 4), KEYS, SIGNERS[3])
    with pytest.raises(ValueError, match="another decision"):
        other.settle(certificate)


def test_a_certificate_settles_whatever_its_signers_signed_before() -> None:
    """A Byzantine signer of it has shown two other outcomes, and some signatures are known."""
    vote = Vote(Act.COMMIT, 1, 2)
    made = {agent: signed(agent, vote, OF_MANY).signature for agent in (1, 2, 3)}
    for known in ((), (1,), (1, 2)):
        one = Voter(OF_MANY, KEYS, SIGNERS[0])
        one.hear([signed(3, Vote(Act.COMMIT, 1, outcome), OF_MANY) for outcome in (0, 1)])
        one.hear([signed(agent, vote, OF_MANY) for agent in known])
        one.hear([signed(3, vote, OF_MANY)])
        one.settle(Certificate.of(OF_MANY, vote, made))
        assert one.certificate is not None
        assert one.certificate.outcome == 2


def test_votes_that_nobody_signed_do_not_count() -> None:
    one = voter(0)
    vote = Vote(Act.ATTEST, 1, 1)
    assert one.hear([Signed(2, vote, signed(1, vote).signature)]) == 1
    assert one.hear([Signed(9, vote, bytes(64))]) == 1
    third = SIGNERS[1].sign(cbor2.dumps([VOTE, DECISION.id, int(Act.ATTEST), 1, 2], canonical=True))
    assert one.hear([Signed(1, Vote(Act.ATTEST, 1, 2), third)]) == 1  # there are two outcomes
    assert one.hear([Signed(1, Vote(Act.ATTEST, 0, 1), bytes(64))]) == 1
    assert one.summary.known == ((Vote(Act.ENTER, 1, 0), 1),)


@pytest.mark.parametrize(("me", "byzantine"), [(0, 3), (3, 0)])
def test_a_byzantine_agent_fills_no_memory(me: int, byzantine: int) -> None:
    """It attests in epochs 10,000, 10,001, …, in falling epochs, in all near ones, and for many
    outcomes. An agent holds no more of its votes than the docs say."""
    one = Voter(OF_MANY, KEYS, SIGNERS[me])
    idle = entries(one, Voter, State)
    flood = [Vote(Act.ATTEST, 10_000 + number, 0) for number in range(500)]
    flood += [Vote(Act.ATTEST, 9_000 - number, 1) for number in range(500)]
    flood += [Vote(Act(act), 1 + n // 4, n % 4) for act in (1, 2) for n in range(6 * HORIZON)]
    flood += [Vote(Act.COMMIT, 1, outcome) for outcome in range(100)]
    flood += [Vote(Act.ENTER, 1 + number, 0) for number in range(100)]
    for first in range(0, len(flood), 50):
        some = flood[first : first + 50]
        assert one.hear([signed(byzantine, vote, OF_MANY) for vote in some]) == 0
    most = 5 * (2 * HORIZON + 1) + 2
    held = sum(byzantine in some for some in one._signatures.values())
    assert HORIZON < held <= most
    assert entries(one, Voter, State) - idle < 8 * most
    assert one.hear([Signed(byzantine, Vote(Act.ENTER, 1 << 40, 0), bytes(64))]) == 1


def test_who_is_bound_to_an_old_lock_learns_of_a_later_one() -> None:
    """Epochs later, and in messages of one vote: the proof of a lock travels as a whole. Without
    it agents that are bound to different outcomes would never agree."""
    high, low = voter(0), voter(1)
    for one, epoch, outcome in ((low, 1, 0), (high, 3, 1)):
        for number in range(1, epoch):
            one.expired(number)
        others = [agent for agent in range(4) if agent != one.me]
        one.hear([signed(agent, Vote(Act.ATTEST, epoch, outcome)) for agent in others])
        assert one.state.bound == (epoch, outcome)
    for one in (low, high):
        one.hear([signed(agent, Vote(Act.ENTER, 5 * HORIZON, 0)) for agent in (2, 3)])
        assert one.epoch == 5 * HORIZON
    attested = Vote(Act.ATTEST, 5 * HORIZON, 0)
    assert low.state.signers(attested) == 0b10
    assert low.hear(unpack(pack(high.lacking(low.summary, limit=1)))) == 0
    assert (3, 1) in low.state.locks
    assert all(one.vote.epoch > 3 for one in high.lacking(low.summary))  # and is not sent again
    low.expired(5 * HORIZON)
    own = {vote for vote, who in low.summary.known if who & 0b10 and vote.act == Act.ATTEST}
    assert Vote(Act.ATTEST, 5 * HORIZON + 1, 1) in own


def test_bytes_that_are_no_votes_are_refused() -> None:
    one = voter(0)
    one.collapsed(1)
    good = pack(one.lacking(voter(1).summary))
    assert unpack(good) == one.lacking(voter(1).summary)[::-1]
    fields = [1, 1, 0, b"\1", bytes(64)]
    bad = [b"", good + b"\0", good[:-1], cbor2.dumps(7), cbor2.dumps([fields[:4]])]
    for place, value in (
        (1, cbor2.CBORTag(4, [10**6, 1])),  # a decimal with a million digits
        (1, float("inf")),
        (1, "1"),
        (1, -1),
        (1, 1.0),
        (0, 7),
        (0, True),
        (3, [0]),
        (3, b"\1\0"),
        (3, b"\xff" * 40_000),  # more signers than signatures
        (4, bytes(63)),
    ):
        bad.append(cbor2.dumps([[*fields[:place], value, *fields[place + 1 :]]]))
    for data in bad:
        with pytest.raises(ValueError, match=r"array|CBOR|number|bytes|valid|canonical"):
            unpack(data)
    assert Summary.decode(one.summary.encoded) == one.summary
    with pytest.raises(ValueError, match="array"):
        Summary.decode(cbor2.dumps([[1, 1, 0]]))


def test_who_is_far_behind_catches_up_in_small_messages() -> None:
    ahead, behind, vote = voter(0), voter(1), Vote(Act.COMMIT, 3 * HORIZON, 1)
    ahead.hear([signed(agent, vote) for agent in (1, 2, 3)])
    behind.hear(ahead.lacking(behind.summary, limit=1))
    assert behind.certificate is not None


LIMITS = (1, 2, 3, 5)
SEVEN, SEVEN_SIGNERS = KeySet.simulated(7, 0)
OF_SEVEN = Decision.of_all(b"slot 1", 7)
FAR = 100


def of_seven(agent: int) -> Voter:
    return Voter(OF_SEVEN, SEVEN, SEVEN_SIGNERS[agent])


def far_votes(votes: Iterable[tuple[int, Vote]]) -> list[Signed]:
    return [Signed(agent, vote, OF_SEVEN.sign(SEVEN_SIGNERS[agent], vote)) for agent, vote in votes]


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("entered", [range(5), range(0)])
def test_no_limit_leaves_an_agent_behind(limit: int, entered: Iterable[int]) -> None:
    """f = 2, and the attestations of two agents alone show that they are far away."""
    ahead, behind = of_seven(0), of_seven(6)
    votes = [(agent, Vote(Act.ENTER, FAR, 0)) for agent in entered]
    votes += [(agent, Vote(Act.ATTEST, FAR, agent % 2)) for agent in (1, 2, 3)]
    for _ in range(2):  # it keeps the signatures when it is there
        ahead.hear(far_votes(votes))
    assert ahead.epoch == FAR
    for _ in range(7):
        behind.hear(ahead.lacking(behind.summary, limit))
    assert behind.epoch == FAR


PLACES = st.tuples(st.sampled_from(Act), st.sampled_from([1, 2, 80, FAR - 1, FAR, FAR + 1, 200]))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), PLACES), max_size=20), st.sampled_from(LIMITS))
def test_small_messages_lead_to_the_same_epoch(
    heard: list[tuple[int, tuple[Act, int]]], limit: int
) -> None:
    """As one message of all that the sender has, wherever the authors are."""
    ahead, whole, behind = of_seven(0), of_seven(6), of_seven(6)
    ahead.hear(far_votes((agent, Vote(act, epoch, 0)) for agent, (act, epoch) in heard))
    for _ in range(2):
        whole.hear(ahead.lacking(whole.summary))
    for _ in range(60):
        behind.hear(ahead.lacking(behind.summary, limit))
    assert (behind.epoch, behind.certificate) == (whole.epoch, whole.certificate)


def test_a_journal_of_another_decision_is_refused(tmp_path: Path) -> None:
    other = Decision.of_all(b"slot 2", 4)
    with Journal(tmp_path / "votes") as journal:
        voter(0, journal).collapsed(1)
    with Journal(tmp_path / "votes") as journal, pytest.raises(ValueError, match="another dec"):
        Voter(other, KEYS, SIGNERS[0], journal=journal)


@pytest.mark.parametrize(
    "record",
    [
        b"\xff",
        cbor2.dumps([[[1, 1, 2, bytes(64)]], b""]),  # there are two outcomes
        cbor2.dumps([[[1, 1, 0]], b""]),
        cbor2.dumps([[{}], b""]),
        cbor2.dumps([[1], b""]),
        cbor2.dumps([[], b"proof"]),
        cbor2.dumps([[], 7]),
    ],
)
def test_damage_in_a_journal_is_told_with_its_path(tmp_path: Path, record: bytes) -> None:
    with Journal(tmp_path / "votes") as journal:
        journal.append(record)
    with (
        Journal(tmp_path / "votes") as journal,
        pytest.raises(CorruptJournal, match=r"/votes: no journal of a voter: "),
    ):
        voter(0, journal)


def test_a_certificate_of_a_far_epoch_counts() -> None:
    one, vote = voter(0), Vote(Act.COMMIT, 9 * HORIZON, 1)
    one.hear([signed(agent, vote) for agent in (1, 2, 3)])
    assert one.certificate is not None


def test_no_message_takes_long() -> None:
    """A summary of 50,000 votes, against many own votes; and authors of the highest numbers."""
    one = of_seven(0)
    votes = [Vote(act, epoch, 0) for epoch in range(1, 2 * HORIZON) for act in (1, 2)]
    votes = [Vote.checked(*vote) for vote in votes]
    one.hear(far_votes([*((1, vote) for vote in votes), (2, Vote(Act.ENTER, 9, 0))]))
    known = [(Vote(Act.ATTEST, 1, outcome), 1) for outcome in range(1, 50_000)]
    summary = Summary(((Vote(Act.ENTER, 9, 0), 1 << 20 - 1), *known))
    started = time.process_time()
    for _ in range(10):
        assert len(one.lacking(summary)) > HORIZON
    many = [Signed((1 << 20) - 1 - 40 * n, votes[0], bytes(64)) for n in range(20_000)]
    assert unpack(pack(many)) == many[::-1]
    single = [Signed((1 << 20) - 1, Vote(Act.ATTEST, 1, n), bytes(64)) for n in range(100)]
    assert unpack(pack(single)) == single
    assert time.process_time() - started < 2


def test_a_call_that_raises_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever raises, before the record is written."""

    def fail(_: object) -> None:
        raise MemoryError

    with Journal(tmp_path / "votes") as journal:
        one = voter(0, journal)
        before = one.state, one.summary, tuple(one.replies), journal.path.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr("tmesh.finality.voter._Draft.counted", fail)
            with pytest.raises(MemoryError):
                one.collapsed(1)
        assert (one.state, one.summary, tuple(one.replies), journal.path.read_bytes()) == before
        one.collapsed(1)
        assert one.state != before[0]


def test_only_what_the_other_lacks_is_sent() -> None:
    one, other = voter(0), voter(1)
    one.collapsed(1)
    one.hear([signed(2, Vote(Act.ATTEST, 1, 0))])
    other.hear([signed(2, Vote(Act.ATTEST, 1, 0))])
    missing = one.lacking(other.summary)
    assert [(one.author, one.vote.act) for one in missing] == [(0, Act.ATTEST), (0, Act.ENTER)]
    assert one.lacking(one.summary) == []
    assert len(one.lacking(voter(3).summary, limit=1)) == 1


def test_the_last_epoch_that_an_agent_entered_is_enough() -> None:
    one, other = voter(0), voter(1)
    for epoch in (4, 2, 7):
        one.hear([signed(2, Vote(Act.ENTER, epoch, 0))])
    other.hear([signed(2, Vote(Act.ENTER, 9, 0))])
    entered = {vote.epoch: who for vote, who in one.summary.known if vote.act == Act.ENTER}
    assert entered == {1: 0b0001, 7: 0b0100}
    assert all(missing.author != 2 for missing in one.lacking(other.summary))


def test_a_stranger_has_no_vote() -> None:
    keys, signers = KeySet.simulated(5, 0)
    with pytest.raises(ValueError, match="agent 4 has no part"):
        Voter(DECISION, keys, signers[4])


def test_final_agents_send_each_other_nothing(tmp_path: Path) -> None:
    """Whichever quorum, of whichever epoch, they counted; also after a restart."""
    with Journal(tmp_path / "votes") as journal:
        first, second, third = voter(0, journal), voter(1), voter(2)
        first.hear([signed(agent, Vote(Act.COMMIT, 1, 1)) for agent in (1, 2, 3)])
        second.hear([signed(agent, Vote(Act.COMMIT, 1, 1)) for agent in (0, 2, 3)])
        third.hear([signed(agent, Vote(Act.COMMIT, 2, 1)) for agent in (0, 1, 3)])
    with Journal(tmp_path / "votes") as journal:
        again = voter(0, journal)
    voters = [first, second, third, again]
    assert all(one.certificate is not None for one in voters)
    for one in voters:
        assert [other.lacking(one.summary) for other in voters] == [[]] * 4
    assert len(again.lacking(voter(3).summary)) == DECISION.quorum


def test_tombstones_are_those_of_near_epochs(tmp_path: Path) -> None:
    """Also after a restart."""
    last = 2 * HORIZON
    with Journal(tmp_path / "votes") as journal:
        one = voter(0, journal)
        for epoch in range(1, last):
            one.collapsed(0)
            one.expired(epoch)
        one.hear([signed(agent, Vote(Act.COMMIT, last, 1)) for agent in (1, 2, 3)])
        before = one.tombstones
    assert before == [Vote(Act.ATTEST, epoch, 0) for epoch in range(HORIZON, last)]
    with Journal(tmp_path / "votes") as journal:
        assert voter(0, journal).tombstones == before


def test_a_final_decision_outlives_its_agent(tmp_path: Path) -> None:
    with Journal(tmp_path / "votes") as journal:
        one = voter(0, journal)
        one.collapsed(1)
        for act in (Act.ATTEST, Act.COMMIT):
            one.hear([signed(agent, Vote(act, 1, 1)) for agent in (1, 2)])
        certificate = one.certificate
    with Journal(tmp_path / "votes") as journal:
        again = voter(0, journal)
        assert again.certificate == certificate
        again.collapsed(0)
        assert len(again.lacking(voter(3).summary)) == DECISION.quorum


def test_an_agent_stands_by_what_it_signed(tmp_path: Path) -> None:
    with Journal(tmp_path / "votes") as journal:
        one = voter(0, journal)
        one.hear([signed(agent, Vote(Act.ATTEST, 1, 1)) for agent in (1, 2, 3)])  # commits
    with Journal(tmp_path / "votes") as journal:
        again = voter(0, journal)
        again.expired(1)
        again.collapsed(0)
        attested = [vote for vote, _ in again.summary.known if vote.act == Act.ATTEST]
        assert attested == [Vote(Act.ATTEST, 1, 1), Vote(Act.ATTEST, 2, 1)]


#: Agent 0 of a swarm votes at random on what comes from the other three, who also do, and sends: to
#: a file that outlives it.
AGENT = """
import os, random, sys
from tmesh.finality import Act, Certificate, Decision, Signed, Vote, Voter
from tmesh.ledger import CorruptJournal, Journal, KeySet

keys, signers = KeySet.simulated(4, 0)
decision = Decision.of_all(b"slot 1", 4)
careful = sys.argv[3] == "careful"

class Careless(Journal):
    def append(self, record):
        pass

def live(seed):
    rng = random.Random(seed)
    air = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    journal = (Journal if careful else Careless)(sys.argv[1])
    voter, sent = Voter(decision, keys, signers[0], journal=journal), set()
    while True:
        chance, epoch = rng.random(), voter.epoch
        if chance < 0.3:
            voter.collapsed(rng.randrange(2))
        elif chance < 0.35:
            voter.expired(epoch)
        else:
            vote = Vote(rng.choice([Act.ATTEST] * 5 + [Act.COMMIT]), epoch, rng.randrange(2))
            author = rng.randrange(1, 4)
            voter.hear([Signed(author, vote, decision.sign(signers[author], vote))])
        for vote, who in voter.summary.known:
            if who & 1 and vote not in sent:
                sent.add(vote)
                os.write(air, b"%d %d %d\\n" % vote)
        if voter.certificate is not None:
            os.write(air, b"9 %d %d\\n" % voter.certificate.vote[1:])
            os._exit(0)
"""


def lives(folder: Path, count: int, manner: str) -> tuple[int, int]:
    """Kill an agent so many times, checking in between; the most votes that it sent in a decision,
    and how many decisions it saw end."""
    rng, votes, ended = random.Random(1), 0, 0
    log, air = folder / "log", folder / "air"
    with crash_harness(AGENT, str(log), str(air), manner) as life:
        for number in range(count):
            torn = rng.choice([0, rng.randrange(1, 12)])
            seconds = rng.random() * 0.02 + 0.1 * (torn > 0)
            life(torn, rng.randrange(1000), number, seconds)
            if not air.exists():
                continue
            sent = [tuple(map(int, line.split())) for line in air.read_text().splitlines()]
            final = [vote for vote in sent if vote[0] == 9]
            votes_sent = {vote for vote in sent if vote[0] in (Act.ATTEST, Act.COMMIT)}
            assert_consistent(votes_sent)
            with Journal(log) as journal:
                back = voter(0, journal)
            known = {tuple(map(int, vote)) for vote, who in back.summary.known if who & 1}
            assert known >= votes_sent, "a vote was sent and is lost"
            votes = max(votes, len(sent))
            if final:
                assert back.certificate is not None, "a final decision is lost"
                assert back.certificate.vote[1:] == final[0][1:]
                ended += 1
                log.unlink()
                air.unlink()
    return votes, ended


def assert_consistent(sent: set[tuple[int, ...]]) -> None:
    """One outcome an epoch."""
    outcomes = defaultdict(set)
    for act, epoch, outcome in sent:
        outcomes[act, epoch].add(outcome)
    assert all(len(some) == 1 for some in outcomes.values()), "it contradicts itself"


def test_a_hundred_kills(tmp_path: Path) -> None:
    votes, ended = lives(tmp_path, 100, "careful")
    assert votes > 5
    assert ended > 5


def test_an_agent_that_keeps_nothing_is_found_out(tmp_path: Path) -> None:
    """The test above can fail."""
    with pytest.raises(AssertionError, match=r"is lost|contradicts"):
        lives(tmp_path, 100, "careless")


def twins(seed: int, pairs: int) -> set[int]:
    """Outcomes that become final among four agents, `pairs` of whom run twice with one key, each
    twin honest by itself (Bano et al., "Twins", 2020). Who hears whom changes at random."""
    rng = random.Random(seed)
    voters = [voter(agent) for agent in (0, 1, 2, 3, *range(pairs))]
    sides = [rng.randrange(2) for _ in voters]
    for _ in range(40):
        if rng.random() < 0.05:
            sides = [rng.randrange(2) for _ in voters]
        for number, one in enumerate(voters):
            if rng.random() < 0.3:
                one.collapsed(sides[number])
            if rng.random() < 0.05:
                one.expired(one.epoch)
            for other, teller in enumerate(voters):
                if sides[other] == sides[number] and rng.random() < 0.5:
                    one.hear(teller.lacking(one.summary))
    return {one.certificate.outcome for one in voters if one.certificate is not None}


def test_a_key_that_is_used_twice_splits_nothing() -> None:
    found = [twins(seed, 1) for seed in range(200)]
    assert all(len(finals) <= 1 for finals in found)
    assert sum(map(len, found)) > 50


def test_more_twins_than_declared_faults_do() -> None:
    """The test above can fail."""
    assert any(len(twins(seed, 3)) > 1 for seed in range(200))


def test_a_journal_has_room_for_the_proof_of_any_voter_that_it_takes(tmp_path: Path) -> None:
    """Labels and the resource are in a proof, too."""
    labels = tuple(f"{outcome:064}" for outcome in range(1024))
    long = Decision.of_all(b"r" * 1024, 4, labels=labels)
    with Journal(tmp_path / "votes") as journal, pytest.raises(ValueError, match="does not fit"):
        Voter(long, KEYS, SIGNERS[0], journal)
