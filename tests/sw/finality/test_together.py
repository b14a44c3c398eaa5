"""Ledger and rules together: votes that travel as events of a history, in any order."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tmesh.finality import Act, Decision, Signed, Vote, Voter, pack, unpack
from tmesh.ledger import Event, Journal, KeySet, Kind, Ledger, reconcile

AGENTS = 4
KEYS, SIGNERS = KeySet.simulated(AGENTS, 0)
DECISION = Decision.of_all(b"slot 7", AGENTS)

honest = st.integers(0, AGENTS - 2)
anyone = st.integers(0, AGENTS - 1)


class Swarm(RuleBasedStateMachine):
    """Three honest agents and agent 3, who signs anything. An honest agent puts its votes into its
    own ledger, hears what its ledger takes in, and is killed, with a journal of each."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.ledgers: dict[int, Ledger] = {3: Ledger(KEYS)}
        self.voters: dict[int, Voter] = {}
        self.journals: dict[int, tuple[Journal, Journal]] = {}
        self.finals: dict[int, int] = {}
        for agent in range(AGENTS - 1):
            self.open(agent)

    def open(self, agent: int) -> None:
        votes = Journal(self.folder / f"{agent}.votes")
        events = Journal(self.folder / f"{agent}.events")
        self.journals[agent] = votes, events
        self.ledgers[agent] = Ledger(KEYS, journal=events)
        self.voters[agent] = Voter(DECISION, KEYS, SIGNERS[agent], journal=votes)
        self.follow(agent)

    def follow(self, agent: int) -> None:
        """What the ledger has goes to the voter, what the voter signed into the ledger."""
        ledger, voter = self.ledgers[agent], self.voters[agent]
        before = -1
        while len(ledger) != before:
            before = len(ledger)
            for event in ledger:
                assert voter.hear(unpack(event.payload)) == 0
            held = {event.payload for event in ledger.chain(agent)}
            for vote, signers in voter.summary.known:
                if signers >> agent & 1:
                    signature = DECISION.sign(SIGNERS[agent], vote)
                    payload = pack([Signed(agent, vote, signature)])
                    if payload not in held:
                        ledger.next(SIGNERS[agent], Kind.STATEMENT, DECISION.id, payload=payload)

    @rule(agent=honest, outcome=st.integers(0, 1))
    def collapse(self, agent: int, outcome: int) -> None:
        self.voters[agent].collapsed(outcome)
        self.follow(agent)

    @rule(agent=honest)
    def expire(self, agent: int) -> None:
        self.voters[agent].expired(self.voters[agent].epoch)
        self.follow(agent)

    @rule(
        act=st.sampled_from([Act.ATTEST, Act.COMMIT]),
        epoch=st.integers(1, 3),
        to=honest,
        outcome=st.integers(0, 1),
        fork=st.booleans(),
    )
    def lie(self, act: Act, epoch: int, to: int, outcome: int, fork: bool) -> None:
        vote = Vote(act, epoch, outcome)
        payload = pack([Signed(3, vote, DECISION.sign(SIGNERS[3], vote))])
        ledger = self.ledgers[3]
        last = ledger.head(3)
        seq, previous = (0, b"") if last is None or fork else (last.seq + 1, last.id)
        event = Event(3, seq, Kind.STATEMENT, DECISION.id, previous, (), payload).signed(SIGNERS[3])
        ledger.append(event)
        reconcile(ledger, self.ledgers[to])
        self.follow(to)

    @rule(one=anyone, other=anyone)
    def meet(self, one: int, other: int) -> None:
        if one != other:
            reconcile(self.ledgers[one], self.ledgers[other])
            for agent in {one, other} - {3}:
                self.follow(agent)

    @rule(agent=honest, torn=st.binary(max_size=12))
    def kill(self, agent: int, torn: bytes) -> None:
        for journal in self.journals[agent]:
            journal.close()
            with journal.path.open("ab") as tail:
                tail.write(torn)
        self.open(agent)

    @invariant()
    def one_outcome(self) -> None:
        for agent, voter in self.voters.items():
            if voter.certificate is not None:
                voter.certificate.verify(KEYS)
                self.finals[agent] = voter.certificate.outcome
            else:
                assert agent not in self.finals, "a final decision is lost"
        assert len(set(self.finals.values())) <= 1

    @invariant()
    def nobody_honest_is_accused(self) -> None:
        for ledger in self.ledgers.values():
            assert set(ledger.equivocators()) <= {3}

    def teardown(self) -> None:
        for ledger in self.ledgers.values():
            ledger.verify()
        for pair in self.journals.values():
            for journal in pair:
                journal.close()
        self.stack.close()


Swarm.TestCase.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, derandomize=True
)
test_ledger_and_rules = Swarm.TestCase
