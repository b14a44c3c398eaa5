"""A value out of several, by gates."""

import functools
import operator
from collections.abc import Iterable
from typing import Any

from amaranth import Value


def one_of(turns: Iterable[Any], values: Iterable[Any]) -> Any:
    """The value whose turn it is, zero if it is nobody's; unsigned. At most one bit of `turns` is
    set.

    Not a multiplexer: what is chosen from zero by one becomes a reset of many registers.
    """
    casts = map(Value.cast, values)
    chosen = [v & turn.replicate(len(v)) for turn, v in zip(turns, casts, strict=True)]
    return functools.reduce(operator.or_, chosen)
