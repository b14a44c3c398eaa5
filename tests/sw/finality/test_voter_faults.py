"""A voter whose disk fails, or that is killed, at every single write."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import cbor2
import pytest
from tmesh.finality import Act, Decision, Vote, Voter
from tmesh.ledger import Journal, KeySet

from ..faults import Disk, Life, each_failure

KEYS, SIGNERS = KeySet.simulated(4, 0)
DECISION = Decision.of_all(b"slot 1", 4)


def seen(voter: Voter) -> tuple[object, ...]:
    """All that an agent is, and all that it would send."""
    blank = Voter(DECISION, KEYS, SIGNERS[(voter.me + 1) % 4])
    state, replies = voter.state, tuple(voter.replies)
    return state, replies, voter.certificate, voter.summary, voter.lacking(blank.summary)


class VoterLife(Life[Voter]):
    """Agent `me` with a journal among three peers: no agent decides in the first epoch, and all for
    one outcome in the second.

    sent: all that it showed to others.
    """

    def __init__(self, folder: Path, me: int, disk: Disk) -> None:
        self.me, self.sent = me, set[Vote]()
        self.peers = [Voter(DECISION, KEYS, SIGNERS[agent]) for agent in range(4) if agent != me]
        super().__init__(folder / "votes", disk)

    def make(self, journal: Journal) -> Voter:
        kept = [Vote(*one[:3]) for record in journal.records for one in cbor2.loads(record)[0]]
        assert {*kept} >= self.sent, "a vote was sent and is lost"
        assert max(outcomes({*kept}).values(), default=0) <= 1, "it contradicts itself"
        return Voter(DECISION, KEYS, SIGNERS[self.me], journal=journal)

    def look(self) -> object:
        self.sent |= {vote for vote, who in self.agent.summary.known if who >> self.me & 1}
        return seen(self.agent)

    def run(self) -> None:
        """Until there is a certificate."""
        for peer in self.peers:
            peer.collapsed(self.me % 2)
        self.do(lambda one: one.collapsed(0))
        self.hear(self.peers[1])
        for one in [*self.peers]:
            one.expired(1)
        self.do(lambda one: one.expired(1))
        for peer in self.peers:
            peer.collapsed(1)
        self.do(lambda one: one.collapsed(1))
        for _ in range(4):
            for peer in self.peers:
                self.hear(peer)
                for other in self.peers:
                    peer.hear(other.lacking(peer.summary))
                peer.hear(self.agent.lacking(peer.summary))

    def hear(self, peer: Voter) -> None:
        """Hear the votes that a peer has for it."""
        votes = peer.lacking(self.agent.summary)
        self.do(lambda one: one.hear(votes))


def outcomes(votes: set[Vote]) -> Counter[tuple[int, int]]:
    return Counter((vote.act, vote.epoch) for vote in votes)


@pytest.mark.parametrize("me", range(4))
def test_an_agent_ends_its_decision_whichever_write_fails(me: int) -> None:
    """Nothing final is lost, nothing contradicted, and a call that fails changes nothing."""

    def scenario(disk: Disk) -> None:
        with TemporaryDirectory() as folder:
            life = VoterLife(Path(folder), me, disk)
            life.run()
            certificate = life.agent.certificate
            assert certificate is not None
            certificate.verify(KEYS)
            assert {peer.certificate.outcome for peer in life.peers if peer.certificate} <= {
                certificate.outcome
            }
            life.end()
            disk.stop()
            with Journal(life.path) as journal:
                back = life.make(journal)
            assert back.certificate == certificate

    assert sum(1 for _ in each_failure(scenario)) > 50


#: The disk has no more room than the journal takes, when the agent is about to commit.
FULL = """
import resource, signal, sys
from pathlib import Path
from tmesh.finality import Act, Decision, Vote, Voter
from tmesh.ledger import Journal, KeySet

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
keys, signers = KeySet.simulated(4, 0)
decision = Decision.of_all(b"slot 1", 4)
peers = [Voter(decision, keys, signer) for signer in signers[1:]]
voter = Voter(decision, keys, signers[0], journal=Journal(sys.argv[1]))
for one in (voter, *peers):
    one.collapsed(1)
for one in peers:
    for other in peers:
        one.hear(other.lacking(one.summary))
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
room = Path(sys.argv[1]).stat().st_size + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
before = voter.state, voter.lacking(peers[0].summary), tuple(voter.replies), voter.certificate
for _ in range(3):
    try:
        voter.hear(peers[0].lacking(voter.summary))
        raise SystemExit("it fits")
    except OSError as error:
        after = voter.state, voter.lacking(peers[0].summary), tuple(voter.replies)
        assert (*after, voter.certificate) == before
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
for _ in range(2):
    for one in (voter, *peers):
        for other in (voter, *peers):
            one.hear(other.lacking(one.summary))
voter.certificate.verify(keys)
"""


@pytest.mark.parametrize("room", [0, 1, 40])
def test_a_disk_that_is_full_at_the_commit_and_then_has_room(tmp_path: Path, room: int) -> None:
    path = tmp_path / "votes"
    subprocess.run([sys.executable, "-c", FULL, str(path), str(room)], check=True)
    with Journal(path) as journal:
        back = Voter(DECISION, KEYS, SIGNERS[0], journal=journal)
    assert back.certificate is not None
    assert back.certificate.vote == Vote(Act.COMMIT, 1, 1)


@pytest.mark.parametrize("me", range(4))
def test_every_agent_resumes_with_what_it_signed(tmp_path: Path, me: int) -> None:
    """It attests and commits once an epoch, and can prove the lock that binds it."""
    others = [agent for agent in range(4) if agent != me]
    peers = [Voter(DECISION, KEYS, SIGNERS[agent]) for agent in others]
    for peer in peers:
        peer.collapsed(1)
    with Journal(tmp_path / "votes") as journal:
        one = Voter(DECISION, KEYS, SIGNERS[me], journal=journal)
        for peer in peers:
            one.hear([vote for vote in peer.lacking(one.summary) if vote.author == peer.me])
        assert one.state.bound == (1, 1)
    with Journal(tmp_path / "votes") as journal:
        back = Voter(DECISION, KEYS, SIGNERS[me], journal=journal)
        assert back.state.bound == (1, 1)
        assert back.state.signers(Vote(Act.ATTEST, 1, 1)) == 0b1111
        back.collapsed(0)
        own = {vote for vote, who in back.summary.known if who >> me & 1}
        assert own == {Vote(Act.ENTER, 1, 0), Vote(Act.ATTEST, 1, 1), Vote(Act.COMMIT, 1, 1)}
        blank = Voter(DECISION, KEYS, SIGNERS[others[0]])
        blank.hear(back.lacking(blank.summary))
        assert (1, 1) in blank.state.locks
