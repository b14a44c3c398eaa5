"""The integer model against float64 mathematics: derived bounds and the bars of the format."""

import pytest
from tmesh_sim.accuracy import measure

#: Largest measured error allowed at Q(2,16), in LSB (times the weight p where p divides it) if not
#: said otherwise.
BARS = {
    "evolve, unitary": 4,
    "evolve, any other: error·p": 4,
    "interfere": 4,
    "purify, κ = 2": 6,
    "purify, κ = 4": 6,
    "purify, κ = 8": 6,
    "entropy in mnat, 4×4 density matrices": 1,
    "entropy in mnat, 4×4 pure": 1,
    "entropy in mnat, 4×4 rank-deficient": 1,
    "entropy in mnat, 2×2 pure": 1,
}


@pytest.mark.parametrize("f", [16, 14, 12])
def test_errors_stay_within_bounds_and_bars(f: int) -> None:
    """A rounding in the wrong place, or a bound that is wrong, would fail here."""
    measured = measure(40_000, seed=f, f=f)
    assert set(BARS) <= {row.work for row in measured}
    for row in measured:
        assert row.measured <= row.bound, row
        exact = row.work.endswith(("2×2 maximally mixed", "2×2 zero"))
        assert row.measured > 0 or exact, row
        assert row.measured <= (BARS.get(row.work, row.bound) if f == 16 else row.bound), row
