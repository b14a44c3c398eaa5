"""Votes in the round model: bitmaps of many swarms at once.

The rules are those of `tmesh.finality.rules`, for agents who are all in the same epoch at the same
time; what is left out is what time does. Votes of an epoch that nobody could complete are lost when
it ends, but for the locks that liars hid.
"""

import numpy as np

from tmesh.adversaries import Adversary, Poll
from tmesh.compiled import compiled
from tmesh.finality import quorum
from tmesh.numbers import BoolArray, IntArray
from tmesh.swarm.opinions import NONE, SEVERAL
from tmesh.swarm.scenario import Scenario

Bitmaps = np.ndarray[tuple[int, int, int, int], np.dtype[np.uint64]]


class Tallies:
    """Votes of swarms of `lying` (swarms, agents), whose agents are rows one behind the other.

    epoch: of each swarm. final: outcome of the certificate that each row holds, −1 for none.
    """

    def __init__(self, scenario: Scenario, lying: BoolArray, liar: Adversary) -> None:
        self._scenario, self._lying, self._liar = scenario, lying.reshape(-1), liar
        swarms, n = lying.shape
        rows, outcomes = lying.size, scenario.outcomes
        self._quorum = quorum(n, scenario.declared)
        self._swarms = np.arange(rows) // n
        self.epoch = np.ones(swarms, dtype=np.int64)
        self._ends = np.full(swarms, scenario.timeout)
        self.final = np.full(rows, -1)
        self._votes: Bitmaps = np.zeros((2, outcomes, rows, -(-n // 64)), dtype=np.uint64)
        self._signed = np.full((2, rows), -1)  # attested and committed, in this epoch
        self._bound = np.full((2, rows), -1)  # epoch and outcome
        self._locks = np.zeros((rows, outcomes), dtype=np.int64)  # last epoch of each
        self._withheld = np.zeros((swarms, outcomes), dtype=np.int64)

    def attest(self, rows: IntArray, outcomes: IntArray) -> None:
        """The opinions of rows have settled on outcomes; −1 for those that have not."""
        free = (outcomes >= 0) & ~self._lying[rows] & (self._signed[0, rows] < 0)
        self._sign(0, rows[free], outcomes[free])
        self._lock(rows[free])

    def exchange(self, others: IntArray) -> None:
        """A round: every honest row without a certificate gets what `others` (rows, spread), rows
        or −1, knew before it."""
        asking = np.nonzero(~self._lying & (self.final < 0))[0]
        others = others[asking]
        asked_liars = (others >= 0) & self._lying[others]
        now = np.zeros((*others.shape, 2, self._locks.shape[1]), dtype=np.bool_)
        late = np.zeros_like(now)
        if np.any(asked_liars):
            listeners = np.broadcast_to(asking[:, None], others.shape)[asked_liars]
            now[asked_liars] = self._liar.votes(self._poll(listeners, 0))
            late[asked_liars] = self._liar.votes(self._poll(listeners, 1))
        before = self._votes.copy()
        learned = np.where(late[:, :, 0].any(axis=1), self._withheld[self._swarms[asking]], 0)
        self._locks[asking] = np.maximum(self._locks[asking], learned)
        known = self._locks.copy(), self.final.copy()
        _gather(asking, others, now, before, self._votes, *known, self._locks, self.final, self._n)
        self._lock(asking)

    def pass_time(self, time: int) -> tuple[IntArray, IntArray]:
        """Begin the next epoch where the time of one is over: its rows, and the outcome that each
        begins from, `NONE`, or `SEVERAL`."""
        going = ~self._lying & (self.final < 0)
        over = (self._ends <= time) & (np.bincount(self._swarms, going) > 0)
        rows = np.nonzero(over[self._swarms] & going)[0]
        if not len(rows):
            return rows, rows
        hidden = self._hidden() & over[:, None]
        self._withheld = np.where(hidden, self.epoch[:, None], self._withheld)
        self.epoch += over
        self._ends = np.where(over, time + self._scenario.timeout * self.epoch, self._ends)
        gone = np.nonzero(over[self._swarms])[0]
        self._votes[:, :, gone] = 0
        self._signed[:, gone] = -1
        locks = self._locks[rows]
        count = np.count_nonzero(locks, axis=1)
        begins = np.where(count == 1, np.argmax(locks > 0, axis=1), NONE)
        begins[count > 1] = SEVERAL
        epoch, outcome = self._bound[:, rows]
        newer = np.where(locks > epoch[:, None], locks, 0)
        held = np.where(newer.any(axis=1), np.argmax(newer, axis=1), outcome)
        bound = outcome >= 0
        begins[bound] = held[bound]
        self._sign(0, rows[bound], held[bound])
        return rows, begins

    @property
    def _n(self) -> int:
        return len(self._lying) // len(self.epoch)

    def _sign(self, act: int, rows: IntArray, outcomes: IntArray) -> None:
        self._signed[act, rows] = outcomes
        own = rows % self._n
        bit = np.uint64(1) << (own % 64).astype(np.uint64)
        self._votes[act, outcomes, rows, own // 64] |= bit

    def _lock(self, rows: IntArray) -> None:
        """Commit to what is locked, and take for final what is committed to."""
        for outcome in range(self._locks.shape[1]):
            attested = rows[_counts(self._votes[0, outcome], rows) >= self._quorum]
            self._locks[attested, outcome] = self.epoch[self._swarms[attested]]
            new = attested[self._signed[1, attested] < 0]
            self._sign(1, new, np.full(len(new), outcome))
            self._bound[0, new], self._bound[1, new] = self.epoch[self._swarms[new]], outcome
            silent = new[self._signed[0, new] < 0]
            self._sign(0, silent, np.full(len(silent), outcome))
            committed = rows[_counts(self._votes[1, outcome], rows) >= self._quorum]
            self.final[committed[self.final[committed] < 0]] = outcome

    def _hidden(self) -> BoolArray:
        """Outcomes (swarms, outcomes) that liars could lock now, and the honest alone cannot."""
        swarms, outcomes = self._withheld.shape
        there = np.stack([self._signed[0] == outcome for outcome in range(outcomes)], axis=1)
        there &= ~self._lying[:, None]
        honest = np.sum(there.reshape(swarms, -1, outcomes), axis=1)
        liars = np.sum(self._lying.reshape(swarms, -1), axis=1)[:, None]
        return (honest < self._quorum) & (honest + liars >= self._quorum)

    def _poll(self, listeners: IntArray, before: int) -> Poll:
        """About the votes of this epoch, or of those before."""
        swarms, outcomes = self._swarms[listeners], self._locks.shape[1]
        first = np.zeros(len(self._lying), dtype=np.bool_)
        for outcome in range(outcomes):
            attested = np.nonzero((self._signed[0] == outcome) & ~self._lying)[0]
            _, where = np.unique(self._swarms[attested], return_index=True)
            first[attested[where]] = True
        epoch = self.epoch[swarms]
        hidden = self._withheld[swarms] > 0 if before else self._hidden()[swarms]
        return Poll(listeners % self._n, epoch, epoch - before, hidden, first[listeners])


@compiled
def _gather(asking, others, signed, before, votes, locks, final, new_locks, new_final, n):  # type: ignore[no-untyped-def]
    """Give every asking row what those whom it asks knew, and liars their own votes."""
    acts, outcomes, _, words = votes.shape
    for place in range(len(asking)):
        row = asking[place]
        for column in range(others.shape[1]):
            other = others[place, column]
            if other < 0:
                continue
            if final[other] >= 0:
                new_final[row] = final[other]
            for outcome in range(outcomes):
                new_locks[row, outcome] = max(new_locks[row, outcome], locks[other, outcome])
                for act in range(acts):
                    for word in range(words):
                        votes[act, outcome, row, word] |= before[act, outcome, other, word]
                    if signed[place, column, act, outcome]:
                        own = other % n
                        votes[act, outcome, row, own // 64] |= np.uint64(1) << np.uint64(own % 64)


@compiled
def _counts(bitmaps, rows):  # type: ignore[no-untyped-def]
    """Ones in the bitmaps (rows, words) of some rows."""
    counts = np.zeros(len(rows), dtype=np.int64)
    for place in range(len(rows)):
        for word in bitmaps[rows[place]]:
            # Warren, Hacker's Delight (2012), 5-1.
            x = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
            x = (x & np.uint64(0x3333333333333333)) + (
                (x >> np.uint64(2)) & np.uint64(0x3333333333333333)
            )
            x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
            counts[place] += (x * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return counts
