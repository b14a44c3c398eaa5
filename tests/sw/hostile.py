"""Values that no argument may be: strategies that spoil a good one, always for the worse."""

import collections
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy import sparse


class Tagged(np.ndarray):
    """A subclass of arrays, as packages for units have them."""


def _entry(good: Any, value: object) -> list[Any]:
    """`good` as lists, with `value` for its first entry."""
    spoiled = np.asarray(good).astype(object)
    spoiled.flat[0] = value
    return spoiled.tolist()


def _ragged(good: Any) -> list[Any]:
    rows = np.asarray(good).tolist()
    return [*rows, [*np.ravel(rows[0]).tolist(), 0, 0]]


def _endless() -> list[Any]:
    """A list that holds itself twice: level by level it has twice as many entries."""
    endless: list[Any] = []
    endless += [endless, endless]
    return endless


#: Ways to spoil an array of any kind of numbers with at least one entry.
TYPES: dict[str, Callable[[Any], object]] = {
    "object": lambda good: np.asarray(good).astype(object),
    "string": lambda good: np.asarray(good).astype(str),
    "bytes": lambda good: np.full(np.shape(good), b"1"),
    "dates": lambda good: np.zeros(np.shape(good), dtype="datetime64[s]"),
    "spans": lambda good: np.zeros(np.shape(good), dtype="timedelta64[s]"),
    "truth": lambda good: np.zeros(np.shape(good), dtype=np.bool_),
    "records": lambda good: np.zeros(np.shape(good), dtype=[("re", "f8"), ("im", "f8")]),
    "masked": lambda good: np.ma.masked_array(good, mask=np.ones(np.shape(good), dtype=np.bool_)),
    "masked, no mask": lambda good: np.ma.masked_array(good),
    "masked row": lambda good: [np.ma.masked_array(row) for row in np.asarray(good)],
    "subclass": lambda good: np.asarray(good).view(Tagged),
    "matrix": lambda good: np.reshape(good, (len(good), -1)).view(np.matrix),
    "sparse": lambda good: sparse.csr_array(np.reshape(good, (len(good), -1))),
    "truth among numbers": lambda good: _entry(good, True),
    "NumPy truth among numbers": lambda good: _entry(good, np.True_),
    "nothing among numbers": lambda good: _entry(good, None),
    "word among numbers": lambda good: _entry(good, "0"),
    "huge integer": lambda good: _entry(good, 1 << 80),
    "ragged": _ragged,
    "deque": lambda good: collections.deque(np.asarray(good).tolist()),
    "row in a deque": lambda good: [collections.deque(np.ravel(row)) for row in good],
    "buffer": lambda good: bytearray(np.shape(good)[0]),
    "view of a buffer": lambda good: memoryview(np.ascontiguousarray(good)),
    "lists without an end": lambda good: _endless(),
    "word": lambda good: "half",
    "none": lambda good: None,
    "mapping": lambda good: dict(enumerate(np.ravel(good).tolist())),
    "function": lambda good: np.ravel,
}

#: And to spoil its shape.
SHAPES: dict[str, Callable[[Any], object]] = {
    "no axis": lambda good: np.asarray(good).flat[0],
    "one axis less": lambda good: np.asarray(good)[..., 0],
    "no entries": lambda good: np.zeros((0, 5), dtype=np.asarray(good).dtype),
}

#: And to spoil a last axis of fixed length.
WIDTHS: dict[str, Callable[[Any], object]] = {
    "longer last axis": lambda good: np.repeat(good, 2, axis=-1),
    "empty last axis": lambda good: np.asarray(good)[..., :0],
}

#: And numbers that are none, or have squares beyond float64.
NUMBERS = [np.nan, np.inf, -np.inf, 1e200, -1e200, 1e308, -1e308, np.float64(1e155)]


def with_number(good: Any, value: complex) -> object:
    """`good` with `value` for its first entry."""
    spoiled = np.array(good, dtype=np.result_type(np.asarray(good).dtype, np.float64))
    spoiled.flat[0] = value
    return spoiled


#: Complex numbers, of which conversion to reals would drop a part.
COMPLEX: dict[str, Callable[[Any], object]] = {
    "imaginary part": lambda good: np.asarray(good) + 0.6j,
    "imaginary part of 0": lambda good: np.asarray(good) + 0j,
    "imaginary entry": lambda good: _entry(good, 0.6j),
}

#: Floats, of which conversion to integers would drop a part; and integers that would wrap.
FLOATS: dict[str, Callable[[Any], object]] = {
    "float": lambda good: np.asarray(good, dtype=np.float64),
    "half": lambda good: np.asarray(good) + 0.5,
    "float entry": lambda good: _entry(good, 0.0),
    "float16": lambda good: np.asarray(good, dtype=np.float16),
    "unsigned": lambda good: np.asarray(good).astype(np.uint64) + np.uint64(1 << 63),
    "beyond": lambda good: np.asarray(good) + (1 << 40),
}


#: All ways to spoil an argument of each kind: complex, real, pairs of indices, indices.
KINDS: dict[str, dict[str, Callable[[Any], object]]] = {
    "complex": TYPES | SHAPES | WIDTHS,
    "real": TYPES | SHAPES | WIDTHS | COMPLEX,
    "pairs": TYPES | SHAPES | WIDTHS | FLOATS,
    "indices": TYPES | SHAPES | FLOATS,
}


def names(message: str, argument: str) -> bool:
    """Whether an error begins with the argument's name.

    It may be one of a pair, as in "a or b", or the matrix of a partial trace.
    """
    return bool(
        re.match(rf"(the partial trace of |\w+ (or|and|⊗) )?{re.escape(argument)}\b", message)
    )


def spoiled(kind: str, good: Any) -> st.SearchStrategy[object]:
    """`good`, an array of a kind, spoiled."""
    ways = [st.sampled_from(sorted(KINDS[kind])).map(lambda way: KINDS[kind][way](good))]
    if kind in ("complex", "real"):
        ways.append(st.sampled_from(NUMBERS).map(lambda value: with_number(good, value)))
    if kind == "complex":
        turned = np.asarray(good) + 0j
        ways.append(st.sampled_from(NUMBERS).map(lambda value: with_number(turned, value * 1j)))
    return st.one_of(ways)


#: Values that are no integers.
NO_INTEGERS = [
    True,
    False,
    np.True_,
    4.0,
    np.float64(2),
    "1",
    b"1",
    None,
    [1],
    np.array([1, 2]),
    1j,
    np.datetime64(1, "s"),
    np.ma.masked,
]

#: Values that are no flags.
NO_FLAGS = [0, 1, 1.0, "True", None, [True], np.int64(1)]
