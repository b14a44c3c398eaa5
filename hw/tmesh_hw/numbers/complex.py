"""Layouts of complex numbers and matrices."""

import operator

from amaranth import signed
from amaranth.lib import data
from tmesh.errors import InvalidInput


class Complex(data.StructLayout):
    """A complex fixed-point number: `re` and `im`, each ``signed(width)``."""

    def __init__(self, width: int) -> None:
        if operator.index(width) < 2:
            raise InvalidInput(f"width must be at least 2, not {width!r}")
        super().__init__({"re": signed(width), "im": signed(width)})
        self.width = width


def matrix(n: int, width: int) -> data.ArrayLayout:
    """An n×n matrix of `Complex`, indexed ``[row][column]``."""
    return data.ArrayLayout(data.ArrayLayout(Complex(width), n), n)
