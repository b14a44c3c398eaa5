"""The cocotb benches from plain pytest: exported Verilog on Verilator, bit for bit."""

from pathlib import Path

import numpy as np
import pytest
from tmesh.golden import pauli, reference
from tmesh_sim.benches import rate
from tmesh_sim.benches.runner import BENCHES, run
from tmesh_sim.engine_packets import engine_config


@pytest.mark.parametrize(("name", "f", "lanes"), BENCHES)
def test_bench(name: str, f: int, lanes: int, tmp_path: Path) -> None:
    run(name, f, lanes, tmp_path, transactions=80, seed=f + lanes)


def test_what_is_timed_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to build the engine give the model's replies, and a time."""
    monkeypatch.setattr(rate, "CXXFLAGS", "-O0")
    config, rng = engine_config(14, 1), np.random.default_rng(1)
    r = rng.integers(-9000, 9000, (config.agents, 3))
    form = config.q.quantise(pauli.rows(reference.partial_swap(0.5)))
    pairs = np.array([[0, 1], [1, 2], [2, 0], [3, 4]])
    measured = dict(rate.seconds(config, r, form, pairs, repeats=2))
    assert list(measured) == ["as it comes", "ports alone, -O0"]
    assert min(measured.values()) > 0
