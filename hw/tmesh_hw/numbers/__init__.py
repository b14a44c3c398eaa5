"""Fixed-point values in gateware: rounding, saturation, complex layouts."""

from .complex import Complex, matrix
from .rounding import round_shift, saturate

__all__ = ["Complex", "matrix", "round_shift", "saturate"]
