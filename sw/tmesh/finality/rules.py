"""The rules that make a decision final, as a pure state machine: one agent, one decision.

`Rules.step` takes a state and a message and returns a new state and messages. It has no clock, no
input or output and no randomness, so that every schedule can be tried. Votes of many agents are one
number, whose bit a is that of agent a.

Safety, in any schedule, while at most f of n > 3f agents are Byzantine. Two quorums of q = ⌊(n +
f)/2⌋ + 1 agents share an honest one. Let q commits of epoch e for v exist. Let w ≠ v be locked in
some epoch from e on, and take the first such lock, of epoch e′. An honest agent both committed in e
and attested w in e′. If e′ = e, two outcomes were locked in e, though an agent attests one an
epoch. Let e′ > e. An agent commits only in its current epoch, so it committed before it attested w.
It was then bound to v or to a later lock. That lock was for v, since e′ is the first epoch with a
lock for another outcome. So it attested v in e′, a contradiction.
"""

import dataclasses
import enum
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from tmesh.errors import InvalidInput
from tmesh.ledger.encoding import NUMBERS, number

#: An agent keeps votes of epochs within this distance of its present one. A vote of a later epoch
#: counts as its author's entry, and of earlier ones an agent keeps the proof of its highest lock. A
#: longer distance takes more memory, in proportion (see `State`). A shorter one loses votes that
#: are still of use, as clocks and losses leave the agents of a swarm some epochs apart.
HORIZON = 16


class Act(enum.IntEnum):
    """The act that an agent signs."""

    ENTER = 0  # I am in this epoch; the outcome is 0
    ATTEST = 1  # I have collapsed to this outcome
    COMMIT = 2  # I have seen it locked


_ACTS = frozenset(Act)


class Vote(NamedTuple):
    """The subject of a signature in a decision."""

    act: Act
    epoch: int
    outcome: int

    @classmethod
    def checked(cls, act: Any, epoch: Any, outcome: Any) -> "Vote":
        """The one check of votes, an agent's own and those of others. Raises `InvalidInput` for a
        vote that no rule leads to."""
        kind = number("act", act)
        if kind not in _ACTS:
            raise InvalidInput(f"act: {kind} is not a valid one")
        outcome = number("outcome", outcome, below=1 if kind == Act.ENTER else NUMBERS)
        return cls(Act(kind), number("epoch", epoch, least=1), outcome)


class Lock(NamedTuple):
    """An outcome that a quorum attested in an epoch."""

    epoch: int
    outcome: int


@dataclasses.dataclass(frozen=True)
class Heard:
    """These agents signed this vote."""

    vote: Vote
    signers: int


@dataclasses.dataclass(frozen=True)
class Collapsed:
    """The agent's own opinion settled on an outcome, in this epoch."""

    epoch: int
    outcome: int


@dataclasses.dataclass(frozen=True)
class Expired:
    """The time of an epoch is over."""

    epoch: int


@dataclasses.dataclass(frozen=True)
class Sign:
    """Sign this vote, keep it, and only then send it."""

    vote: Vote


@dataclasses.dataclass(frozen=True)
class Start:
    """Start the clock of an epoch: `Expired` when it has run out. Later epochs last longer."""

    epoch: int


@dataclasses.dataclass(frozen=True)
class Begin:
    """An epoch begins. outcomes: the outcomes that the opinion may start from. The opinion starts
    from a single one; of none or several, from the agent's evidence."""

    epoch: int
    outcomes: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Final:
    """The outcome can never change: a quorum has committed to it."""

    vote: Vote


Message = Heard | Collapsed | Expired
Reply = Sign | Start | Begin | Final


@dataclasses.dataclass(frozen=True)
class State:
    """Of one agent in one decision.

    - bound: the agent's last commit.
    - locks: the last lock of each outcome that the agent has seen, in the order of arrival.
    - tallies: the known signers of each vote.
    - timed: whether the clock of the epoch runs.

    The tallies have at most 5 (2 `HORIZON` + 1) + 2 votes of one author. An epoch has two commits
    and two attestations, or three if one of them has a quorum. To these come the author's last
    entry and its attestation of the highest lock.
    """

    epoch: int = 1
    bound: Lock | None = None
    locks: tuple[Lock, ...] = ()
    tallies: tuple[tuple[Vote, int], ...] = ()
    timed: bool = False
    final: Vote | None = None

    def signers(self, vote: Vote) -> int:
        """Agents that are known to have signed a vote."""
        return next((signers for known, signers in self.tallies if known == vote), 0)


def tolerated(agents: int) -> int:
    """⌊(n − 1)/3⌋: the most agents of n that may be Byzantine."""
    return (agents - 1) // 3


def quorum(agents: int, faults: int) -> int:
    """⌊(n + f)/2⌋ + 1: two quorums share more than f agents.

    Raises ``ValueError`` unless n > 3f."""
    if not 0 <= 3 * faults < agents:
        raise InvalidInput(f"faults: {faults} of {agents} agents are a third or more")
    return (agents + faults) // 2 + 1


@dataclasses.dataclass(frozen=True)
class Rules:
    """The rules for agent `me`, one of n `agents` (the bits of a number). At most `faults` of them
    may be Byzantine."""

    me: int
    agents: int
    faults: int

    def __post_init__(self) -> None:
        quorum(self.agents.bit_count(), self.faults)
        if not self.agents >> self.me & 1:
            raise InvalidInput(f"me: agent {self.me} has no part in the decision")

    @property
    def quorum(self) -> int:
        """Signers that lock, or make final."""
        return quorum(self.agents.bit_count(), self.faults)

    def step(self, state: State, message: Message) -> tuple[State, tuple[Reply, ...]]:
        """The state after a message, and the replies for the caller to act on."""
        replies: list[Reply] = []
        if state.final is not None:
            return state, ()
        match message:
            case Heard(vote, signers):
                counted = self._count(state, vote, signers & self.agents)
                if counted is state:
                    return state, ()
                state = counted
            case Collapsed(epoch, outcome):
                if not self._may_attest(state, epoch, outcome):
                    return state, ()
                state = self._sign(state, Vote(Act.ATTEST, epoch, outcome), replies)
            case Expired(epoch):
                if epoch != state.epoch:
                    return state, ()
                state = self._enter(state, epoch + 1, replies)
        return self._trimmed(self._follow(state, replies)), tuple(replies)

    def begin(self) -> tuple[State, tuple[Reply, ...]]:
        """The first epoch."""
        return self.resume(())

    def resume(self, own: Iterable[Vote]) -> tuple[State, tuple[Reply, ...]]:
        """After a restart, from all votes that the agent has signed."""
        votes = list(own)
        commits = [Lock(epoch, outcome) for act, epoch, outcome in votes if act == Act.COMMIT]
        state = State(
            epoch=max((vote.epoch for vote in votes), default=1),
            bound=max(commits, default=None),
            locks=_last(commits),
        )
        for vote in votes:
            state = self._count(state, vote, 1 << self.me)
        replies: list[Reply] = []
        state = self._enter(state, state.epoch, replies)
        return self._trimmed(self._follow(state, replies)), tuple(replies)

    # Rules that follow from a state

    def _follow(self, state: State, replies: list[Reply]) -> State:
        """Apply rules as long as there is one to apply."""
        while state.final is None:
            before = state
            for rule in (self._finish, self._advance, self._commit, self._keep, self._clock):
                state = rule(state, replies)
                if state is not before:
                    break
            else:
                break
        return state

    def _finish(self, state: State, replies: list[Reply]) -> State:
        """A quorum of commits is final, of whatever epoch."""
        for vote, signers in state.tallies:
            if vote.act == Act.COMMIT and signers.bit_count() >= self.quorum:
                replies.append(Final(vote))
                return dataclasses.replace(state, final=vote)
        return state

    def _advance(self, state: State, replies: list[Reply]) -> State:
        """Go on to an epoch where f + 1 agents are, one of them honest, or that has a lock."""
        seen = {lock.outcome: lock.epoch for lock in state.locks}
        known = [Lock(vote.epoch, vote.outcome) for vote in self._locked(state)]
        new = [lock for lock in known if lock.epoch > seen.get(lock.outcome, 0)]
        if new:
            state = dataclasses.replace(state, locks=_last([*state.locks, *new]))
        epoch = max([self._reached(state, self.faults + 1), *(lock.epoch for lock in new)])
        return self._enter(state, epoch, replies) if epoch > state.epoch else state

    def _commit(self, state: State, replies: list[Reply]) -> State:
        """Commit to a lock of the epoch that the agent is in, and of no other, once."""
        if not self._signed(state, Act.COMMIT, state.epoch):
            for lock in state.locks:
                if lock.epoch == state.epoch:
                    state = self._sign(state, Vote(Act.COMMIT, *lock), replies)
                    return dataclasses.replace(state, bound=lock)
        return state

    def _keep(self, state: State, replies: list[Reply]) -> State:
        """Attest what the agent is bound to."""
        held = self._held(state)
        if held is None or self._signed(state, Act.ATTEST, state.epoch):
            return state
        return self._sign(state, Vote(Act.ATTEST, state.epoch, held), replies)

    def _clock(self, state: State, replies: list[Reply]) -> State:
        """The clock starts when n − f agents are in the epoch, or were."""
        here = state.epoch <= self._reached(state, self.agents.bit_count() - self.faults)
        if state.timed or not here:
            return state
        replies.append(Start(state.epoch))
        return dataclasses.replace(state, timed=True)

    # Parts

    def _may_attest(self, state: State, epoch: int, outcome: int) -> bool:
        if epoch != state.epoch or self._signed(state, Act.ATTEST, epoch):
            return False
        return self._held(state) in (None, outcome)

    def _held(self, state: State) -> int | None:
        """The outcome that an agent may attest: that of its last commit, or of the highest lock
        after it. Locks bind no agent that has not committed."""
        if state.bound is None:
            return None
        later = [lock for lock in state.locks if lock.epoch > state.bound.epoch]
        return max(later, default=state.bound, key=lambda lock: lock.epoch).outcome

    def _locked(self, state: State) -> Iterator[Vote]:
        for vote, signers in state.tallies:
            if vote.act == Act.ATTEST and signers.bit_count() >= self.quorum:
                yield vote

    def _reached(self, state: State, count: int) -> int:
        """The last epoch that `count` agents are known to have reached; 0 for none."""
        there = 0
        for vote, signers in sorted(state.tallies, key=lambda one: -one[0].epoch):
            there |= signers
            if there.bit_count() >= count:
                return vote.epoch
        return 0

    def _signed(self, state: State, act: Act, epoch: int) -> bool:
        """Whether the agent itself signed such a vote."""
        return any(
            vote.act == act and vote.epoch == epoch and signers >> self.me & 1
            for vote, signers in state.tallies
        )

    def _enter(self, state: State, epoch: int, replies: list[Reply]) -> State:
        state = dataclasses.replace(state, epoch=epoch, timed=False)
        if not self._signed(state, Act.ENTER, epoch):
            state = self._sign(state, Vote(Act.ENTER, epoch, 0), replies)
        held = self._held(state)
        locked = {lock.outcome for lock in state.locks} if held is None else {held}
        replies.append(Begin(epoch, tuple(sorted(locked))))
        return state

    def _sign(self, state: State, vote: Vote, replies: list[Reply]) -> State:
        replies.append(Sign(vote))
        return self._count(state, vote, 1 << self.me)

    def _count(self, state: State, vote: Vote, signers: int) -> State:
        """Add signers to a vote: the same state if none of them is new, or of use."""
        rivals = [
            there
            for other, there in state.tallies
            if other[:2] == vote[:2] and other.outcome != vote.outcome
        ]
        # A second quorum in one epoch takes more than f Byzantine agents.
        together = (signers | state.signers(vote)).bit_count()
        many = together >= self.quorum > max(map(int.bit_count, rivals), default=0)
        if not many:
            if vote.epoch > state.epoch + HORIZON:
                vote, rivals = Vote(Act.ENTER, vote.epoch, 0), []
            elif vote.act != Act.ENTER and vote.epoch < state.epoch - HORIZON:
                return state
            # These are Byzantine, and no agent needs more of their votes.
            signers &= ~_twice(rivals)
        tallies = dict(state.tallies)
        if vote.act == Act.ENTER:  # the last epoch of each is enough
            for other, there in state.tallies:
                if other.act == Act.ENTER and other.epoch > vote.epoch:
                    signers &= ~there
            for other, there in state.tallies:
                if other.act == Act.ENTER and other.epoch < vote.epoch and there & signers:
                    tallies[other] = there & ~signers
        if not signers & ~tallies.get(vote, 0):
            return state
        tallies[vote] = tallies.get(vote, 0) | signers
        known = ((vote, there) for vote, there in tallies.items() if there)
        return dataclasses.replace(state, tallies=tuple(sorted(known)))

    def _trimmed(self, state: State) -> State:
        """Without votes that are far from the epoch. The proof of the highest lock stays: agents
        that are bound to a lower one have to see it."""
        last = max(state.locks, default=None)
        tallies = tuple(
            (vote, there)
            for vote, there in state.tallies
            if vote.act == Act.ENTER
            or abs(vote.epoch - state.epoch) <= HORIZON
            or vote == state.final
            or (last is not None and vote == Vote(Act.ATTEST, *last))
        )
        if len(tallies) == len(state.tallies):
            return state
        return dataclasses.replace(state, tallies=tallies)


def _last(locks: Iterable[Lock]) -> tuple[Lock, ...]:
    """The last lock of each outcome, in the order in which these came."""
    last: dict[int, Lock] = {}
    for lock in locks:
        known = last.get(lock.outcome)
        if known is None or known.epoch < lock.epoch:
            last.pop(lock.outcome, None)
            last[lock.outcome] = lock
    return tuple(last.values())


def _twice(sets: Iterable[int]) -> int:
    """Agents that are in two sets or more."""
    once = twice = 0
    for one in sets:
        twice |= once & one
        once |= one
    return twice
