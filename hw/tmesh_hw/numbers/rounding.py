"""Rounding and saturation as gates, equal to `tmesh.numbers` bit for bit.

Slices and ``Cat`` of signed values are unsigned in Amaranth, so everything here shifts and casts
explicitly; use these functions instead of slicing.
"""

from typing import Any

from amaranth import Cat, Const, Mux, Value


def round_shift(value: Any, shift: int) -> Any:
    """``value / 2**shift`` rounded half to even; one bit wider than the truncated quotient.

    Adds ``2**(shift-1) - 1 + lsb`` before the shift, where ``lsb`` is the lowest kept bit: just
    short of a half for even quotients, so that ties stay even.
    """
    value = Value.cast(value)
    if shift < 0:
        raise ValueError(f"shift must not be negative, not {shift!r}")
    if shift == 0:
        return value
    odd = (value >> shift)[0]
    return (value + Const((1 << (shift - 1)) - 1, shift) + odd) >> shift


def saturate(value: Any, width: int, slack: int = 0) -> tuple[Any, Any]:
    """Clip a signed `value` to ``signed(width)``; returns it with the overflow flag.

    The flag stays low for values at most `slack` beyond the range: see `tmesh.numbers.saturate`.
    """
    value = Value.cast(value)
    if not value.shape().signed:
        value = Cat(value, Const(0, 1)).as_signed()
    if len(value) <= width:
        return value, Const(0, 1)
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    top = value[width - 1 :]
    fits = top.all() | ~top.any()
    clipped = Mux(fits, value[:width].as_signed(), Mux(value[-1], low, high))
    # Signs of differences: a comparison is another level of logic behind the carries.
    differences = value - (low - slack), (high + slack) - value
    overflow = ~fits if slack == 0 else differences[0][-1] | differences[1][-1]
    return clipped[:width].as_signed(), overflow
