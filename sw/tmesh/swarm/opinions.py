"""What agents think: their states on a device, and what becomes of them when others are heard."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from tmesh.devices import Device
from tmesh.errors import InvalidInput
from tmesh.golden.reference import FloatArray
from tmesh.numbers import BoolArray, IntArray
from tmesh.swarm.scenario import Scenario

#: LSBs by which a received vector may be longer than 1: two that a device lets stand, and one for
#: turning it into another frame. A device takes four, so no statement makes it refuse a round.
SLACK = 3

#: What an epoch begins from, where it is no outcome.
NONE, SEVERAL = -1, -2

#: Epochs have grids of their own, up to this one.
GRIDS = 1 << 12

#: Cells of directions: the twelve corners of an icosahedron.
_GOLDEN = (1 + 5**0.5) / 2
CELLS = np.array(
    [
        np.roll([0, a, b * _GOLDEN], turn) / np.hypot(1, _GOLDEN)
        for turn in range(3)
        for a in (1, -1)
        for b in (1, -1)
    ]
)


@dataclasses.dataclass(frozen=True)
class Statements:
    """What is said of opinions: Bloch vectors (..., 3) of the next bit of the outcome, NaN for
    silence, and the `prefix` of `length` bits (...,) that is taken as settled."""

    vectors: FloatArray
    prefix: IntArray
    length: IntArray

    @classmethod
    def silence(cls, *shape: int) -> Self:
        """Nothing heard."""
        nothing = np.zeros(shape, dtype=np.int64)
        return cls(np.full((*shape, 3), np.nan), nothing, nothing.copy())

    def __getitem__(self, index: Any) -> "Statements":
        return Statements(self.vectors[index], self.prefix[index], self.length[index])

    def reshape(self, *shape: int) -> "Statements":
        """The same statements in another shape."""
        return Statements(
            self.vectors.reshape(*shape, 3), self.prefix.reshape(shape), self.length.reshape(shape)
        )

    def __setitem__(self, index: Any, said: "Statements") -> None:
        self.vectors[index] = said.vectors
        self.prefix[index] = said.prefix
        self.length[index] = said.length


class Opinions:
    """The opinions of agents on decisions, a row for each, resident on a device.

    An outcome is a number of ⌈log₂ m⌉ bits, settled one after another, the highest first: each bit
    is one qubit, which starts from the evidence for it given the bits before. A row is settled when
    it has all of them, and then stays as it is.

    Parameters
    ----------
    evidence: probabilities (rows, outcomes) that an agent gives to the outcomes; of two outcomes,
        or directions, also Bloch vectors (rows, 3) as `start`, in the own frames.
    frames: of direction decisions, rotations (rows, 3, 3) from an agent's own frame to a common
        one; states and statements are in the own frames.
    swarms: the swarm, or decision, that each row (rows,) is of; default one.

    Outcomes that come late have no weight with an agent before it learns of them.
    """

    def __init__(
        self,
        device: Device,
        rules: Scenario,
        evidence: FloatArray,
        start: FloatArray | None = None,
        frames: FloatArray | None = None,
        swarms: IntArray | None = None,
    ) -> None:
        rows, outcomes = evidence.shape
        self.swarms = np.zeros(rows, dtype=np.int64) if swarms is None else swarms
        self._known = np.ones(evidence.shape, dtype=np.bool_)
        self._known[:, [late.outcome for late in rules.late]] = False
        self.rules, self._device, self._evidence, self._frames = rules, device, evidence, frames
        self.bits = max(1, int(outcomes - 1).bit_length())
        self._copies = int(np.ceil(rules.threshold * (rules.k + 1)))
        room = device.info.capacity - rows
        if room < rules.k + 1 + self._copies:
            raise InvalidInput(
                f"agents: {rows} states and {rules.k} statements, but the device has room for "
                f"{device.info.capacity}"
            )
        self._room, self.longest = room, 1 + SLACK * device.config.q.lsb
        self._original = evidence.copy(), start
        self.epoch = np.ones(rows, dtype=np.int64)
        self.prefix, self.length = np.zeros((2, rows), dtype=np.int64)
        self.streak, self.updates = np.zeros((2, rows), dtype=np.int64)
        states = np.zeros((device.info.capacity, 3))
        if start is None:
            self._forced(np.arange(rows))
            states[:rows] = self._prior(np.arange(rows))
        else:
            states[:rows] = start
        device.load(states)
        self.vectors = device.read(np.arange(rows))

    @classmethod
    def first(
        cls,
        device: Device,
        rules: Scenario,
        lying: BoolArray,
        rng: np.random.Generator,
        members: BoolArray | None = None,
    ) -> Self:
        """What the agents of some swarms think before they hear anything, swarm by swarm; `lying`
        (swarms, agents), and which of them are `members` (swarms, agents), default all."""
        if members is None:
            members = np.ones(lying.shape, dtype=np.bool_)
        swarms, agents = np.nonzero(members)
        crowds = list(zip(lying, members, strict=True))
        if rules.outcomes > 2 or rules.late:
            some = [rules.initial_evidence(rng, liars, there) for liars, there in crowds]
            return cls(device, rules, np.concatenate(some), swarms=swarms)
        start = np.concatenate([rules.initial_states(rng, liars, there) for liars, there in crowds])
        chances = 0.5 + start[:, 2:] * np.array([0.5, -0.5])
        frames = None
        if rules.direction:
            frames = _rotations(rng, rules.agents)[agents]
            start = np.einsum("mji,mj->mi", frames, start)
        return cls(device, rules, chances, start, frames, swarms)

    def preferred(self, lying: BoolArray) -> IntArray:
        """The outcome that the evidence of the most honest rows of each swarm is for, (swarms,);
        `lying` (rows,). What gives two outcomes the same, counts for both."""
        best = self._evidence == self._evidence.max(axis=1, keepdims=True)
        votes = np.zeros((int(self.swarms.max()) + 1, best.shape[1]), dtype=np.int64)
        np.add.at(votes, self.swarms, best & ~lying[:, None])
        return np.asarray(np.argmax(votes, axis=1))

    def camps(self, preferred: IntArray) -> FloatArray:
        """The side, ±1 along z, that outcomes are on in their first bit."""
        return np.asarray(1.0 - 2 * (preferred >> (self.bits - 1)))

    @property
    def settled(self) -> BoolArray:
        """Which rows have an outcome, (rows,)."""
        return np.asarray(self.length == self.bits)

    @property
    def outcomes(self) -> IntArray:
        """`chosen` of all rows, (rows,)."""
        return self.chosen(np.arange(len(self.length)))

    def chosen(self, rows: IntArray) -> IntArray:
        """Outcomes (m,) of some rows, −1 for those that are not settled. A direction's is a cell's
        number, and twelve more for each epoch after the first: each has a grid of its own."""
        outcome = self.prefix[rows]
        if self.rules.direction:
            where = np.einsum("mci,mi->mc", grids(self.epoch[rows]), self.common[rows])
            outcome = np.argmax(where, axis=1) + len(CELLS) * (self.epoch[rows] - 1)
        return np.where(self.length[rows] == self.bits, outcome, -1)

    @property
    def common(self) -> FloatArray:
        """Bloch vectors (rows, 3) in the common frame."""
        if self._frames is None:
            return self.vectors
        return np.asarray(np.einsum("mij,mj->mi", self._frames, self.vectors))

    def said(self, rows: IntArray) -> Statements:
        """The statements of `rows` (...)."""
        return Statements(self.vectors[rows], self.prefix[rows], self.length[rows])

    def update(
        self, rows: IntArray, heard: Statements, senders: IntArray, shift: FloatArray | None = None
    ) -> None:
        """Whole rounds of different `rows` (m,), from what each heard (m, k) of `senders` (m, k):
        drop what is no density matrix, trim, mean, purify or interfere, and settle a bit whose
        entropy stayed low.

        shift: how far to move the means before they are amplified, (m,) along z.
        """
        open_ = ~self.settled[rows]
        rows, heard, senders = rows[open_], heard[open_], senders[open_]
        values = self._trimmed(rows, self._understood(rows, heard, senders))
        if shift is not None and self.rules.threshold:
            shift = shift[open_]
            if self.rules.late:
                shift = np.where(np.all(self._open_sides(rows), axis=0), shift, 0.0)
            values = np.concatenate([values, self._pushed(values, shift)], axis=1)
        entropy, bit = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.int64)
        amplifying = self.updates[rows] >= self.rules.mixing
        for amplify in (False, True):
            where = np.nonzero(amplifying == amplify)[0]
            step = self._room // (values.shape[1] + 1)
            for first in range(0, len(where), step):
                part = where[first : first + step]
                entropy[part], bit[part] = self._round(rows[part], values[part], amplify)
        self.vectors[rows] = self._device.read(rows)
        self.updates[rows] += 1
        self.streak[rows] = np.where(entropy < self.rules.epsilon, self.streak[rows] + 1, 0)
        done = self.streak[rows] >= self.rules.beta
        self._settle(rows[done], bit[done])

    def reopen(self, rows: IntArray, epochs: IntArray, begins: IntArray) -> None:
        """Let rows (m,) think again in new epochs (m,). begins: the one outcome that is locked, of
        which they are certain then; `SEVERAL` are, and they are undecided; or `NONE`, and they stay
        with what they have settled on, or go on."""
        self.epoch[rows] = epochs
        again = (self.length[rows] == self.bits) | (begins != NONE)
        rows, begins = rows[again], begins[again]
        if self.rules.direction:
            self._turn(rows, begins)
        else:
            begins = np.where(begins == NONE, self.prefix[rows], begins)
            certain = begins[:, None] == np.arange(self._evidence.shape[1])
            self._evidence[rows] = np.where((begins == SEVERAL)[:, None], 1.0, certain)
        self._open(rows)
        self._load(rows)

    def admit(self, row: int, outcomes: Sequence[int]) -> None:
        """A row knows of outcomes, as they are locked."""
        if not self.rules.direction:
            self._known[row, list(outcomes)] = True

    def learn(self, rows: IntArray, outcome: int) -> None:
        """Rows (m,) come to know of an outcome. Those who have still to choose between it and
        others that they knew think again about their next bit."""
        rows = rows[~self._known[rows, outcome]]
        self._known[rows, outcome] = True
        left = self.bits - self.length[rows]
        fits = (left > 0) & (outcome >> left == self.prefix[rows])
        rows = rows[fits & (self._evidence[rows, outcome] > 0)]
        self.streak[rows] = 0
        self.vectors[rows] = self._prior(rows)
        self._load(rows)

    def forget(self, rows: IntArray) -> None:
        """Think again as at the start, and know no more."""
        evidence, start = self._original
        self._evidence[rows] = evidence[rows]
        self._known[rows[:, None], [late.outcome for late in self.rules.late]] = False
        self._open(rows)
        if start is not None:
            self.vectors[rows] = start[rows]
        self._load(rows)

    def _open(self, rows: IntArray) -> None:
        self.prefix[rows] = self.length[rows] = self.streak[rows] = 0
        if not self.rules.direction:
            self._forced(rows)
            self.vectors[rows] = self._prior(rows)

    def _load(self, rows: IntArray) -> None:
        if len(rows):
            self._device.write(rows, self.vectors[rows])
            self.vectors[rows] = self._device.read(rows)

    def _turn(self, rows: IntArray, begins: IntArray) -> None:
        """To directions that are locked, or to none of several."""
        self.vectors[rows[begins == SEVERAL]] = 0.0
        locked = begins >= 0
        rows, begins = rows[locked], begins[locked]
        epoch, cell = 1 + begins // len(CELLS), begins % len(CELLS)
        towards = grids(epoch)[np.arange(len(rows)), cell]
        if self._frames is not None:
            self.vectors[rows] = np.einsum("mji,mj->mi", self._frames[rows], towards)

    def _round(
        self, rows: IntArray, values: FloatArray, amplify: bool
    ) -> tuple[FloatArray, IntArray]:
        """One batch on the device: what was heard is written behind the states."""
        there = ~np.isnan(values[..., 0])
        behind = len(self.length) + np.arange(np.count_nonzero(there) + len(rows))
        copies, slots = behind[: len(rows)], np.full(there.shape, -1)
        slots[there] = behind[len(rows) :]
        self._device.write(slots[there], values[there])
        dephase = self.rules.dephase and not self.rules.direction
        if amplify and self.rules.amplify == "interfere":
            # The mean forms in a copy, and the own state interferes with it.
            self._device.write(copies, self.vectors[rows])
            self._device.update(copies, slots, dephase=dephase)
            self._device.swap_test(np.stack([rows, copies], axis=1))
            nobody = np.full((len(rows), 1), -1)
            entropy, bit = self._device.update(rows, nobody, dephase=dephase)
        else:
            kappa = self.rules.kappa if amplify else 1
            entropy, bit = self._device.update(rows, slots, kappa, dephase=dephase)
        if self.rules.direction:
            entropy = self._device.observe(rows).entropy
        return entropy, bit

    def _understood(self, rows: IntArray, heard: Statements, senders: IntArray) -> FloatArray:
        """Vectors (m, k, 3), in place, as they bear on the bit of `rows`; NaN where they do not.

        Who is further on the same path votes for his next bit with certainty.
        """
        vectors = heard.vectors
        if self._frames is not None:
            turned = np.einsum("mkij,mkj->mki", self._frames[senders], vectors)
            vectors = np.einsum("mji,mkj->mki", self._frames[rows], turned)
        valid = np.einsum("mki,mki->mk", vectors, vectors) <= self.longest**2
        if not self.rules.direction:
            own, prefix = self.length[rows, None], self.prefix[rows, None]
            ahead = np.maximum(heard.length - own, 0)
            valid &= (heard.length >= own) & (heard.prefix >> ahead == prefix)
            further = ahead > 0
            vote = heard.prefix[further] >> (ahead[further] - 1) & 1
            vectors[further] = np.stack([0 * vote, 0 * vote, 1 - 2 * vote], axis=1)
        if self.rules.late:
            zero, one = self._open_sides(rows)[..., None]
            valid &= (zero | ~(vectors[..., 2] > 0)) & (one | ~(vectors[..., 2] < 0))
        vectors[~valid] = np.nan
        return vectors

    def _trimmed(self, rows: IntArray, values: FloatArray) -> FloatArray:
        """Without the most discordant, by the overlap Tr ρσ = (1 + r·s)/2 with the own state."""
        if not self.rules.trim:
            return values
        overlap = np.einsum("mki,mi->mk", values, self.vectors[rows])
        worst = np.argsort(overlap, axis=1)[:, : self.rules.trim]  # NaN comes last
        values[np.arange(len(rows))[:, None], worst] = np.nan
        return values

    def _pushed(self, values: FloatArray, shift: FloatArray) -> FloatArray:
        """As many equal vectors (m, c, 3) as it takes to move every mean by up to `threshold`."""
        members = 1 + np.count_nonzero(~np.isnan(values[..., 0]), axis=1)
        pushed = np.zeros((len(values), self._copies, 3))
        pushed[..., 2] = np.clip(shift * members / self._copies, -1, 1)[:, None]
        pushed[shift == 0] = np.nan  # they would draw the mean towards zero
        return pushed

    def _open_sides(self, rows: IntArray) -> BoolArray:
        """Whether a row knows an outcome whose next bit is 0, and one where it is 1, (2, m): what
        leads elsewhere it leaves out."""
        under, one = self._ahead(rows)
        under &= self._known[rows]
        return np.stack([np.any(under & ~one, axis=1), np.any(under & one, axis=1)])

    def _settle(self, rows: IntArray, bit: IntArray) -> None:
        self.prefix[rows] = 2 * self.prefix[rows] + bit
        self.length[rows] += 1
        self.streak[rows] = 0
        self._forced(rows)
        rows = rows[~self.settled[rows]]
        self._device.write(rows, self._prior(rows))
        self.vectors[rows] = self._device.read(rows)

    def _forced(self, rows: IntArray) -> None:
        """Settle bits that are 0 in every outcome there is."""
        outcomes = self._evidence.shape[1]
        for _ in range(self.bits):
            left = self.bits - self.length[rows]
            one = (2 * self.prefix[rows] + 1) << np.maximum(left - 1, 0)
            forced = rows[(left > 0) & (one >= outcomes)]
            self.prefix[forced] *= 2
            self.length[forced] += 1

    def _ahead(self, rows: IntArray) -> tuple[BoolArray, BoolArray]:
        """Which outcomes have a row's prefix, and which a 1 for its next bit, (m, outcomes)."""
        outcome = np.arange(self._evidence.shape[1])
        left = (self.bits - self.length[rows])[:, None]
        one = outcome >> np.maximum(left - 1, 0) & 1
        return outcome >> left == self.prefix[rows, None], one == 1

    def _prior(self, rows: IntArray) -> FloatArray:
        """Vectors (m, 3) of the next bit, from the evidence given the prefix."""
        agree, one = self._ahead(rows)
        weight = self._evidence[rows] * self._known[rows] * agree
        total = np.sum(weight, axis=1)
        difference = np.sum(np.where(one, -weight, weight), axis=1)
        r = np.zeros((len(rows), 3))
        r[:, 2] = np.divide(difference, total, out=np.zeros(len(rows)), where=total > 0)
        return r


def grids(epochs: IntArray) -> FloatArray:
    """Cells (m, 12, 3) of directions in some epochs: in the first `CELLS`, in each later one these
    turned at random, in a way that everyone knows."""
    turned = [
        CELLS @ _rotations(np.random.default_rng(epoch), 1)[0].T if epoch > 1 else CELLS
        for epoch in epochs.tolist()
    ]
    return np.stack(turned) if turned else np.zeros((0, *CELLS.shape))


def _rotations(rng: np.random.Generator, count: int) -> FloatArray:
    """Rotations (count, 3, 3), uniform in SO(3)."""
    q, r = np.linalg.qr(rng.normal(size=(count, 3, 3)))
    q *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
    q[:, :, 0] *= np.linalg.det(q)[:, None]
    return np.asarray(q)
