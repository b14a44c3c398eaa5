"""Every named configuration is elaborated, synthesised, and simulated against the model."""

import numpy as np
import pytest
import tmesh
from tmesh.config import CONFIGS
from tmesh_hw.engine import Core, Engine
from tmesh_hw.synthesis.area import ecp5_cells

MATRIX = [name for name, config in CONFIGS.items() if config.lanes]
RESIDENT = [name for name, config in CONFIGS.items() if config.gossip_lanes]


@pytest.mark.parametrize("name", MATRIX)
def test_core_and_model_agree(name: str) -> None:
    rng = np.random.default_rng(5)
    r = rng.normal(size=(2, 20, 3))
    a, b = tmesh.density(r / np.linalg.norm(r, axis=-1, keepdims=True) / 1.2)
    with tmesh.open_device("verilator", name) as core, tmesh.open_device("model", name) as model:
        for x, y in zip(core.interfere(a, b), model.interfere(a, b), strict=True):
            np.testing.assert_array_equal(x, y)
        if CONFIGS[name].cordics:
            np.testing.assert_array_equal(core.eigvalsh(a), model.eigvalsh(a))


@pytest.mark.parametrize("name", MATRIX)
def test_matrix_core_synthesises_for_ecp5(name: str) -> None:
    """No multiplier wider than a DSP: four for each complex one, one to normalise, two for the
    entropy, and those of the Kronecker product."""
    config = CONFIGS[name]
    cells = ecp5_cells(Core(config=config))
    kronecker = next(n for n in (1, 2, 4, 8, 16) if 16 * config.lanes <= 104 * n)
    wanted = 4 * (config.lanes + kronecker) + 1 + 2 * bool(config.cordics)
    assert cells["MULT18X18D"] == wanted


@pytest.mark.parametrize("name", RESIDENT)
def test_engine_synthesises_for_ecp5(name: str) -> None:
    """48 multipliers a lane, states in block memory, and no multiplier in logic."""
    cells = ecp5_cells(Engine(config=CONFIGS[name]))
    assert cells["MULT18X18D"] == 48 * CONFIGS[name].gossip_lanes
    assert cells["DP16KD"] >= 12 * (CONFIGS[name].gossip_lanes + 1)
