"""Stream payloads as flat integer rows: one column for each leaf of a layout, in layout order; a
leaf that an int64 does not hold has a column for every 32 bits."""

import dataclasses
from typing import Any

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import data
from tmesh.numbers import IntArray

#: Bits of the widest leaf that is one column, and of the columns of wider ones.
WIDEST, PART = 62, 32


@dataclasses.dataclass(frozen=True)
class Field:
    """One leaf of a payload."""

    width: int
    signed: bool


def fields(layout: Any) -> list[Field]:
    """Leaves of an Amaranth layout, lowest bits first (zero-width members have none)."""
    if isinstance(layout, data.StructLayout):
        return [leaf for _, member in layout for leaf in fields(member.shape)]
    if isinstance(layout, data.ArrayLayout):
        return [leaf for _ in range(layout.length) for leaf in fields(layout.elem_shape)]
    shape = Shape.cast(layout)
    if 0 < shape.width <= WIDEST:
        return [Field(shape.width, shape.signed)]
    whole, rest = divmod(shape.width, PART)
    top = [Field(rest, shape.signed)] if rest else []
    return [Field(PART, False)] * whole + top


def ports(component: Any) -> tuple[Any, Any]:
    """Layouts of the payloads of streams `i` and `o`."""
    return component.i.payload.shape(), component.o.payload.shape()


def pack(row: IntArray, layout: list[Field]) -> int:
    """A row as the bits of the payload."""
    bits, at = 0, 0
    for value, field in zip(row.tolist(), layout, strict=True):
        bits |= (value & ((1 << field.width) - 1)) << at
        at += field.width
    return bits


def unpack(bits: int, layout: list[Field]) -> IntArray:
    """The bits of a payload as a row."""
    row = []
    for field in layout:
        value = bits & ((1 << field.width) - 1)
        if field.signed and value >> (field.width - 1):
            value -= 1 << field.width
        row.append(value)
        bits >>= field.width
    return np.array(row, dtype=np.int64)


def rows(*members: Any) -> IntArray:
    """Concatenate batches (n, ...) of members into rows (n, fields)."""
    arrays = [np.asarray(member, dtype=np.int64) for member in members]
    return np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)
