"""The integer model as a device: the core's bits without the core."""

import numpy as np

from tmesh.config import CoreConfig
from tmesh.devices.core import CoreDevice, device_info
from tmesh.devices.interface import DeviceInfo
from tmesh.golden import fixed, pauli
from tmesh.golden.reference import FloatArray
from tmesh.numbers import IntArray
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

    def _read(self, n: int) -> FloatArray:
        return self.config.q.value(self._states[:n])

    def _gossip(self, pairs: IntArray, c: FloatArray, both: bool) -> None:
        self._states, saturated = pauli.gossip(
            self._states, self._form(c), pairs, both, self.config.f
        )
        self.saturations += saturated
