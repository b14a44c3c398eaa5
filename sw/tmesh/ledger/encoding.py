"""Fields of messages: one check for both directions, sending and receiving.

Constructors call these functions, and decoders call the constructors. So nothing can be signed or
sent that another agent would refuse.
"""

import operator
from typing import Any, NoReturn

import cbor2

from tmesh.errors import InvalidInput

#: Numbers in messages are below this.
NUMBERS = 1 << 32


def number(name: str, value: Any, least: int = 0, below: int = NUMBERS) -> int:
    """A whole number in a range, also NumPy's. Raises `InvalidInput` for anything else."""
    try:
        found = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        found = None
    if found is None or not least <= found < below:
        last = "2³² − 1" if below == NUMBERS else shown(below - 1)
        raise InvalidInput(f"{name}: {shown(value)} is no number from {least} to {last}")
    return found


def octets(name: str, value: Any, size: int | None = None, most: int | None = None) -> bytes:
    """Bytes of a size, or of at most some. Raises `InvalidInput` for anything else."""
    if not isinstance(value, bytes) or size not in (None, len(value)):
        raise InvalidInput(f"{name}: not {'' if size is None else f'{size} '}bytes")
    if most is not None and len(value) > most:
        raise InvalidInput(f"{name}: {len(value)} bytes are more than {most}")
    return bytes(value)


def array(name: str, value: Any, count: int | None = None) -> list[Any]:
    """The items of a list or tuple. Raises `InvalidInput` for anything else."""
    if not isinstance(value, list | tuple) or count not in (None, len(value)):
        raise InvalidInput(f"{name}: no array{'' if count is None else f' of {count}'}")
    return list(value)


def loaded(data: Any, most: int) -> Any:
    """The value of CBOR data, of at most `most` bytes. Raises `InvalidInput` for anything else."""
    data = octets("message", data, most=most)
    try:
        return cbor2.loads(data, semantic_decoders=_REFUSED)
    except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:80]
        raise InvalidInput(f"no CBOR: {reason}") from None


def _refuse(*_: object) -> NoReturn:
    raise InvalidInput("a CBOR tag")


# No message has tags. Each stands for a parser, of patterns, dates or fractions: 128 KiB of a
# fraction take seconds. The tags 2 and 3, of long numbers, cost nothing; later tags have no parser.
_REFUSED = {tag: _refuse for tag in range(1 << 16) if tag not in (2, 3)}


def shown(value: Any) -> str:
    """A short text for an error message: Python refuses to print a very long number."""
    if isinstance(value, int) and value.bit_length() > 64:
        return "a huge number"
    if value is None or isinstance(value, int | float | str | bytes):
        return repr(value)[:40]
    return type(value).__name__
