"""The swarm: consensus on every device, conserved means, scenario mistakes."""

from pathlib import Path

import numpy as np
import pytest
import tmesh
from tmesh.golden.reference import partial_swap
from tmesh.swarm import Scenario, genesis


def test_default_scenario_decides() -> None:
    """Everyone collapses, on one outcome."""
    result = tmesh.run(Scenario.default(), device=tmesh.open_device("reference"))
    assert result.decided == 1
    assert result.disagreements == 0
    assert result.rounds < 40


def test_same_scenario_and_seed_give_the_same_bits_on_model_and_core() -> None:
    scenario = Scenario(agents=24, k=4, radius=0.5)
    with tmesh.open_device("verilator") as core, tmesh.open_device("model") as model:
        on_core, on_model = tmesh.run(scenario, core, 3), tmesh.run(scenario, model, 3)
    np.testing.assert_array_equal(on_core.states, on_model.states)
    assert on_core.cycles is not None
    assert on_core.cycles > 0
    assert on_model.cycles is None


def test_seed_decides_everything() -> None:
    scenario = Scenario(agents=16, k=3, radius=0.6)
    device = tmesh.open_device("model")
    first, again, other = (tmesh.run(scenario, device, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.states, again.states)
    assert not np.array_equal(first.states, other.states)


@pytest.mark.parametrize("name", ["reference", "model"])
def test_evolve_conserves_the_population_mean(name: str) -> None:
    """a' + b' = a + b for the partial swap, to 2 LSB an event on the fixed-point devices."""
    rng = np.random.default_rng(1)
    n, events, lsb = 400, 50, 2.0**-16
    r = rng.normal(size=(n, 3))
    r *= rng.random((n, 1)) / np.linalg.norm(r, axis=1, keepdims=True)
    device = tmesh.open_device(name)
    rho = tmesh.density(np.rint(r / (2 * lsb)) * 2 * lsb)
    before = rho.mean(axis=0)
    for _ in range(events):
        order = rng.permutation(n).reshape(2, -1)
        u = partial_swap(rng.uniform(0, np.pi / 2, n // 2))
        rho[order[0]], rho[order[1]] = device.evolve(u, rho[order[0]], rho[order[1]])
    bound = 1e-12 if name == "reference" else 2 * events * lsb
    assert np.max(np.abs(rho.mean(axis=0) - before)) <= bound


def test_contraction_law() -> None:
    """E‖e_t‖² = (1 − (k−1)/(n−1))^t ‖e_0‖² when random k-subsets take their mean."""
    rng = np.random.default_rng(2)
    n, steps, runs = 16, 12, 4000
    for k in (2, 4, 8):
        start = rng.uniform(-1, 1, n)
        values = np.tile(start, (runs, 1))
        rows = np.arange(runs)[:, None]
        for _ in range(steps):
            subset = rng.permuted(np.tile(np.arange(n), (runs, 1)), axis=1)[:, :k]
            values[rows, subset] = values[rows, subset].mean(axis=1, keepdims=True)
        errors = np.sum((values - start.mean()) ** 2, axis=1)
        law = (1 - (k - 1) / (n - 1)) ** steps * np.sum((start - start.mean()) ** 2)
        assert abs(errors.mean() - law) <= 3 * errors.std() / np.sqrt(runs)


def test_genesis_decides_nothing() -> None:
    """The linear baseline: coherence (1 + 1/N)/2, unchanged by the run, and rising entropy."""
    result = genesis(seeds=4000, seed=1)
    assert result.coherence_after == pytest.approx(result.coherence_before, abs=1e-12)
    assert abs(result.coherence_after - 0.6) <= 3 * result.coherence_error
    assert result.entropy_after > result.entropy_before + 0.3


MISTAKES = [
    ("agents = 64\ncolour = 3\n", "colour: Extra inputs"),
    ("agents = 'many'\n", "agents: Input should be a valid integer"),
    ("noise = nan\n", "noise: "),
    ("kappa = 3\n", "kappa: "),
    ("agents =\n", "not TOML"),
    ("states = 'none.csv'\n", "none.csv"),
    ("agents = 2\nk = 1\nstates = 'bad.csv'\n", "bad.csv: states: row 1 is no density matrix"),
    ("agents = 4\nk = 4\nradius = 2.0\n", "k: 4 neighbours, but there are 4 agents"),
    ("agents = 3\nk = 2\nedges = 'path.csv'\n", "k: 2 neighbours, but agent 0 has 1"),
    ("agents = 3\nk = 1\nedges = 'far.csv'\n", "far.csv: edges: agents are numbered 0 to 2"),
    ("radius = 0.01\n", "radius: the mesh is not connected"),
]


@pytest.mark.parametrize(("text", "reason"), MISTAKES)
def test_mistakes_in_a_scenario_are_named(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "bad.csv").write_text("0,0,1\n0,1,1\n")
    (tmp_path / "path.csv").write_text("0,1\n1,2\n")
    (tmp_path / "far.csv").write_text("0,1\n1,7\n")
    path = tmp_path / "swarm.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=reason) as caught:
        tmesh.run(Scenario.load(path), device=tmesh.open_device("reference"))
    assert "\n" not in str(caught.value)


def test_own_states_and_edges_run(tmp_path: Path) -> None:
    np.savez(tmp_path / "states.npz", rho=tmesh.density([[0, 0, 0.9], [0, 0, 0.8], [0, 0, -0.1]]))
    (tmp_path / "edges.csv").write_text("0,1\n1,2\n2,0\n")
    path = tmp_path / "swarm.toml"
    path.write_text("agents = 3\nk = 2\nstates = 'states.npz'\nedges = 'edges.csv'\n")
    result = tmesh.run(Scenario.load(path), device=tmesh.open_device("model"))
    assert (result.decided, result.outcome) == (1, 0)
