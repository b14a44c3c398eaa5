"""Checks of constructor parameters, with the bad value in the message."""

import operator
from collections.abc import Iterable

from tmesh.errors import InvalidInput
from tmesh.numbers import MULTIPLIER_WIDTH


def check_fraction(f: int) -> int:
    """`f` of Q(2, f): operands of f + 2 bits must fit a multiplier."""
    if not 2 <= operator.index(f) <= MULTIPLIER_WIDTH - 2:
        raise InvalidInput(f"f must be from 2 to {MULTIPLIER_WIDTH - 2}, not {f!r}")
    return f


def check_choice(name: str, value: int, choices: Iterable[int]) -> int:
    """`value` is one of `choices`."""
    allowed = tuple(choices)
    if operator.index(value) not in allowed:
        raise InvalidInput(f"{name} must be one of {allowed}, not {value!r}")
    return value
