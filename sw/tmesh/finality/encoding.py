"""Sets of agents as bitmaps: bit a of a number stands for agent a."""

from collections.abc import Iterator
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
    return (place for place, one in enumerate(reversed(bin(bitmap)[2:])) if one == "1")
