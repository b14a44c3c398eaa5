"""Every schedule of a small swarm with one liar: can two outcomes of a decision become final?

Explores, breadth first, all joint states of the honest agents, each run by `Rules.step` itself.
The liar signs anything, at any time, and differently for each listener. The schedule chooses what
an opinion collapses to, when a clock runs out, what is delivered to whom, and who is killed and
comes back with nothing but its own signatures. Messages may come late, twice, or never.

What is left out changes nothing. Signatures matter only where they complete a lock, or the f + 1
that make an agent go on, so they are delivered together there, all that there are; final ones are
looked for in what has been signed, whoever has seen it. Agents and outcomes have no names: states
that differ in these only are one.

`python tests/sw/finality/model_checker.py` prints the number of states, and the shortest
counterexample of each planted bug.
"""

import dataclasses
import itertools
import sys
import time
from collections.abc import Callable, Iterator

from tmesh.finality.rules import (
    Act,
    Collapsed,
    Expired,
    Heard,
    Lock,
    Message,
    Reply,
    Rules,
    Sign,
    State,
    Vote,
)

Kill = str
Joint = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Local:
    """An honest agent: its state, and all that it ever signed."""

    state: State
    signed: frozenset[Vote]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """States that were reached, and the steps to a conflict; none is all right."""

    states: int
    conflict: tuple[str, ...] | None


class Checker:
    """`honest` agents and one liar, so many epochs and outcomes. Agents see themselves as number 0,
    the other honest ones as 1 to `honest` − 1, and the liar as the last. kills: whether agents are
    killed."""

    def __init__(
        self,
        rules: type[Rules] = Rules,
        honest: int = 3,
        epochs: int = 3,
        outcomes: int = 2,
        kills: bool = True,
    ) -> None:
        self.rules = rules(0, (1 << honest + 1) - 1, 1)
        self.honest, self.epochs, self.outcomes = honest, epochs, outcomes
        self.kills = kills
        self.liar = 1 << honest
        self._locals: list[Local] = []
        self._ids: dict[Local, int] = {}
        self._steps: dict[tuple[int, Message | Kill], int] = {}
        self._renamed: list[list[int]] = []
        self._renamings = list(itertools.permutations(range(outcomes)))
        self._exact = rules is Rules

    def check(self) -> Verdict:
        """Search until there is a conflict or nothing new."""
        start = self._canonical([self._intern(self._first())] * self.honest)
        before: dict[Joint, Joint | None] = {start: None}
        layer = [start]
        while layer:
            following = []
            for joint in layer:
                for new in self._after(joint):
                    if new in before:
                        continue
                    before[new] = joint
                    if self._conflict(new):
                        return Verdict(len(before), self._path(before, new))
                    following.append(new)
            layer = following
        return Verdict(len(before), None)

    def _after(self, joint: Joint) -> Iterator[Joint]:
        for place, number in enumerate(joint):
            if place and joint[place - 1] == number:
                continue  # an agent in the same state has done it
            others = joint[:place] + joint[place + 1 :]
            for message in self._messages(number, others):
                new = self._step(number, message)
                if new != number:
                    yield self._canonical([*others, new])

    def _messages(self, number: int, others: Joint) -> Iterator[Message | Kill]:
        local, peers = self._locals[number], [self._locals[other] for other in others]
        state = local.state
        first = state.epoch
        for epoch in range(first, (first if self._exact else self.epochs) + 1):
            for outcome in range(self.outcomes):
                yield Collapsed(epoch, outcome)
        if state.epoch < self.epochs:
            yield Expired(state.epoch)
        for epoch in range(1, self.epochs + 1):
            if epoch > state.epoch and any(peer.state.epoch >= epoch for peer in peers):
                yield Heard(Vote(Act.ENTER, epoch, 0), 2 | self.liar)
            for outcome in range(self.outcomes):
                vote = Vote(Act.ATTEST, epoch, outcome)
                there = sum(vote in peer.signed for peer in peers)
                own = vote in local.signed
                known = Lock(epoch, outcome) in state.locks
                if not known and there + own + 1 >= self.rules.quorum:
                    yield Heard(vote, ((1 << there) - 1) << 1 | self.liar)
        if self.kills:
            yield "killed"

    def _step(self, number: int, message: Message | Kill) -> int:
        key = number, message
        if key not in self._steps:
            local = self._locals[number]
            if isinstance(message, str):
                state, replies = self.rules.resume(local.signed)
            else:
                state, replies = self.rules.step(local.state, message)
            self._steps[key] = self._intern(self._normal(state, local.signed, replies))
        return self._steps[key]

    def _first(self) -> Local:
        state, replies = self.rules.begin()
        return self._normal(state, frozenset(), replies)

    def _normal(self, state: State, signed: frozenset[Vote], replies: tuple[Reply, ...]) -> Local:
        """Without what makes no difference, or can be delivered again."""
        own = tuple(
            (vote, 1)
            for vote, signers in state.tallies
            if signers & 1 and (vote.act != Act.ENTER or vote.epoch == state.epoch)
        )
        locks = state.locks
        if self._exact:  # only locks from an agent's own commit on count
            first = state.bound.epoch if state.bound is not None else state.epoch
            locks = tuple(sorted(lock for lock in locks if lock.epoch >= first))
        state = dataclasses.replace(state, tallies=own, locks=locks, timed=False, final=None)
        new = frozenset(reply.vote for reply in replies if isinstance(reply, Sign))
        all_ = signed | new
        last = max((vote.epoch for vote in all_ if vote.act == Act.ENTER), default=0)
        kept = {vote for vote in all_ if vote.act != Act.ENTER or vote.epoch == last}
        return Local(state, frozenset(kept))

    def _conflict(self, joint: Joint) -> bool:
        """Whether two outcomes have a quorum of commits, with those of the liar."""
        final = set()
        commits = [
            vote
            for number in joint
            for vote in self._locals[number].signed
            if vote.act == Act.COMMIT
        ]
        for vote in set(commits):
            if commits.count(vote) + 1 >= self.rules.quorum:
                final.add(vote.outcome)
        return len(final) > 1

    # Names

    def _intern(self, local: Local) -> int:
        if local not in self._ids:
            self._ids[local] = len(self._locals)
            self._locals.append(local)
            self._renamed.append([])
        return self._ids[local]

    def _canonical(self, numbers: list[int]) -> Joint:
        best = None
        for which in range(len(self._renamings)):
            named = tuple(sorted(self._rename(number, which) for number in numbers))
            if best is None or named < best:
                best = named
        assert best is not None
        return best

    def _rename(self, number: int, which: int) -> int:
        known = self._renamed[number]
        if not known:
            local = self._locals[number]
            for names in self._renamings:
                known.append(self._intern(_renamed(local, names)))
        return known[which]

    # What is shown

    def _path(self, before: dict[Joint, Joint | None], joint: Joint) -> tuple[str, ...]:
        """The steps to a joint state, of agents and outcomes that keep their names."""
        joints = [joint]
        while (last := before[joints[-1]]) is not None:
            joints.append(last)
        named, steps = list(joints.pop()), []
        while joints:
            place, message, new = self._towards(named, joints.pop())
            signed = self._locals[new].signed - self._locals[named[place]].signed
            named[place] = new
            steps.append(f"{'ABCD'[place]} {_told(message)}{_acts(signed)}")
        return tuple(steps)

    def _towards(self, named: list[int], joint: Joint) -> tuple[int, Message | Kill, int]:
        """Who has to do what to come to a joint state."""
        for place, number in enumerate(named):
            others = named[:place] + named[place + 1 :]
            for message in self._messages(number, tuple(others)):
                new = self._step(number, message)
                if self._canonical([*others, new]) == joint:
                    return place, message, new
        raise AssertionError("no step leads there")


def _told(message: Message | Kill) -> str:
    match message:
        case Collapsed(epoch, outcome):
            return f"collapses to {outcome} in epoch {epoch}"
        case Expired(epoch):
            return f"sees the time of epoch {epoch} end"
        case Heard(Vote(Act.ENTER, epoch, _)):
            return f"hears of f + 1 in epoch {epoch}"
        case Heard(vote):
            return f"hears of a lock of {vote.outcome} in epoch {vote.epoch}"
    return f"is {message} and comes back"


def _acts(signed: frozenset[Vote]) -> str:
    votes = sorted(vote for vote in signed if vote.act != Act.ENTER)
    acts = [f"{vote.act.name.lower()}s {vote.outcome} in {vote.epoch}" for vote in votes]
    return "".join(f", {act}" for act in acts)


def _renamed(local: Local, names: tuple[int, ...]) -> Local:
    def vote(one: Vote) -> Vote:
        return one if one.act == Act.ENTER else one._replace(outcome=names[one.outcome])

    def lock(one: Lock) -> Lock:
        return one._replace(outcome=names[one.outcome])

    state = dataclasses.replace(
        local.state,
        bound=None if local.state.bound is None else lock(local.state.bound),
        locks=tuple(lock(one) for one in local.state.locks),
        tallies=tuple(sorted((vote(one), signers) for one, signers in local.state.tallies)),
    )
    return Local(state, frozenset(map(vote, local.signed)))


class ForgetsLock(Rules):
    """Is bound by nothing."""

    def _held(self, state: State) -> int | None:
        return None


class CommitsLate(Rules):
    """Commits to a lock of an epoch that it has left."""

    def _commit(self, state: State, replies: list[Reply]) -> State:
        for lock in state.locks:
            if not self._signed(state, Act.COMMIT, lock.epoch):
                state = self._sign(state, Vote(Act.COMMIT, *lock), replies)
                bound = max(lock, state.bound or lock, key=lambda one: one.epoch)
                return dataclasses.replace(state, bound=bound)
        return state


class TrustsLatest(Rules):
    """Follows the lock that it saw last, not the highest."""

    def _held(self, state: State) -> int | None:
        return None if state.bound is None else state.locks[-1].outcome


class AttestsAhead(Rules):
    """Attests in epochs that it has not reached."""

    def _may_attest(self, state: State, epoch: int, outcome: int) -> bool:
        if epoch < state.epoch or self._signed(state, Act.ATTEST, epoch):
            return False
        return self._held(state) in (None, outcome)


class Forgetful(Rules):
    """Comes back without its own signatures."""

    def resume(self, own: object) -> tuple[State, tuple[Reply, ...]]:
        return super().resume(())


class BoundByOutcome(Rules):
    """A commit binds only where its own outcome is concerned."""

    def _held(self, state: State) -> int | None:
        return None

    def _may_attest(self, state: State, epoch: int, outcome: int) -> bool:
        own = [lock for lock in state.locks if lock.outcome == outcome]
        newer = [lock for lock in state.locks if own and lock.epoch > own[-1].epoch]
        return super()._may_attest(state, epoch, outcome) and not newer


class SmallQuorum(Rules):
    """Is content with one signature less than a quorum."""

    @property
    def quorum(self) -> int:
        return super().quorum - 1


#: Each is found without kills, but for the one that is about them.
BUGS: tuple[type[Rules], ...] = (
    ForgetsLock,
    CommitsLate,
    TrustsLatest,
    AttestsAhead,
    Forgetful,
    BoundByOutcome,
    SmallQuorum,
)


def main(write: Callable[[str], object] = print) -> None:
    """All that the tests check, and more."""
    for honest, epochs, outcomes in ((3, 3, 2), (3, 3, 3), (4, 2, 2)):
        started = time.monotonic()
        verdict = Checker(Rules, honest, epochs, outcomes).check()
        seconds = time.monotonic() - started
        found = "no conflict" if verdict.conflict is None else "CONFLICT"
        write(
            f"n = {honest + 1}, f = 1, {epochs} epochs, {outcomes} outcomes: "
            f"{verdict.states:,} states, {found} ({seconds:.0f} s)"
        )
    for bug in BUGS:
        verdict = Checker(bug, kills=bug is Forgetful).check()
        write(f"{bug.__name__}: {verdict.states:,} states; {bug.__doc__}")
        for step in verdict.conflict or ("no conflict found",):
            write(f"    {step}")


if __name__ == "__main__":
    sys.exit(main())
