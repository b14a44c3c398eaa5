"""Synthesis figures."""

from tmesh_hw.blocks import ComplexMultiply
from tmesh_hw.synthesis.area import ecp5_cells


def test_a_complex_multiply_takes_four_multipliers() -> None:
    """More would mean that Yosys splits 18-bit operands."""
    cells = ecp5_cells(ComplexMultiply(width=18))
    assert cells["MULT18X18D"] == 4
    assert cells["TRELLIS_FF"] >= 18 * 4 + 36 * 4 + 37 * 2
