"""The microcoded engine: everything that resident states need, on one multiplier."""

from .engine import MicrocodedEngine

__all__ = ["MicrocodedEngine"]
