"""Tables of a scenario file: frozen, without unknown keys, and with one line for a mistake."""

import contextlib
import reprlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from tmesh.errors import InvalidInput


class Settings(BaseModel):
    """The base of every table.

    NumPy's numbers and arrays stand for Python's. Nothing else is converted: ``"8"`` and ``8.0``
    are no integers. Raises `InvalidInput` with key, rule and value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    if not TYPE_CHECKING:  # type checkers derive a signature from the fields

        def __init__(self, /, **values: Any) -> None:
            with _in_one_line():
                super().__init__(**values)

        @classmethod
        def model_validate(cls, *arguments: Any, **options: Any) -> Self:
            with _in_one_line():
                return super().model_validate(*arguments, **options)

        @classmethod
        def model_validate_json(cls, *arguments: Any, **options: Any) -> Self:
            with _in_one_line():
                return super().model_validate_json(*arguments, **options)

    @model_validator(mode="before")
    @classmethod
    def _without_numpy(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {key: plain(value) for key, value in values.items()}
        return values


def plain(value: Any) -> Any:
    """`value` with NumPy's numbers and arrays as Python's, in lists, too."""
    if isinstance(value, np.floating):
        return float(value)  # `item` does not convert a number of extended precision
    if isinstance(value, np.complexfloating):
        return complex(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


@contextlib.contextmanager
def _in_one_line() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        raise InvalidInput(_line(error)) from None


def _line(error: ValidationError) -> str:
    """The first mistake. A rule of ours names its key itself, unless it is one of a table below."""
    first = error.errors()[0]
    names = [str(one) for one in first["loc"]]
    key = ".".join(one if one.isidentifier() or one.isdecimal() else repr(one) for one in names)
    if first["type"] == "value_error":
        return f"{key}: {first['ctx']['error']}" if key else str(first["ctx"]["error"])
    return f"{key}: {first['msg']}, not {reprlib.repr(first['input'])}"
