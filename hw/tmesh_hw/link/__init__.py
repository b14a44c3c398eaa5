"""The link to the host: frames over any transport of bytes, and a serial line as one."""

from .cobs import CobsDecoder, CobsEncoder
from .link import Link
from .linked_engine import LinkedEngine, SerialEngine
from .queues import CommitQueue, ReplayQueue
from .receiver import FrameReceiver
from .sender import FrameSender
from .uart import UartReceiver, UartTransmitter

__all__ = [
    "CobsDecoder",
    "CobsEncoder",
    "CommitQueue",
    "FrameReceiver",
    "FrameSender",
    "Link",
    "LinkedEngine",
    "ReplayQueue",
    "SerialEngine",
    "UartReceiver",
    "UartTransmitter",
]
