"""Rounding and saturation as gates, equal to `tmesh.numbers` bit for bit.

Slices and ``Cat`` of signed values are unsigned in Amaranth, so everything here shifts and casts
explicitly; use these functions instead of slicing.
"""

from collections.abc import Callable
from typing import Any

from amaranth import Cat, Const, Mux, Value
from tmesh.errors import InvalidInput


def round_shift(value: Any, shift: int) -> Any:
    """``value / 2**shift`` rounded half to even; one bit wider than the truncated quotient.

    Adds ``2**(shift-1) - 1 + lsb`` before the shift, where ``lsb`` is the lowest kept bit: just
    short of a half for even quotients, so that ties stay even.
    """
    value = Value.cast(value)
    if shift < 0:
        raise InvalidInput(f"shift must not be negative, not {shift!r}")
    if shift == 0:
        return value
    odd = value.shift_right(shift)[:1]
    return (value + Const((1 << (shift - 1)) - 1, shift) + odd).shift_right(shift)


def saturate(value: Any, width: int, slack: int = 0) -> tuple[Any, Any]:
    """Clip a signed `value` to ``signed(width)``; returns it with the overflow flag.

    The flag stays low for values at most `slack` beyond the range: see `tmesh.numbers.saturate`.
    """
    value, terms = clip(value, width, slack)
    return value, terms.any()


def clip(
    value: Any, width: int, slack: int = 0, kept: Callable[[Any], Any] = lambda value: value
) -> tuple[Any, Any]:
    """`saturate` whose flag is in two bits, any of which counts: a register may be between.

    `slack` is 0 or a power of two, so that no carry is needed. kept: puts into a register what is
    known half-way.
    """
    if slack & (slack - 1):
        raise InvalidInput(f"slack must be 0 or a power of two, not {slack!r}")
    value = Value.cast(value)
    if not value.shape().signed:
        value = Cat(value, Const(0, 1)).as_signed()
    if len(value) <= width:
        return kept(value), Const(0, 2)
    # How far above its bits are from 0 or −1; and whether those below are, for either sign, since
    # to ask for it first takes a wire to all of them.
    sign = value[-1]
    away = value[width - 1 : -1] ^ sign.replicate(len(value) - width)
    below = value[max(0, slack.bit_length() - 1) : width - 1]
    far, by_one = kept(away[1:].any()), kept(away[0])
    near = kept(Cat(below.any(), ~below.all())) if slack else Const(0b11, 2)
    fits, value = kept(~away.any()), kept(Cat(value[: width - 1], sign))
    limit = ~value[-1].replicate(width - 1)
    flags = Cat(far, by_one & Mux(value[-1], near[1], near[0]))
    return Cat(Mux(fits, value[:-1], limit), value[-1]).as_signed(), flags
