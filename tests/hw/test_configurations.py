"""Every named configuration is elaborated, synthesised, and simulated against the model."""

import numpy as np
import pytest
import tmesh
from tmesh.config import CONFIGS
from tmesh_hw import yosys
from tmesh_hw.engine import component
from tmesh_hw.synthesis.area import ecp5_cells

#: Those for ECP5, each once: a board may have one that has another name, too.
ECP5 = list({config: name for name, config in CONFIGS.items() if name != "icebreaker"}.values())
#: `board` is simulated by tests/sim/test_board.py.
MATRIX = [name for name in ECP5 if CONFIGS[name].lanes and name != "board"]


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


@pytest.mark.parametrize("name", ECP5)
def test_synthesises_for_ecp5(name: str) -> None:
    """States in block memory, and no multiplier in logic or wider than a DSP.

    The logic itself is mapped, too, of two configurations that have all blocks between them, and of
    the microcoded one, whose multiplier Yosys finds.
    """
    config = CONFIGS[name]
    whole = name in ("sim-gossip", "narrow") or config.microcoded
    cells = ecp5_cells(component(config), yosys.SYNTH_ECP5 if whole else yosys.MACROS_ECP5)
    assert bool(cells.get("LUT4")) == whole
    assert "$mul" not in cells
    if (
        config.microcoded
    ):  # 32 for the states and what is kept with them, five for program and table
        assert (cells["MULT18X18D"], cells["DP16KD"]) == (1, 37)
        return
    wanted = 0
    if config.gossip_lanes:
        wanted += 48 * config.gossip_lanes
        if config.rounds:  # two each to weigh, for the quotient and for the entropy
            wanted += 2 + 2 + 2
        if config.agents == 4096:
            assert cells["DP16KD"] >= 12 * (config.gossip_lanes + 1)
    if config.lanes:  # four for each complex one, one to normalise, two for the entropy
        kronecker = next(n for n in (1, 2, 4, 8, 16) if 16 * config.lanes <= 104 * n)
        wanted += 4 * (config.lanes + kronecker) + 1 + 2 * bool(config.cordics)
    assert cells["MULT18X18D"] == wanted
