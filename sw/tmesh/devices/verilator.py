"""The core itself, Verilated, in process."""

import hashlib
from pathlib import Path

import numpy as np

from tmesh.config import CoreConfig
from tmesh.devices.core import CoreDevice
from tmesh.devices.interface import DeviceInfo
from tmesh.golden import fixed
from tmesh.numbers import IntArray
from tmesh.opcodes import Opcode


class VerilatorDevice(CoreDevice):
    """The Verilated core; built at first use and cached.

    `trace` names a waveform file (.vcd or .fst). `verilog` replaces the generated Verilog: the
    tests use it to show that a changed core is noticed.
    """

    name = "verilator"

    def __init__(
        self,
        config: str | CoreConfig = "default",
        trace: Path | None = None,
        verilog: str | None = None,
    ) -> None:
        super().__init__(config)
        # The gateware is imported only to build a simulator, so that `tmesh` works without it.
        from tmesh_hw.engine import Core
        from tmesh_hw.export import verilog as export
        from tmesh_sim.harness import VerilatedCore

        component = Core(config=self.config)
        text = export(component) if verilog is None else verilog
        self._digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._core: VerilatedCore = VerilatedCore(component, text, trace)
        self._cycles = 0

    @property
    def info(self) -> DeviceInfo:
        c = self.config
        return DeviceInfo(self.name, c, "matrix", c.lanes, 0, c.clock_hz, self._digest)

    @property
    def cycles(self) -> int:
        return self._cycles

    def _execute(self, opcode: Opcode, u: IntArray, x: IntArray) -> fixed.Reply:
        n = len(x)
        inputs = np.empty((n, 65), dtype=np.int64)
        inputs[:, 0] = opcode
        inputs[:, 1:33] = u.reshape(n, 32)
        inputs[:, 33:] = x.reshape(n, 32)
        replies, cycles = self._core.run(inputs)
        self._cycles += cycles
        return fixed.Reply(
            y=replies[:, :32].reshape(n, 4, 4, 2),
            weight=replies[:, 32],
            values=replies[:, 33:37],
            entropy=replies[:, 37],
            saturated=replies[:, 38] == 1,
            vanished=replies[:, 39] == 1,
        )

    def close(self) -> None:
        self._core.close()
