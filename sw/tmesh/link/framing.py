"""Frames to bytes and back: `tmesh.frames` in NumPy, stuffing by `cobs`, the CRC by `zlib`."""

import dataclasses
import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from cobs import cobs

from tmesh import frames
from tmesh.frames import Kind
from tmesh.packets import fields

Words = npt.NDArray[np.uint32]
Bools = npt.NDArray[np.bool_]

#: Bytes without the end of a frame after which they are not one: many times what a sender makes.
LONGEST = 4 * 1024


@dataclasses.dataclass(frozen=True)
class Frame:
    """A frame; see `tmesh.frames` for its fields.

    words: (n, link/32). last: which of them end a packet (n,). link: bits of a word. version: of
    the frame; only that of a RESET may be another.
    """

    kind: Kind
    session: int
    position: int
    acknowledged: int
    limit: int
    words: Words
    last: Bools
    link: int
    version: int = frames.VERSION


def encode(frame: Frame) -> bytes:
    """The bytes of a frame on the wire, the zero at its end included."""
    header = np.zeros(1, dtype=frames.HEADER)
    header["kind"] = frames.first_byte(frame.kind, frame.link)
    for name in ("session", "position", "acknowledged", "limit"):
        header[name] = getattr(frame, name)
    groups = np.empty((len(frame.words), frame.link // 8 + 1), dtype=np.uint8)
    groups[:, :-1] = np.ascontiguousarray(frame.words, dtype="<u4").view(np.uint8)
    groups[:, -1] = frame.last
    content = header.tobytes() + groups.tobytes()
    check = zlib.crc32(content).to_bytes(frames.CRC_BYTES, "little")
    return bytes(cobs.encode(content + check)) + b"\0"


def decode(stuffed: bytes, link: int) -> Frame | None:
    """The frame of what comes before a zero; None if it is damaged, or of another version.

    A RESET is read whatever its version and the size of its words.
    """
    try:
        content = bytes(cobs.decode(stuffed))
    except cobs.DecodeError:
        return None
    start, end = frames.HEADER.itemsize, len(content) - frames.CRC_BYTES
    if end < start or zlib.crc32(content[:end]) != int.from_bytes(content[end:], "little"):
        return None
    (header,) = np.frombuffer(content[:start], dtype=frames.HEADER)
    first = int(header["kind"])
    kind, code, version = fields(frames.KIND, first).values()
    if kind not in list(Kind):
        return None
    if kind != Kind.RESET and first != frames.first_byte(Kind(kind), link):
        return None
    body = np.frombuffer(content[start:end], dtype=np.uint8)
    size = link // 8 + 1
    if len(body) % size or (kind == Kind.RESET and len(body)):
        return None
    groups = body.reshape(-1, size)
    return Frame(
        kind=Kind(kind),
        session=int(header["session"]),
        position=int(header["position"]),
        acknowledged=int(header["acknowledged"]),
        limit=int(header["limit"]),
        words=np.ascontiguousarray(groups[:, :-1]).view("<u4").reshape(-1, link // 32),
        last=groups[:, -1] & 1 == 1,
        link=32 << code,
        version=version,
    )


class Decoder:
    """Frames from bytes as they come, in pieces of any size."""

    def __init__(self, link: int) -> None:
        self.link, self._rest = link, b""

    def feed(self, data: bytes) -> Iterator[Frame | None]:
        """The frames that are complete now, None for one that is damaged."""
        *pieces, self._rest = (self._rest + data).split(b"\0")
        self._rest = self._rest[-LONGEST:]
        for piece in pieces:
            if piece:
                yield decode(piece, self.link)
