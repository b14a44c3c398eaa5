"""Fixed-point values in gateware: rounding, saturation, complex layouts."""

from .add_subtract import add_subtract
from .complex import Complex, matrix
from .copies import copies
from .delayed import delayed
from .multiply import MULTIPLY_LATENCY, multiply
from .one_of import one_of
from .rounding import clip, round_shift, saturate

__all__ = [
    "MULTIPLY_LATENCY",
    "Complex",
    "add_subtract",
    "clip",
    "copies",
    "delayed",
    "matrix",
    "multiply",
    "one_of",
    "round_shift",
    "saturate",
]
