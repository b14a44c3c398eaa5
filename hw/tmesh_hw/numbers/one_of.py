"""A value out of several, by gates."""

import functools
import operator
from collections.abc import Iterable
from typing import Any

from amaranth import Value


def one_of(turns: Iterable[Any], values: Iterable[Any]) -> Any:
    """The selected value, zero if none is; unsigned. At most one bit of `turns` is set.

    Not a multiplexer: a choice between zero and one value becomes a reset of many registers.
    """
    casts = map(Value.cast, values)
    chosen = [v & turn.replicate(len(v)) for turn, v in zip(turns, casts, strict=True)]
    return functools.reduce(operator.or_, chosen)
