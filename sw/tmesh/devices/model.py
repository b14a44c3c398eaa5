"""The integer model as a device: the core's bits without the core."""

from collections.abc import Iterator

import numpy as np

from tmesh import schedule
from tmesh.config import CoreConfig
from tmesh.devices.core import CoreDevice, device_info
from tmesh.devices.interface import DeviceInfo, Observation
from tmesh.golden import fixed, pauli, rounds
from tmesh.golden.reference import FloatArray
from tmesh.numbers import BoolArray, IntArray
from tmesh.opcodes import Opcode


class ModelDevice(CoreDevice):
    """Integer NumPy, bit-exact with the core."""

    name = "model"

    def __init__(self, config: str | CoreConfig = "default") -> None:
        super().__init__(config)
        self._states: IntArray = np.zeros((0, 3), dtype=np.int64)

    @property
    def info(self) -> DeviceInfo:
        return device_info(self.name, self.config, None, "")

    def _execute(self, opcode: Opcode, u: IntArray, x: IntArray) -> fixed.Reply:
        return fixed.execute(opcode, u, x, self.config.f)

    def _load(self, r: FloatArray) -> None:
        self._states = self.config.q.quantise(r)

    def _write(self, agents: IntArray, r: FloatArray) -> None:
        self._states[agents] = self.config.q.quantise(r)

    def _read(self, agents: IntArray) -> FloatArray:
        return self.config.q.value(self._states[agents])

    def _gossip(self, pairs: IntArray, c: FloatArray, both: bool) -> None:
        self._states, saturated = pauli.gossip(
            self._states, self._form(c), pairs, both, self.config.f
        )
        self.saturations += saturated

    def _gossip_weighted(self, pairs: IntArray, c: FloatArray, both: bool) -> BoolArray:
        f, (first, second) = self.config.f, pauli.forms(self._form(c))
        vanished = np.zeros(len(pairs), dtype=np.bool_)
        for events, meetings in self._in_levels(pairs, both):
            a, b = meetings.T
            own, other = self._states[a], self._states[b]
            # Where both are written, the weight of the second counts: it comes first.
            sides = [(b, rounds.weigh(second, other, own, f))] if both else []
            sides += [(a, rounds.weigh(first, own, other, f))]
            there = ~sides[0][1].vanished
            vanished[events] = ~there
            for agents, fraction in sides:
                r = self._settle(fraction, 0, there)
                self._states[agents[there]] = r[there]
        return vanished

    def _swap_test(self, pairs: IntArray) -> FloatArray:
        visibility = np.zeros(len(pairs), dtype=np.int64)
        for events, meetings in self._in_levels(pairs, False):
            a, b = self._states[meetings.T]
            fraction = rounds.interfere(a, b, self.config.f)
            self._states[meetings[:, 0]] = self._settle(fraction, 0)
            visibility[events] = rounds.visibility(fraction, self.config.f)
        return self.config.q.value(visibility)

    def _update(
        self, members: IntArray, squarings: int, dephase: bool
    ) -> tuple[FloatArray, IntArray]:
        f = self.config.f
        result = np.zeros((len(members), 3), dtype=np.int64)
        for events, rows in self._in_levels(members, False):
            own, others = self._states[rows[:, 0]], self._states[rows[:, 1:]]
            fraction = rounds.mean(own, others, rows[:, 1:] >= 0, dephase, f)
            self._states[rows[:, 0]] = result[events] = self._settle(fraction, squarings)
        entropy = self.config.q.value(rounds.outcome_entropy(result, f))
        return entropy, (result[:, 2] < 0).astype(np.int64)

    def _observe(self, agents: IntArray) -> Observation:
        return self._observation(rounds.observe(self._states[agents], self.config.f))

    def _in_levels(self, members: IntArray, both: bool) -> Iterator[tuple[IntArray, IntArray]]:
        return schedule.in_levels(members, both, len(self._states))

    def _settle(
        self, fraction: rounds.Fraction, squarings: int, counted: BoolArray | bool = True
    ) -> IntArray:
        r, saturated = rounds.settle(fraction, squarings, self.config.f)
        self.saturations += int(np.count_nonzero(saturated & counted))
        return r
