"""Frames to bytes and back: `tmesh.frames` in NumPy, stuffing by `cobs`, the CRC by `zlib`."""

import dataclasses
import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from cobs import cobs

from tmesh import checks, frames
from tmesh.errors import InvalidInput
from tmesh.frames import Kind
from tmesh.packets import fields

Words = npt.NDArray[np.uint32]
Bools = npt.NDArray[np.bool_]

#: The most bytes of a stuffed frame: the receiver keeps no more while it waits for the zero at the
#: end. A sender's own frames have a tenth of it.
LONGEST = 4 * 1024

#: Bits of a word, by the code in a frame; the last is in no use, but a RESET may come with it.
_LINKS = tuple(32 << code for code in range(1 << frames.KIND["link"]))


@dataclasses.dataclass(frozen=True)
class Frame:
    """A frame; see `tmesh.frames` for its fields.

    words: (n, link/32). last: which of them end a packet (n,). link: bits of a word. version: of
    the frame; only that of a RESET may be another.

    Raises `InvalidInput` for fields that no frame has. The rules are the same for sent and received
    frames.
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

    def __post_init__(self) -> None:
        if not isinstance(self.kind, Kind):
            raise InvalidInput(f"kind must be a Kind, not {self.kind!r}")
        limits = dict.fromkeys(("session", "position", "acknowledged", "limit"), 1 << 16)
        for name, limit in {**limits, "version": 1 << frames.KIND["version"]}.items():
            checks.integer(name, getattr(self, name), 0, limit - 1)
        checks.choice("link", self.link, _LINKS if self.kind == Kind.RESET else _LINKS[:-1])
        for name in ("words", "last"):
            if not isinstance(getattr(self, name), np.ndarray):
                found = type(getattr(self, name)).__name__
                raise InvalidInput(f"{name} must be an array, not {found}")
        shape = (self.words.shape[0] if self.words.ndim else 0, self.link // 32)
        if self.words.dtype != np.uint32 or self.words.shape != shape:
            raise InvalidInput(
                f"words must be uint32 {shape}, not {self.words.dtype} {self.words.shape}"
            )
        if self.last.dtype != np.bool_ or self.last.shape != shape[:1]:
            raise InvalidInput(
                f"last must be bool {shape[:1]}, not {self.last.dtype} {self.last.shape}"
            )
        if self.kind == Kind.RESET:
            if len(self.words):
                raise InvalidInput(f"words: a RESET has none, not {len(self.words)}")
        elif self.version != frames.VERSION:
            raise InvalidInput(f"version: only a RESET has another one, not {self.version}")


def encode(frame: Frame) -> bytes:
    """The bytes of a frame on the wire, the zero at its end included.

    Raises `InvalidInput` where they would be more than a receiver keeps.
    """
    header = np.zeros(1, dtype=frames.HEADER)
    header["kind"] = frames.first_byte(frame.kind, frame.link, frame.version)
    for name in ("session", "position", "acknowledged", "limit"):
        header[name] = getattr(frame, name)
    groups = np.empty((len(frame.words), frame.link // 8 + 1), dtype=np.uint8)
    groups[:, :-1] = np.ascontiguousarray(frame.words, dtype="<u4").view(np.uint8)
    groups[:, -1] = frame.last
    content = header.tobytes() + groups.tobytes()
    check = zlib.crc32(content).to_bytes(frames.CRC_BYTES, "little")
    stuffed = bytes(cobs.encode(content + check))
    if len(stuffed) > LONGEST:
        raise InvalidInput(f"words: {len(frame.words)} make {len(stuffed)} bytes, over {LONGEST}")
    return stuffed + b"\0"


def decode(stuffed: bytes, link: int) -> Frame | None:
    """The frame before a zero; None if it is damaged, or of another version.

    A RESET is read whatever its version and the size of its words.
    """
    if len(stuffed) > LONGEST:
        return None
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
        words=np.ascontiguousarray(groups[:, :-1]).view("<u4").reshape(-1, 1 << code),
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
        self._rest = self._rest[-LONGEST - 1 :]  # one more, so that it is known to be too long
        for piece in pieces:
            if piece:
                yield decode(piece, self.link)
