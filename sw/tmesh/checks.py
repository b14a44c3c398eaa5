"""Checks of arguments: type, shape, range and finiteness, before anything is converted.

Every public call that takes numbers or arrays uses these, so one value gets one verdict everywhere.
NumPy's scalars are accepted wherever Python's are. A value that conversion would change is refused:
strings, objects, dates, truth values as numbers, floats as indices, complex numbers as reals, and
ragged lists. So are subclasses of `numpy.ndarray`, since conversion drops what they add: a mask, a
unit, another product.
"""

import operator
from collections.abc import Sequence
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from tmesh.errors import InvalidInput

#: Kinds of `numpy.dtype` that each kind of argument may have.
_KINDS = {"integers": "iu", "real numbers": "iuf", "complex numbers": "iufc"}

#: Classes of arrays that are no more than their entries.
_PLAIN = (np.ndarray, np.memmap)

#: Numbers of Python that no conversion changes; the dtype of the whole array tells their kind.
_NUMBERS = {int, float, complex}

#: Sequences that NumPy reads entry by entry, and words, which the dtype of the array tells.
_SEQUENCES = (list, tuple, range, str, bytes)

#: The most axes of an array of NumPy.
MOST_AXES = 64

_Option = TypeVar("_Option", int, str)


def integer(name: str, value: object, least: int | None = None, most: int | None = None) -> int:
    """`value` as an int from `least` to `most`. Truth values and floats are refused."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InvalidInput(f"{name} must be an integer, not {_shown(value)}") from None
    if (least is not None and number < least) or (most is not None and number > most):
        limits = f"at least {least}" if most is None else f"from {least} to {most}"
        raise InvalidInput(f"{name} must be {limits}, not {_shown(number)}")
    return number


def power_of_two(name: str, value: object) -> int:
    """`value` as 1, 2, 4 and so on."""
    number = integer(name, value, least=1)
    if number & (number - 1):
        raise InvalidInput(f"{name} must be a power of two, not {_shown(number)}")
    return number


def seed(name: str, value: object) -> int:
    """`value` as the seed of a random generator, from 0 to 2⁶⁴ − 1."""
    return integer(name, value, least=0, most=(1 << 64) - 1)


def positive(name: str, value: object) -> float:
    """`value` as a finite float greater than 0."""
    number = real(name, value)
    if not number > 0:
        raise InvalidInput(f"{name} must be positive, not {number:g}")
    return number


def real(name: str, value: object, least: float | None = None) -> float:
    """`value` as a finite float, not below `least`."""
    array = reals(name, value)
    if array.ndim:
        raise InvalidInput(f"{name} must be one number, not of shape {array.shape}")
    if least is not None and not array >= least:
        raise InvalidInput(f"{name} must be at least {least:g}, not {array:g}")
    return float(array)


def flag(name: str, value: object) -> bool:
    """`value` as a bool. Numbers and words are refused."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidInput(f"{name} must be True or False, not {_shown(value)}")
    return bool(value)


def choice(name: str, value: object, options: Sequence[_Option]) -> _Option:
    """The one of `options`, all ints or all strings, that equals `value`."""
    found: object = value
    if not isinstance(value, str | bool):
        try:
            found = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            found = None
    for option in options:
        if isinstance(found, type(option)) and not isinstance(found, bool) and found == option:
            return option
    *others, last = map(repr, options)
    allowed = f"{', '.join(others)} or {last}" if others else last
    raise InvalidInput(f"{name} must be {allowed}, not {_shown(value)}")


def items(name: str, value: object) -> list[Any]:
    """The entries of `value`, a list, a tuple or an array."""
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim):
        return list(value)
    raise InvalidInput(f"{name} must be a list, a tuple or an array, not {_shown(value)}")


def integers(name: str, value: object, form: str = "") -> npt.NDArray[np.int64]:
    """`value` as int64 of any shape; `form` describes the shape in the error.

    Floats are refused, as NumPy refuses them as indices. A list without entries is of integers.
    """
    array = _numeric(name, value, "integers", form)
    if array.dtype == np.uint64 and np.any(array > np.iinfo(np.int64).max):
        raise InvalidInput(f"{name} holds {np.max(array)}, which takes more than 64 bits")
    return array.astype(np.int64, copy=False)


def reals(name: str, value: object, reason: str = "") -> npt.NDArray[np.float64]:
    """`value` as finite float64 of any shape; `reason` ends the error where it is not finite."""
    return _finite(name, _numeric(name, value, "real numbers"), np.dtype(np.float64), reason)


def reals_or_nan(name: str, value: object) -> npt.NDArray[np.float64]:
    """`value` as float64 of any shape, NaN for entries without a value."""
    return np.array(_numeric(name, value, "real numbers"), dtype=np.float64)


def complexes(name: str, value: object) -> npt.NDArray[np.complex128]:
    """`value` as finite complex128 of any shape."""
    return _finite(name, _numeric(name, value, "complex numbers"), np.dtype(np.complex128))


def matrices(name: str, value: object, *sizes: int) -> npt.NDArray[np.complex128]:
    """`value` as finite complex128 of shape (..., n, n), n one of `sizes`."""
    array = complexes(name, value)
    if array.ndim < 2 or array.shape[-1] not in sizes or array.shape[-2] != array.shape[-1]:
        n = str(sizes[0])
        shape = f"(..., {n}, {n})"
        if len(sizes) > 1:
            shape = f"(..., n, n) with n {' or '.join(map(str, sizes))}"
        raise InvalidInput(f"{name} must have shape {shape}, not {array.shape}")
    return array


def vectors(name: str, value: object, size: int) -> npt.NDArray[np.float64]:
    """`value` as finite float64 of shape (..., size)."""
    array = reals(name, value)
    if array.ndim < 1 or array.shape[-1] != size:
        raise InvalidInput(f"{name} must have shape (..., {size}), not {array.shape}")
    return array


def rows(name: str, value: object, width: int) -> npt.NDArray[np.int64]:
    """`value` as integers (m, width); an empty list is no rows."""
    form = f" (m, {width})"
    array = integers(name, value, form)
    if array.shape == (0,) and isinstance(value, list | tuple):
        return array.reshape(0, width)
    if array.ndim != 2 or array.shape[1] != width:
        raise InvalidInput(f"{name} must be integers{form}, not {array.dtype} {array.shape}")
    return array


def column(name: str, value: object) -> npt.NDArray[np.int64]:
    """`value` as integers (m,)."""
    array = integers(name, value, " (m,)")
    if array.ndim != 1:
        raise InvalidInput(f"{name} must be integers (m,), not {array.dtype} {array.shape}")
    return array


def numbered(
    name: str, array: npt.NDArray[np.int64], end: int, things: str, least: int = 0
) -> npt.NDArray[np.int64]:
    """`array`, if it holds numbers of `things` from 0 to before `end`; with `least` −1, or −1."""
    outside = np.asarray((array < least) | (array >= end))
    if np.any(outside):
        found = array[outside].flat[0]
        if end == 0:
            raise InvalidInput(f"{name} holds {found}, but there are no {things}")
        absent = ", −1 for none" if least < 0 else ""
        raise InvalidInput(f"{name}: {things} are numbered 0 to {end - 1}{absent}, not {found}")
    return array


def different(name: str, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """`pairs` (m, 2) of agents, if no agent is paired with itself."""
    alone = pairs[:, 0] == pairs[:, 1]
    if np.any(alone):
        row = int(np.argmax(alone))
        raise InvalidInput(f"{name}: row {row} pairs agent {pairs[row, 0]} with itself")
    return pairs


def hermitian(
    name: str, array: npt.NDArray[np.complex128], tolerance: float
) -> npt.NDArray[np.complex128]:
    """`array` (..., n, n), if it equals its adjoint to within `tolerance`, entry by entry."""
    with np.errstate(over="ignore"):
        differences = np.abs(array - np.conj(np.swapaxes(array, -1, -2)))
    deviation = float(np.max(differences, initial=0.0))
    if not deviation <= tolerance:
        raise InvalidInput(
            f"{name} is not Hermitian: it differs from its adjoint by {deviation:.6g}"
        )
    return array


def finite(name: str, result: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`result`, unless float64 has no room for it: then argument `name` was too large."""
    if not np.all(np.isfinite(result)):
        raise InvalidInput(f"{name} is too large: the result is beyond float64")
    return result


def _numeric(name: str, value: object, kind: str, form: str = "") -> npt.NDArray[Any]:
    """`value` as an array of its present type, if that is one of `kind`."""
    try:
        _check_leaves(name, value, kind, form)
        array = np.asarray(value)
    except InvalidInput:
        raise
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(f"{name} must be {kind}{form}, but is no array: {reason}") from None
    if array.size == 0 and isinstance(value, list | tuple) and kind == "integers":
        return array.astype(np.int64)
    if array.dtype.kind not in _KINDS[kind]:
        raise _refusal(name, array, kind, form)
    return array


def _check_leaves(name: str, value: object, kind: str, form: str) -> None:
    """Refuse entries that a list would hide: NumPy converts truth values beside numbers, and drops
    the masks of arrays."""
    level = [value]
    for _ in range(MOST_AXES + 1):
        # Level by level and type by type: a look at every entry would take longer than NumPy does.
        types = set(map(type, level))
        for one in types - _NUMBERS:
            _check_type(name, level, one, kind, form)
        if not any(issubclass(one, list | tuple) for one in types):
            return
        lists = [entry for entry in level if isinstance(entry, list | tuple)]
        # Each list once: one that holds itself twice would have 2⁶⁴ entries in the end.
        level = list(chain.from_iterable({id(entry): entry for entry in lists}.values()))
    raise InvalidInput(f"{name} must be {kind}{form}, but its lists are over {MOST_AXES} deep")


def _check_type(name: str, level: list[Any], one: type, kind: str, form: str) -> None:
    """Refuse entries of type `one` that conversion would change."""
    if issubclass(one, np.ndarray):
        for entry in level:
            if type(entry) is not one:
                continue
            if one not in _PLAIN:
                what = f"{one.__name__} {entry.dtype} {entry.shape}"
                raise InvalidInput(f"{name} must be a plain array, not {what}")
            if entry.dtype.kind not in _KINDS[kind]:
                raise _refusal(name, entry, kind, form)
    elif issubclass(one, bool) or (
        issubclass(one, np.generic) and np.dtype(one).kind not in _KINDS[kind]
    ):
        found = next(entry for entry in level if type(entry) is one)
        raise _refusal(name, np.asarray(found), kind, form)
    elif not issubclass(one, _SEQUENCES) and hasattr(one, "__len__") and not _is_array(one):
        # NumPy reads the numbers of other containers, too, and bytes as numbers.
        raise InvalidInput(
            f"{name} must be {kind}{form} in a list, a tuple or an array, not {one.__name__}"
        )


def _is_array(one: type) -> bool:
    """Whether NumPy's protocols make arrays of a type from elsewhere."""
    return hasattr(one, "__array__") or hasattr(one, "__array_interface__")


def _refusal(name: str, array: npt.NDArray[Any], kind: str, form: str) -> InvalidInput:
    """The error for entries of another type; it shows one that conversion would change."""
    entries, changed = array.reshape(-1), np.zeros(array.size, dtype=np.bool_)
    if array.dtype.kind == "c":
        changed = np.asarray(entries.imag != 0)
    elif array.dtype.kind == "f":
        changed = np.asarray(entries != np.floor(entries))
    shown = f" with {_shown(entries[np.argmax(changed)])}" if entries.size else ""
    return InvalidInput(f"{name} must be {kind}{form}, not {array.dtype} {array.shape}{shown}")


def _finite(
    name: str, array: npt.NDArray[Any], dtype: np.dtype[Any], reason: str = ""
) -> npt.NDArray[Any]:
    """A finite array as `dtype`; numbers of extended precision must be finite in it, too."""
    with np.errstate(over="ignore"):
        converted = array.astype(dtype, copy=False)
    bad = ~np.isfinite(converted)
    if np.any(bad):
        raise InvalidInput(f"{name} holds {array[bad].flat[0]}{reason}")
    return converted


def _shown(value: object) -> str:
    """`value` on one line of moderate length."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"one of {value.bit_length()} bits"
    text = str(value) if isinstance(value, np.generic) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."
