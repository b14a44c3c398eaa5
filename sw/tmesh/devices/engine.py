"""Common parts of all devices that have an engine behind packets."""

import contextlib
from collections.abc import Iterator

import numpy as np

from tmesh.config import CoreConfig
from tmesh.devices.client import EngineClient
from tmesh.devices.core import CoreDevice
from tmesh.devices.interface import Observation
from tmesh.golden import fixed
from tmesh.golden.reference import FloatArray
from tmesh.numbers import BoolArray, IntArray
from tmesh.opcodes import Opcode
from tmesh.packets import Counter


class EngineDevice(CoreDevice):
    """Rounds operands to the grid and has an `EngineClient` do the rest.

    A device makes the client, whose exchange adds the clocks that it takes to `_cycles`.
    """

    _client: EngineClient

    def __init__(self, config: str | CoreConfig) -> None:
        super().__init__(config)
        self._cycles = 0

    @property
    def cycles(self) -> int:
        return self._cycles

    def counters(self) -> dict[Counter, int]:
        """The engine's counters; reading them takes none of `cycles`."""
        cycles = self._cycles
        counted = {counter: self._client.counter(counter) for counter in Counter}
        self._cycles = cycles
        return counted

    def _execute(self, opcode: Opcode, u: IntArray, x: IntArray) -> fixed.Reply:
        return self._client.matrix(opcode, u, x)

    def _load(self, r: FloatArray) -> None:
        self._write(np.arange(len(r)), r)

    def _write(self, agents: IntArray, r: FloatArray) -> None:
        self._client.write_states(agents, self.config.q.quantise(r))

    def _read(self, agents: IntArray) -> FloatArray:
        return self.config.q.value(self._client.read_states(agents))

    def _gossip(self, pairs: IntArray, c: FloatArray, both: bool) -> None:
        with self._counted():
            self._client.write_operator(0, self._form(c))
            self._client.gossip(0, pairs, both)

    def _gossip_weighted(self, pairs: IntArray, c: FloatArray, both: bool) -> BoolArray:
        with self._counted():
            self._client.write_operator(0, self._form(c))
            return self._client.evolve(0, pairs, both)

    def _swap_test(self, pairs: IntArray) -> FloatArray:
        with self._counted():
            return self.config.q.value(self._client.interfere(pairs))

    def _update(
        self, members: IntArray, squarings: int, dephase: bool
    ) -> tuple[FloatArray, IntArray]:
        with self._counted():
            entropy, outcome = self._client.update(members, squarings, dephase)
        return self.config.q.value(entropy), outcome

    def _observe(self, agents: IntArray) -> Observation:
        return self._observation(self._client.observe(agents))

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """Add what saturates meanwhile; asking for it takes none of the cycles."""
        cycles = self._cycles
        before, self._cycles = self._client.counter(Counter.SATURATIONS), cycles
        yield
        cycles = self._cycles
        self.saturations += self._client.counter(Counter.SATURATIONS) - before
        self._cycles = cycles
