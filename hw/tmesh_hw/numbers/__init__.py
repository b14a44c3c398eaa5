"""Fixed-point values in gateware: rounding, saturation, complex layouts."""

from .add_subtract import add_subtract
from .complex import Complex, matrix
from .rounding import round_shift, saturate

__all__ = ["Complex", "add_subtract", "matrix", "round_shift", "saturate"]
