"""The swarm: consensus on every device, conserved means, scenario mistakes."""

from pathlib import Path

import numpy as np
import pytest
import tmesh
from tmesh.finality import Certificate
from tmesh.genesis import Genesis
from tmesh.golden.reference import partial_swap
from tmesh.network import Channel, Partition, Topology
from tmesh.swarm import Scenario, genesis


def test_default_scenario_decides() -> None:
    """Everyone ends with the same final certificate, which verifies from bytes and genesis."""
    result = tmesh.run(Scenario.default(), device=tmesh.open_device("reference"))
    assert result.decided == 1
    assert result.disagreements == 0
    assert result.rounds < 40
    [certificate] = result.certificates
    shown = result.to_dict()
    [entry] = shown["certificates"]
    assert Certificate.decode(bytes.fromhex(entry["bytes"])) == certificate
    certificate.verify(Genesis.decode(bytes.fromhex(shown["genesis"])).keys)
    assert entry["label"] == str(certificate.outcome)
    assert certificate.final
    assert np.all(result.outcomes == certificate.outcome)


def test_same_scenario_and_seed_give_the_same_bits_on_model_and_core() -> None:
    scenario = Scenario(agents=24, k=4, topology=Topology(radius=0.5))
    with tmesh.open_device("verilator") as core, tmesh.open_device("model") as model:
        on_core, on_model = tmesh.run(scenario, core, 3), tmesh.run(scenario, model, 3)
    np.testing.assert_array_equal(on_core.states, on_model.states)
    assert on_core.history == on_model.history  # entropies on the way, bit for bit
    assert on_core.cycles is not None
    assert on_core.cycles > 0
    assert on_model.cycles is None


def test_seed_decides_everything() -> None:
    scenario = Scenario(agents=16, k=3, topology=Topology(radius=0.6))
    device = tmesh.open_device("model")
    first, again, other = (tmesh.run(scenario, device, seed) for seed in (1, 1, 2))
    assert first.history == again.history
    assert first.history != other.history


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
    ("agents = 4\nk = 4\n", "k: 4 neighbours, but there are 4 agents"),
    ("agents = 3\nk = 2\nedges = 'path.csv'\n", "k: 2 neighbours, but agent 0 has 1"),
    ("agents = 3\nk = 1\nedges = 'far.csv'\n", "far.csv: edges: row 1 names no agents from 0 to 2"),
    ("topology = {radius = 0.01}\n", "geometric: the mesh is not connected with radius 0.01"),
    ("edges = 'path.csv'\ntopology = {speed = 0.1}\n", "speed: a mesh from a file of edges"),
    ("states = 'half.csv'\n", "half.csv: not a table of numbers: could not convert string 'x'"),
    ("channel = 'carrier pigeon'\n", "channel: 'carrier pigeon' is none of ideal, lan"),
    ("channel = {loss = 2.0}\n", "channel: loss: "),
    ("adversary = 'nice'\n", "adversary: 'nice' is none of crash"),
    ("faulty = 64\n", "faulty: 64 of 64 agents leaves none honest"),
    ("partitions = [{start = 0.0, end = 1.0, groups = [[70]]}]\n", "there is no agent 70"),
    ("direction = true\noutcomes = 3\n", "outcomes: a direction is one state"),
]


@pytest.mark.parametrize(("text", "reason"), MISTAKES)
def test_mistakes_in_a_scenario_are_named(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "bad.csv").write_text("0,0,1\n0,1,1\n")
    (tmp_path / "path.csv").write_text("0,1\n1,2\n")
    (tmp_path / "far.csv").write_text("0,1\n1,7\n")
    (tmp_path / "half.csv").write_text("0,x,1\n0,0,1\n")
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
    assert result.genesis.links is None  # all hear each other


def test_the_genesis_has_the_links_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("2,1\n0,1\n3,2\n0,3\n")
    edges, topology = str(tmp_path / "edges.csv"), Topology(kind="complete")
    four = Scenario(agents=4, k=2, edges=edges, topology=topology, rounds=3)
    result = tmesh.run(four, device=tmesh.open_device("reference"))
    assert result.genesis.links == [[0, 1], [0, 3], [1, 2], [2, 3]]


LIARS = {"agents": 64, "k": 8, "channel": "uav-mesh", "faulty": 10}


def test_what_forgers_send_is_refused_with_a_reason() -> None:
    """And the swarm decides as if they were silent."""
    device = tmesh.open_device("model")
    for adversary, reasons in (
        ("forge", {"signature", "encoding"}),  # in a name that its parents have, too
        ("replay", {"author"}),
        ("invalid", {"state"}),
    ):
        result = tmesh.run(Scenario(**LIARS, adversary=adversary), device)  # type: ignore[arg-type]
        assert set(result.refused) <= reasons
        assert sum(result.refused.values()) > 100
        assert (result.decided, result.outcome, result.disagreements) == (1, 0, 0)
        assert not result.accused


def test_who_says_two_things_at_once_is_accused_and_nobody_else() -> None:
    """Proofs need two signatures of the liar on one number: honest agents are never named."""
    device = tmesh.open_device("model")
    for adversary in ("random", "hold"):
        scenario = Scenario(**LIARS, adversary=adversary, ledger=True, rounds=10)  # type: ignore[arg-type]
        result = tmesh.run(scenario, device, 2)
        assert set(result.accused) == set(np.nonzero(result.lying)[0].tolist())


def test_meetings_of_whole_groups_decide_too() -> None:
    result = tmesh.run(
        Scenario(agents=40, k=5, mode="symmetric", channel="wifi", topology=Topology(radius=0.4)),
        tmesh.open_device("model"),
    )
    assert (result.decided, result.disagreements) == (1, 0)
    assert not result.refused
    assert result.bytes["meetings"] > 0


def test_directions_are_agreed_on_across_frames() -> None:
    """Every agent has its own frame; in the common one all end with one direction."""
    scenario = Scenario(
        agents=30, k=6, direction=True, majority=1.0, topology=Topology(kind="complete")
    )
    result = tmesh.run(scenario, tmesh.open_device("model"))
    r = tmesh.bloch(result.states[0])
    assert result.decided == 1
    assert np.all(r @ r.mean(axis=0) / np.linalg.norm(r, axis=1) > 0.99 * np.linalg.norm(r.mean(0)))
    assert r.mean(axis=0)[2] > 0.8  # the evidence pointed up


def test_many_decisions_with_many_outcomes_run_together() -> None:
    scenario = Scenario(
        agents=24, k=5, decisions=6, outcomes=5, majority=0.8, topology=Topology(radius=0.5)
    )
    result = tmesh.run(scenario, tmesh.open_device("model"))
    assert result.states.shape == (6, 24, 2, 2)
    assert (result.decided, result.disagreements) == (1, 0)
    assert np.all(result.outcomes == 0)


def test_nobody_is_heard_across_a_partition_and_histories_heal() -> None:
    """Two halves that prefer different outcomes, parted for good, collapse apart; where the
    partition ends, all histories become one."""
    edges = Topology(kind="complete")
    parted = Partition(start=0.0, end=1e9, groups=(tuple(range(10)),))
    with tmesh.open_device("model") as device:
        apart = Scenario(
            agents=20, k=4, topology=edges, partitions=(parted,), rounds=30, finality=False
        )
        result = tmesh.run(apart, device, 4)
        assert result.decided == 1
        for side in (slice(0, 10), slice(10, 20)):
            assert len(set(result.outcomes[0, side].tolist())) == 1
        brief = Partition(start=0.0, end=0.02, groups=(tuple(range(10)),))
        healed = Scenario(
            agents=20, k=4, topology=edges, partitions=(brief,), ledger=True, channel="lan"
        )
        result = tmesh.run(healed, device, 4)
    assert len(result.heals) == 1
    assert result.heals[0]["seconds"] > 0
    assert result.heals[0]["events"] > 20


def test_messages_and_bytes_are_counted() -> None:
    """A lossless pull: k requests and answers a round, and every byte in one part."""
    scenario = Scenario(
        agents=10, k=3, topology=Topology(kind="complete"), channel=Channel(), finality=False
    )
    result = tmesh.run(scenario, tmesh.open_device("model"))
    assert result.frames == 2 * 3 * result.events
    assert set(result.bytes) == {"requests", "statements"}
    assert result.bytes["requests"] == 16 * 3 * result.events
    assert result.delays.max() >= 2 * result.updates.max()
    assert result.to_dict()["bytes"]["total"] == sum(result.bytes.values())


def test_partition_and_heal_through_the_core() -> None:
    """64 agents over a lossy mesh, one of whom spends a token twice, parted and healed: the core
    ends with the states and certificates of the model, bit for bit."""
    scenario = Scenario(
        agents=64,
        k=8,
        channel="uav-mesh",
        faulty=1,
        adversary="double-spend",
        ledger=True,
        partitions=(Partition(start=0.2, end=1.0, groups=(tuple(range(24)),)),),
    )
    with tmesh.open_device("verilator") as core, tmesh.open_device("model") as model:
        on_core, on_model = tmesh.run(scenario, core, 3), tmesh.run(scenario, model, 3)
    np.testing.assert_array_equal(on_core.states, on_model.states)
    assert on_core.history == on_model.history  # entropies on the way, bit for bit
    assert on_core.certificates == on_model.certificates
    assert on_core.heals == on_model.heals
    assert len(on_core.heals) == 1
    assert on_core.decided == 1
