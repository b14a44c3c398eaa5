"""Frames of the link: one definition for gateware, host and documentation.

A link carries two streams of the engine's words, commands one way and replies the other. The
transport must keep the order of bytes; it may lose, change or add some. Words are counted from the
last reset, modulo 2¹⁶, and a frame says which of them it carries. So a receiver recognises repeated
and missing words. Fields are little-endian.

A frame is a header, words, and the CRC-32 of all before it (ISO-HDLC, the one of zlib). Each word
is followed by a byte that is 1 if it ends its packet. On the wire it is stuffed (COBS), and a zero
byte ends it.
"""

import enum
from collections.abc import Iterator

import numpy as np

#: Raised when a layout or a meaning changes. A RESET keeps its layout in all versions.
VERSION = 1

#: Header of a frame.
HEADER = np.dtype(
    [
        ("kind", "u1"),
        ("session", "<u2"),
        ("position", "<u2"),
        ("acknowledged", "<u2"),
        ("limit", "<u2"),
    ]
)

#: The meaning of each of its fields.
MEANING = {
    "kind": "see below",
    "session": "chosen by the host at a RESET; frames of another one are ignored",
    "position": "number of the first word in this frame, or of the next one to come",
    "acknowledged": "number of the next word that the sender expects",
    "limit": "number of the first word without room at the sender",
}

#: Bits of `kind`, lowest first; `link` is log₂ of the 32-bit parts of a word.
KIND = {"kind": 2, "link": 2, "version": 4}

#: Bits of a position.
POSITION_BITS = 16

#: Bytes of the CRC.
CRC_BYTES = 4

#: Bits per second of a serial port, unless told otherwise.
BAUD = 3_000_000


class Kind(enum.IntEnum):
    """The purpose of a frame."""

    meaning: str

    def __new__(cls, value: int, meaning: str = "") -> "Kind":
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    DATA = 0, "words; without words it only acknowledges"
    AGAIN = 1, "the same, and asks for a frame from the acknowledged position on"
    RESET = 2, "a new session: forget all words, reset the engine; answered by its like"


def link_code(link: int) -> int:
    """`link` of `KIND` for words of `link` bits."""
    return (link // 32).bit_length() - 1


def first_byte(kind: Kind, link: int, version: int = VERSION) -> int:
    """The field `kind` of a header."""
    return kind | link_code(link) << KIND["kind"] | version << KIND["kind"] + KIND["link"]


def words_per_frame(link: int) -> int:
    """Words that a sender puts into a frame: the longer frames are, the more of them are damaged.
    Receivers take any number."""
    return 1024 // link


def tables() -> Iterator[str]:
    """The definitions as Markdown tables; docs/link.md has them, and a test holds it to them."""
    rows = [
        f"| `{name}` | {8 * HEADER[name].itemsize} | {MEANING[name]} |"
        for name in HEADER.names or ()
    ]
    yield "\n".join(["| header | bits | meaning |", "|---|--:|---|", *rows])
    yield "\n".join(
        ["| `kind` | bits |", "|---|--:|", *(f"| `{n}` | {b} |" for n, b in KIND.items())]
    )
    kinds = (f"| {kind.name} | {kind.value} | {kind.meaning} |" for kind in Kind)
    yield "\n".join(["| kind | number | meaning |", "|---|--:|---|", *kinds])
