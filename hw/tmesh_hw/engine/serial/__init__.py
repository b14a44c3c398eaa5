"""The serial engine: everything that resident states need, on one multiplier."""

from .engine import SerialEngine

__all__ = ["SerialEngine"]
