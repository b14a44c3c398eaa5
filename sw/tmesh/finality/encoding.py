"""Parts of messages: numbers, bitmaps, and what is to be refused before it costs anything."""

from collections.abc import Iterator
from typing import Any

import cbor2

from tmesh.errors import InvalidInput

#: Numbers in votes are below this.
LARGEST = 1 << 32


def loaded(data: bytes) -> list[Any]:
    """A CBOR array. Raises ``ValueError`` for anything else."""
    try:
        value = cbor2.loads(data)
    except (cbor2.CBORDecodeError, TypeError, ArithmeticError, RecursionError) as error:
        raise InvalidInput(f"no CBOR: {str(error)[:80]}") from None
    if not isinstance(value, list):
        raise InvalidInput(f"{type(value).__name__}, not an array")
    return value


def fields(value: Any, count: int) -> list[Any]:
    """An array of so many. Raises ``ValueError`` for anything else."""
    if not isinstance(value, list) or len(value) != count:
        raise InvalidInput(f"no array of {count}")
    return value


def number(value: Any) -> int:
    """A number below `LARGEST`. Raises ``ValueError`` for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < LARGEST:
        raise InvalidInput("no number below 2³²")
    return value


def octets(value: Any) -> bytes:
    """Bytes. Raises ``ValueError`` for anything else."""
    if not isinstance(value, bytes):
        raise InvalidInput(f"{type(value).__name__}, not bytes")
    return value


def packed(bitmap: int) -> bytes:
    """A bitmap as bytes, little-endian, no more than it takes."""
    return bitmap.to_bytes((bitmap.bit_length() + 7) // 8, "little")


def unpacked(value: Any) -> int:
    """A bitmap from its bytes."""
    return int.from_bytes(octets(value), "little")


def bits(bitmap: int) -> Iterator[int]:
    """The places of the ones."""
    while bitmap:
        low = bitmap & -bitmap
        yield low.bit_length() - 1
        bitmap ^= low
