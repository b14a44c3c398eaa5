"""The core itself, Verilated, in process."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tmesh.config import CoreConfig
from tmesh.devices.client import EngineClient, Words
from tmesh.devices.core import device_info
from tmesh.devices.engine import EngineDevice
from tmesh.devices.interface import DeviceInfo
from tmesh.golden import fixed
from tmesh.numbers import IntArray
from tmesh.opcodes import Opcode

if TYPE_CHECKING:
    from tmesh_sim.harness import Source


class VerilatorDevice(EngineDevice):
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
        from tmesh_hw.digest import build_digest
        from tmesh_hw.engine import core_layouts, distance, word_layout
        from tmesh_sim.harness import VerilatedCore

        digest = build_digest(self.config)
        self._digest = f"{digest:032x}"
        resident, word = bool(self.config.gossip_lanes), word_layout(self.config.link)
        layouts = (word, word) if resident else core_layouts(self.config)
        self._core: VerilatedCore = VerilatedCore(layouts, self._source(digest, verilog), trace)
        if resident:
            self._client = EngineClient(
                self.config, distance(self.config.gossip_lanes), self._exchange
            )
            self._client.identify(digest)

    def _source(self, digest: int, verilog: str | None) -> "Source":
        """The simulated design."""
        from tmesh_hw.engine import component
        from tmesh_hw.export import simulation_verilog
        from tmesh_sim.harness import Source

        return Source(
            lambda: verilog or simulation_verilog(component(self.config, digest)),
            verilog or self._digest,
        )

    @property
    def info(self) -> DeviceInfo:
        return device_info(self.name, self.config, self.config.clock_hz, self._digest)

    def _execute(self, opcode: Opcode, u: IntArray, x: IntArray) -> fixed.Reply:
        if self.config.gossip_lanes:
            return super()._execute(opcode, u, x)
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

    def _exchange(self, words: Words, last: npt.NDArray[np.bool_], answers: int) -> Words:
        rows = np.empty((len(words), words.shape[1] + 1), dtype=np.int32)
        rows[:, :-1] = words.view(np.int32)
        rows[:, -1] = last
        replies, cycles = self._core.run(rows, answers)
        self._cycles += cycles
        return np.ascontiguousarray(replies[:, :-1]).astype(np.uint32)

    def close(self) -> None:
        self._core.close()
