"""Functions that Numba compiles; they are kept between runs, and importing them writes nothing."""

import functools
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numba
from numba import njit

from tmesh.errors import FileError
from tmesh.files import cache_folder

P = ParamSpec("P")
R = TypeVar("R")

#: Numba reads the folder of its cache from a global setting, which other packages use too.
_settings: Any = numba.config
_lock = threading.Lock()


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, compiled at its first call.

    ``njit(cache=True)`` looks for a folder that it can write while its module is imported, and
    refuses to be imported without one. Here the search happens at the first call and in
    `tmesh.files.cache_folder`. If the folder is missing or full, the function is compiled without
    being kept. A function that other compiled functions call is a plain ``njit``.
    """

    @functools.cache
    def kept() -> Callable[..., R]:
        with _lock:
            before = _settings.CACHE_DIR
            try:
                _settings.CACHE_DIR = before or str(cache_folder() / "numba")
                return njit(cache=True)(function)
            except (FileError, RuntimeError):
                return plain()
            finally:
                _settings.CACHE_DIR = before

    @functools.cache
    def plain() -> Callable[..., R]:
        return njit()(function)

    @functools.wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> R:
        try:
            return kept()(*arguments, **named)
        except OSError:  # nothing compiled does input or output, so this is the cache
            return plain()(*arguments, **named)

    return call
