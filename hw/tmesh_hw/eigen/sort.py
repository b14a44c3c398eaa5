"""Sorting of eigenvalues."""

from typing import Any

from amaranth import Module, Mux, Signal

#: Registers of one level of comparisons: one compares, one swaps.
LEVEL = 2


def sorted_pairs(m: Module, values: list[Any]) -> list[tuple[Any, Any]]:
    """Signed `values` in ascending order, each with the position it came from, ``LEVEL *
    len(values)`` cycles later: odd-even transposition, which keeps equal values in order."""
    n = len(values)
    row = [(value, position) for position, value in enumerate(values)]
    for level in range(n):
        starts = range(level % 2, n - 1, 2)
        swaps = {k: Signal(name=f"swap{level}_{k}", reset_less=True) for k in starts}
        # The sign of a difference is one carry chain; a comparison would become two.
        m.d.sync += [swap.eq((row[k + 1][0] - row[k][0]) < 0) for k, swap in swaps.items()]
        row = _registers(m, row, values[0], f"compared{level}")
        chosen = list(row)
        for k, swap in swaps.items():
            (a, i), (b, j) = row[k], row[k + 1]
            chosen[k] = (Mux(swap, b, a), Mux(swap, j, i))
            chosen[k + 1] = (Mux(swap, a, b), Mux(swap, i, j))
        row = _registers(m, chosen, values[0], f"swapped{level}")
    return row


def _registers(
    m: Module, row: list[tuple[Any, Any]], like: Any, name: str
) -> list[tuple[Any, Any]]:
    result = []
    for k, (value, position) in enumerate(row):
        kept = Signal(like.shape(), name=f"{name}_{k}", reset_less=True)
        origin = Signal(range(len(row)), name=f"{name}_from{k}", reset_less=True)
        m.d.sync += [kept.eq(value), origin.eq(position)]
        result.append((kept, origin))
    return result
