"""The float64 device: the mathematical truth."""

import numpy as np

from tmesh import schedule
from tmesh.config import CoreConfig
from tmesh.devices.interface import Device, DeviceInfo, check_weight
from tmesh.golden import reference
from tmesh.golden.reference import ComplexArray, FloatArray
from tmesh.numbers import IntArray


class ReferenceDevice(Device):
    """float64 NumPy; nothing is rounded to the format."""

    name = "reference"

    def __init__(self, config: str | CoreConfig = "default") -> None:
        super().__init__(config)
        self._states: FloatArray = np.zeros((3, 0))

    @property
    def info(self) -> DeviceInfo:
        capacity = self.config.agents if self.config.gossip_lanes else 0
        return DeviceInfo(self.name, self.config, "float64", 0, capacity, None, "")

    def _kron(self, a: ComplexArray, b: ComplexArray) -> ComplexArray:
        return reference.kron(a, b)

    def _conjugate(self, u: ComplexArray, x: ComplexArray) -> ComplexArray:
        return reference.conjugate(u, x)

    def _partial_trace(self, x: ComplexArray, keep: int) -> ComplexArray:
        return reference.partial_trace(x, keep)

    def _evolve(
        self, u: ComplexArray, a: ComplexArray, b: ComplexArray
    ) -> tuple[ComplexArray, ComplexArray, FloatArray]:
        check_weight(reference.weight(u, a, b))
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
        self._states = r.T.copy()

    def _read(self, n: int) -> FloatArray:
        return self._states[:, :n].T.copy()

    def _gossip(self, pairs: IntArray, c: FloatArray, both: bool) -> None:
        r = self._states
        for meetings in schedule.in_levels(pairs, both, r.shape[1]):
            a, b = meetings.T
            own, other = r[:, a], r[:, b]
            r[:, a] = reference.meet(c[0], own, other)
            if both:
                r[:, b] = reference.meet(c[1], other, own)
