"""The float64 device: the mathematical truth."""

import numpy as np

from tmesh import schedule
from tmesh.config import CoreConfig
from tmesh.devices import operands
from tmesh.devices.interface import (
    MINIMUM_WEIGHT,
    Device,
    DeviceInfo,
    Observation,
    check_weight,
)
from tmesh.golden import bounds, fixed, pauli, reference, rounds
from tmesh.golden.reference import ComplexArray, FloatArray
from tmesh.numbers import BoolArray, IntArray, Q


class ReferenceDevice(Device):
    """float64 NumPy; nothing is rounded to the format."""

    name = "reference"

    def __init__(self, config: str | CoreConfig = "default") -> None:
        super().__init__(config)
        self._states: FloatArray = np.zeros((0, 3))
        self._longest = 1 + operands.EXCESS * self._q.lsb

    @property
    def info(self) -> DeviceInfo:
        return DeviceInfo(self.name, self.config, "float64", 0, self.config.capacity, None, "")

    def _kron(self, a: ComplexArray, b: ComplexArray) -> ComplexArray:
        return reference.kron(a, b)

    def _conjugate(self, u: ComplexArray, x: ComplexArray) -> ComplexArray:
        return reference.conjugate(u, x)

    def _partial_trace(self, x: ComplexArray, keep: int) -> ComplexArray:
        return reference.partial_trace(x, keep)

    def _evolve(
        self, u: ComplexArray, a: ComplexArray, b: ComplexArray
    ) -> tuple[ComplexArray, ComplexArray, FloatArray]:
        p = reference.weight(u, a, b)
        near = _near(p, self._q)
        if np.any(near):
            u_near, a_near, b_near = (operands.integers(x[near], self._q) for x in (u, a, b))
            core = fixed.evolve(u_near, a_near, b_near, self._q.f)
            p[near] = np.where(core.vanished, 0.0, np.maximum(p[near], MINIMUM_WEIGHT))
        check_weight(p)
        return reference.evolve(u, a, b)

    def _purify(self, a: ComplexArray, kappa: int) -> ComplexArray:
        return reference.purify(a, kappa)

    def _purity(self, a: ComplexArray) -> FloatArray:
        return reference.trace(a @ a).real

    def _eigvalsh(self, x: ComplexArray) -> FloatArray:
        return np.asarray(np.linalg.eigvalsh(x), dtype=np.float64)

    def _eigh(self, x: ComplexArray) -> tuple[FloatArray, ComplexArray]:
        values, vectors = np.linalg.eigh(x)
        return np.asarray(values, dtype=np.float64), vectors

    def _entropy(self, x: ComplexArray) -> FloatArray:
        return reference.entropy(x)

    def _load(self, r: FloatArray) -> None:
        self._states = r.copy()

    def _write(self, agents: IntArray, r: FloatArray) -> None:
        self._states[agents] = r

    def _read(self, agents: IntArray) -> FloatArray:
        return self._states[agents]

    def _joint_state(self, u: ComplexArray, a: ComplexArray, b: ComplexArray) -> ComplexArray:
        return reference.conjugate(u, reference.kron(a, b))

    def _gossip(self, pairs: IntArray, c: FloatArray, both: bool) -> None:
        forms = c[:6].reshape(2, 3, 4, 4)
        reference.meet_in_order(self._states, pairs, forms, both, self._longest)

    def _gossip_weighted(self, pairs: IntArray, c: FloatArray, both: bool) -> BoolArray:
        r, (first, second) = self._states, pauli.forms(c)
        vanished = np.zeros(len(pairs), dtype=np.bool_)
        for events, meetings in schedule.in_levels(pairs, both, len(r)):
            a, b = meetings.T
            own, other = r[a].T, r[b].T
            *vector, p = reference.unchecked_meet(first, own, other)
            small = vanished[events] = self._vanished(p, c, own, other, both)
            p = np.where(small, 1.0, p)
            r[a] = np.where(small, own, self._shortened(vector / p)).T
            if both:
                met = self._shortened(reference.unchecked_meet(second[:3], other, own) / p)
                r[b] = np.where(small, other, met).T
        return vanished

    def _vanished(
        self, p: FloatArray, c: FloatArray, own: FloatArray, other: FloatArray, both: bool
    ) -> BoolArray:
        """Which weights (m,) are below 2⁻⁸, of meetings of vectors (3, m) under the rows `c`."""
        vanished, near = p < MINIMUM_WEIGHT, _near(p, self._q)
        if np.any(near):
            a, b = (self._q.quantise(vectors.T[near]) for vectors in (own, other))
            first, second = pauli.forms(operands.form(c, self._q))
            # Where both are written, the weight of the second counts.
            sides = (second, b, a) if both else (first, a, b)
            vanished[near] = rounds.weigh(*sides, self._q.f).vanished
        return vanished

    def _shortened(self, r: FloatArray) -> FloatArray:
        """Vectors (3, m), none longer than 1 by more than a device lets stand."""
        length = np.sqrt(np.sum(r * r, axis=0))
        return np.where(length > self._longest, r / np.maximum(length, 1), r)

    def _swap_test(self, pairs: IntArray) -> FloatArray:
        r, visibility = self._states, np.zeros(len(pairs))
        for events, meetings in schedule.in_levels(pairs, False, len(r)):
            a, b = (r[agents] for agents in meetings.T)
            visibility[events] = p = (3 + np.sum(a * b, axis=1)) / 4
            r[meetings[:, 0]] = (a + b) / (2 * p)[:, None]
        return visibility

    def _update(
        self, members: IntArray, squarings: int, dephase: bool
    ) -> tuple[FloatArray, IntArray]:
        r, z = self._states, np.zeros(len(members))
        for events, rows in schedule.in_levels(members, False, len(r)):
            there = rows >= 0
            mean = np.sum(r[rows] * there[..., None], axis=1) / np.sum(there, axis=1)[:, None]
            if dephase:
                mean[:, :2] = 0
            r[rows[:, 0]] = mean = reference.squared(mean, squarings)
            z[events] = mean[:, 2]
        return reference.binary_entropy(z), (z < 0).astype(np.int64)

    def _observe(self, agents: IntArray) -> Observation:
        r = self._states[agents]
        length, half = np.linalg.norm(r, axis=1), np.array([0.5, -0.5])
        return Observation(
            eigenvalues=0.5 - length[:, None] * half,
            entropy=reference.binary_entropy(length),
            purity=(1 + length**2) / 2,
            diagonal=0.5 + r[:, 2:] * half,
        )


def _near(p: FloatArray, q: Q) -> BoolArray:
    """Which weights are so close to 2⁻⁸ that the core's roundings may decide: the integer model is
    asked then, so that all devices refuse the same meetings.

    The core's weight is off by at most `bounds.WEIGHT`, and rounding the operands adds as much. A
    weight of half the limit is refused whatever the model says: where roundings reach that far, in
    formats below 11 bits, the weight of a core means nothing.
    """
    margin = min(4 * bounds.WEIGHT * q.lsb, MINIMUM_WEIGHT / 2)
    return np.abs(p - MINIMUM_WEIGHT) <= margin
