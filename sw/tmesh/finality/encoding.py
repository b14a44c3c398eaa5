"""Sets of agents as bitmaps: bit a of a number stands for agent a."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from tmesh.ledger.encoding import octets

#: Numbers of agents in a bitmap are below this; and the most bytes of a message of votes.
AGENTS, BYTES = 1 << 20, 1 << 24


def packed(bitmap: int) -> bytes:
    """A bitmap as bytes, little-endian, no more than it takes."""
    return bitmap.to_bytes((bitmap.bit_length() + 7) // 8, "little")


def unpacked(name: str, value: Any) -> int:
    """A bitmap from its bytes. Raises ``InvalidInput`` for anything else."""
    return int.from_bytes(octets(name, value, most=AGENTS // 8), "little")


def bits(bitmap: int) -> Iterator[int]:
    """The places of the ones, ascending."""
    for found in _SOME.finditer(packed(bitmap)):
        first, byte = 8 * found.start(), found[0][0]
        yield from (first + place for place in range(8) if byte >> place & 1)


def bitmap(places: Iterable[int]) -> int:
    """A bitmap with ones at these places."""
    places = list(places)
    data = bytearray(max(places, default=0) // 8 + 1)
    for place in places:
        data[place // 8] |= 1 << place % 8
    return int.from_bytes(data, "little")


_SOME = re.compile(rb"[^\0]")
