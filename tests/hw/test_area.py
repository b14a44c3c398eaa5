"""Synthesis figures."""

from tmesh_hw.blocks import ComplexMultiply
from tmesh_hw.synthesis.area import ecp5_cells


def test_a_complex_multiply_takes_four_multipliers() -> None:
    """More would mean that Yosys splits 18-bit operands."""
    cells = ecp5_cells(ComplexMultiply(width=18))
    assert cells["MULT18X18D"] == 4
    # Results, and whether they are valid: all other registers are those of the multipliers.
    assert cells["TRELLIS_FF"] <= 37 * 2 + 2 * ComplexMultiply.latency
