"""The integer model as a device: the core's bits without the core."""

from tmesh.devices.core import CoreDevice
from tmesh.devices.interface import DeviceInfo
from tmesh.golden import fixed
from tmesh.numbers import IntArray
from tmesh.opcodes import Opcode


class ModelDevice(CoreDevice):
    """Integer NumPy, bit-exact with the core."""

    name = "model"

    @property
    def info(self) -> DeviceInfo:
        return DeviceInfo(self.name, self.config, "matrix", self.config.lanes, 0, None, "")

    def _execute(self, opcode: Opcode, u: IntArray, x: IntArray) -> fixed.Reply:
        return fixed.execute(opcode, u, x, self.config.f)
