"""The core behind a link: a board at a serial port, or the simulated one of `tmesh board`."""

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tmesh import checks, packets
from tmesh.config import CoreConfig
from tmesh.devices.client import EngineClient, Words
from tmesh.devices.core import device_info
from tmesh.devices.engine import EngineDevice
from tmesh.devices.interface import DeviceInfo
from tmesh.errors import NotSupported
from tmesh.link import Link, SerialTransport, Transport
from tmesh.packets import Command, Counter

#: A bundle takes longer on the line than the result of the one before it: none need be put off.
DISTANCE = 1


class LinkDevice(EngineDevice):
    """An engine at the end of a `tmesh.link.Link`.

    path: the device's name. transport, timeout, patience, clock: see `Link`. config: that of the
    board. Raises `LinkError` when the board is gone or does not answer, and so does every call
    after that, until `reconnect`; `EngineError` if the board is another.
    """

    name = "link"

    def __init__(
        self,
        path: str,
        transport: Callable[[], Transport],
        config: str | CoreConfig = "default",
        timeout: float = 5.0,
        patience: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(config)
        if not self.config.gossip_lanes:
            raise NotSupported("a board has an engine: gossip_lanes must not be 0")
        timeout, patience = (
            checks.positive("timeout", timeout),
            checks.positive("patience", patience),
        )
        self._path = path
        self.link = Link(path, transport, self.config.link, timeout, patience, clock)
        self._clock = self._counter_packet(Counter.CYCLES)
        self._client = EngineClient(self.config, DISTANCE, self._exchange)
        self.reconnect()

    @property
    def info(self) -> DeviceInfo:
        return device_info(self._path, self.config, self.config.clock_hz, self._digest)

    def reconnect(self) -> None:
        """Open the transport again and reset the engine; no states are loaded then."""
        self._resident = 0
        self.link.connect()
        try:
            self._digest = f"{self._client.identify():032x}"
        except BaseException:
            self.close()
            raise

    def _counter_packet(self, counter: Counter) -> Words:
        header = np.zeros(1, dtype=packets.HEADER)
        header["command"], header["version"] = Command.COUNTER, packets.VERSION
        header["argument"] = counter
        words = header.view(np.uint32).reshape(-1)
        parts = self.config.link // packets.INTEGER
        return np.pad(words, (0, -len(words) % parts)).reshape(-1, parts)

    def _exchange(self, words: Words, last: npt.NDArray[np.bool_], answers: int) -> Words:
        """The engine's own clock is read before and after."""
        mark = np.arange(len(self._clock)) == len(self._clock) - 1
        size = -(-8 * packets.REPLY.itemsize // self.config.link)
        replies = self.link.exchange(
            np.concatenate([self._clock, words, self._clock]),
            np.concatenate([mark, last, mark]),
            answers + 2 * size,
        )
        before, after = (
            int.from_bytes(reply.tobytes()[8:16], "little")
            for reply in (replies[:size], replies[-size:])
        )
        self._cycles += after - before
        return replies[size:-size]

    def close(self) -> None:
        self.link.close()


class SerialDevice(LinkDevice):
    """A `LinkDevice` at a serial port; see `SerialTransport` for paths."""

    name = "serial"

    def __init__(
        self, path: str, config: str | CoreConfig = "default", timeout: float = 5.0
    ) -> None:
        super().__init__(f"serial:{path}", lambda: SerialTransport(path, timeout), config, timeout)
