"""Transports that carry the bytes of a link."""

from typing import Protocol

import serial

from tmesh.errors import InvalidInput
from tmesh.frames import BAUD

#: Seconds that a read waits for the first byte.
MOMENT = 0.02

#: Bits per second that a port may have.
RATES = range(1, 1 << 31)


class Transport(Protocol):
    """Bytes to and from a board, in order; they may be lost, changed or added on the way.

    All raise ``OSError`` when the board is gone.
    """

    def read(self) -> bytes:
        """The bytes that have come; none, if none come within a moment."""

    def write(self, data: bytes) -> None:
        """Send `data`, at once or soon."""

    def close(self) -> None:
        """Let go of the board; more than once does no harm."""


class SerialTransport:
    """A serial port, or another port of pyserial (``socket://host:port``, ``rfc2217://…``).

    path: of the port; ``PATH?baud=N`` sets its bits per second. timeout: seconds after which a
    write that the board does not take is given up.
    """

    def __init__(self, path: str, timeout: float) -> None:
        name, _, option = path.partition("?baud=")
        rate = int(option) if option.isdecimal() else 0
        if not option:
            rate = BAUD
        if not name or rate not in RATES:
            raise InvalidInput(f"serial port must be PATH or PATH?baud=N, not {path!r}")
        try:
            # No other process may use the port meanwhile.
            self._port = serial.serial_for_url(
                name, rate, timeout=MOMENT, write_timeout=timeout, exclusive=True
            )
        except (ValueError, OverflowError) as error:  # a scheme or a rate that pyserial lacks
            raise InvalidInput(f"serial port {path!r}: {error}") from None

    def read(self) -> bytes:
        """See `Transport`."""
        first = bytes(self._port.read(1))
        return first + bytes(self._port.read(self._port.in_waiting)) if first else first

    def write(self, data: bytes) -> None:
        """See `Transport`."""
        self._port.write(data)

    def close(self) -> None:
        """See `Transport`."""
        self._port.close()
