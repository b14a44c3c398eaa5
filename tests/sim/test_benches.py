"""The cocotb benches from plain pytest: exported Verilog on Verilator, bit for bit."""

from pathlib import Path

import pytest
from tmesh_sim.benches.runner import BENCHES, run


@pytest.mark.parametrize(("name", "f", "lanes"), BENCHES)
def test_bench(name: str, f: int, lanes: int, tmp_path: Path) -> None:
    run(name, f, lanes, tmp_path, transactions=80, seed=f + lanes)
