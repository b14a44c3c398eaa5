"""The link to a board: frames over any transport of bytes, and a serial port as one."""

from tmesh.errors import LinkError
from tmesh.link.framing import Decoder, Frame, decode, encode
from tmesh.link.link import Link
from tmesh.link.transport import SerialTransport, Transport

__all__ = [
    "Decoder",
    "Frame",
    "Link",
    "LinkError",
    "SerialTransport",
    "Transport",
    "decode",
    "encode",
]
