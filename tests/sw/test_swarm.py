"""The swarm: scenarios, agents in simulated time, results."""

from pathlib import Path

import numpy as np
import pytest
import tmesh
from tmesh.agent import Send
from tmesh.finality import Certificate, quorum
from tmesh.finality.encoding import bits
from tmesh.genesis import Genesis
from tmesh.golden.reference import partial_swap
from tmesh.network import Partition, Topology
from tmesh.swarm import Result, Scenario, linear
from tmesh.swarm.roster import Roster
from tmesh.swarm.run import World

COMPLETE = Topology(kind="complete")
NORTH, SOUTH = tuple(range(7)), (10, 11, 12, 13)
TWO = ({"name": "north", "agents": NORTH, "decisions": 2}, {"name": "south", "agents": SOUTH})


def run(seed: int = 0, device: str = "model", **fields: object) -> Result:
    scenario = Scenario(**{"agents": 16, "topology": COMPLETE, **fields})  # type: ignore[arg-type]
    with tmesh.open_device(device, scenario.config) as opened:
        return tmesh.run(scenario, opened, seed)


@pytest.fixture(scope="module")
def shipped() -> Result:
    with tmesh.open_device("model") as device:
        return tmesh.run(Scenario.default(), device)


def test_the_shipped_swarm_decides_for_its_honest_majority(shipped: Result) -> None:
    """Every honest agent ends with the final certificate of one outcome."""
    assert (shipped.decided, shipped.disagreements) == (1, 0)
    assert shipped.outcome == shipped.preferred[0] == 0
    [certificate] = shipped.certificates
    shown = shipped.to_dict()
    [entry] = shown["certificates"]
    assert Certificate.decode(bytes.fromhex(entry["bytes"])) == certificate
    certificate.verify(Genesis.decode(bytes.fromhex(shown["genesis"])).keys)
    assert entry["label"] == str(certificate.outcome)
    assert certificate.final


def test_the_shipped_swarm_proves_what_can_be_proven(shipped: Result) -> None:
    assert shipped.wrongly_excluded == ()
    honest = int(np.sum(~shipped.byzantine))
    for one in shipped.suspects:
        lies = one.kind in ("stubborn", "equivocate", "arithmetic")
        assert one.proven_by == (honest if lies else 0)
    proven = sum(one.proven_by > 0 for one in shipped.suspects)
    assert 2 <= shipped.generations <= 1 + proven
    assert shipped.spent.audits > 0


def test_the_shipped_swarm_heals_its_partition(shipped: Result) -> None:
    assert len(shipped.glued) == 1
    [partition] = Scenario.default().partitions
    assert shipped.seconds > partition.end


def test_the_sheaf_of_opinions_ends_as_a_global_section(shipped: Result) -> None:
    first, last = shipped.history[0], shipped.history[-1]
    assert first["consistency_radius"] > 0.5
    assert last["consistency_radius"] == 0
    assert last["obstruction"] == pytest.approx(0, abs=1e-9)


def test_model_and_core_give_the_same_states_proofs_and_certificates() -> None:
    """64 agents over a lossy mesh that parts and heals, with kills and an equivocator."""
    scenario = Scenario(
        agents=64,
        channel="uav-mesh",
        byzantine={"equivocate": 1, "stubborn": 1},
        kills=4,
        partitions=(Partition(start=0.2, end=1.0, groups=(tuple(range(24)),)),),
    )
    with tmesh.open_device("verilator") as core, tmesh.open_device("model") as model:
        on_core, on_model = tmesh.run(scenario, core, 3), tmesh.run(scenario, model, 3)
    np.testing.assert_array_equal(on_core.opinions, on_model.opinions)
    assert on_core.history == on_model.history
    assert on_core.certificates == on_model.certificates
    assert on_core.suspects == on_model.suspects
    assert on_core.glued == on_model.glued
    assert (on_core.decided, on_core.wrongly_excluded) == (1, ())
    assert on_core.cycles == on_core.spent.update_cycles + on_core.spent.audit_cycles
    assert on_core.spent.audit_cycles > 0
    assert on_model.cycles is None


def test_the_seed_decides_everything() -> None:
    first, again, other = (run(seed, channel="wifi") for seed in (1, 1, 2))
    assert first.to_json() == again.to_json()
    assert first.history != other.history


def test_killed_agents_continue_from_their_journals() -> None:
    result = run(2, agents=20, channel="uav-mesh", kills=12)
    assert (result.decided, result.disagreements, result.wrongly_excluded) == (1, 0, ())


def test_a_partition_decides_nothing_without_a_quorum_and_the_healed_swarm_decides() -> None:
    half = Partition(start=0.0, end=0.2, groups=(tuple(range(8)),))
    result = run(1, partitions=(half,), majority=0.9, channel="lan", rules={"patience": 4})
    assert all(row["decided"] == 0 for row in result.history if row["time"] < 0.2)
    assert (result.decided, result.disagreements) == (1, 0)
    apart = Partition(start=0.0, end=1e9, groups=(tuple(range(8)),))
    assert run(1, partitions=(apart,), channel="lan", seconds=0.1).decided == 0


def test_levels_differ_in_what_liars_can_do() -> None:
    """Without audits 4 stubborn agents of 16 are heard; with audits they are excluded."""
    fields = {"byzantine": {"stubborn": 4}, "majority": 0.75, "channel": "lan"}
    on = run(1, **fields)
    off = run(1, rules={"level": "off"}, seconds=3.0, **fields)
    assert (on.outcome, on.decided) == (0, 1)
    assert all(one.proven_by == 12 for one in on.suspects)
    assert not any(one.proven_by for one in off.suspects)
    assert off.spent.audits == 0


def test_each_subset_signs_its_own_certificates() -> None:
    result = run(2, agents=24, subsets=TWO, majority=0.9)
    assert result.decided == 1
    assert len(result.certificates) == 4
    found = {(one.decision.resource, one.decision.number): one for one in result.certificates}
    for name, agents, count in (("north", NORTH, 2), ("south", SOUTH, 1)):
        for number in range(count):
            certificate = found[f"subset {name}".encode(), number]
            certificate.verify(result.genesis.keys)
            assert set(bits(certificate.signers)) <= set(agents)
            assert certificate.signers.bit_count() == quorum(len(agents), (len(agents) - 1) // 3)
    assert np.all((result.outcomes >= 0) == result.members)
    assert np.all(np.isnan(result.opinions) == ~result.members)


def test_a_subset_decides_while_it_is_cut_off() -> None:
    """Seven of 24 have no quorum for what all decide, and five of seven for their own."""
    cut = Partition(start=0.0, end=1e9, groups=(NORTH,))
    result = run(
        1, agents=24, subsets=TWO[:1], partitions=(cut,), seconds=0.2, majority=0.9, channel="lan"
    )
    assert np.all(result.outcomes[1:, list(NORTH)] >= 0)
    assert np.all(result.outcomes[0, list(NORTH)] < 0)
    assert np.all(result.outcomes[0, 7:] >= 0)


def test_rosters_have_the_decisions_of_every_group() -> None:
    roster = Roster.of(Scenario(agents=24, topology=COMPLETE, subsets=TWO))
    assert roster.members.sum(axis=1).tolist() == [24, 7, 7, 4]
    assert len({decision.id for decision in roster.decisions}) == 4
    assert [decision.quorum for decision in roster.decisions] == [16, 5, 5, 3]
    alone = Roster.of(Scenario(agents=24, topology=COMPLETE, decisions=0, subsets=TWO))
    assert [group.name for group in alone.groups] == ["north", "south"]


def test_many_decisions_with_many_outcomes_run_together() -> None:
    result = run(agents=12, decisions=4, outcomes=5, majority=0.8)
    assert result.states.shape == (4, 12, 2, 2)
    assert (result.decided, result.disagreements) == (1, 0)
    assert np.all(result.outcomes == 0)


def test_decisions_one_after_another_cost_the_same_and_leave_nothing_behind() -> None:
    """Certificates stand for all before them, and agents that were excluded stay excluded. There
    are more decisions than an agent may have open."""
    scenario = Scenario(
        agents=6,
        topology=COMPLETE,
        channel="lan",
        decisions=100,
        successive=True,
        majority=0.8,
        byzantine={"stubborn": 1},
    )
    with tmesh.open_device("model") as device:
        world = World(scenario, device, 0)
        result = world.run(None)
    assert (result.decided, result.disagreements, result.wrongly_excluded) == (1, 0, ())
    assert len(result.certificates) == 100
    honest = [agent for agent in range(6) if not result.byzantine[agent]]
    times = [
        max(world.simulation.decided[agent, one.id] for agent in honest) for one in world.decisions
    ]
    assert times == sorted(times)
    first, last = np.diff(times)[:10].mean(), np.diff(times)[-10:].mean()
    assert last < 1.5 * first
    for agent in honest:
        states = world.simulation.agents[agent].deliberations.values()
        assert sum(one.stage is not None for one in states) <= 1
        assert [one.starts for one in states][1:] == [1] * 99  # no new proof, no new start


def test_bytes_are_counted_by_part() -> None:
    result = run(agents=10, channel="ideal")
    assert set(result.bytes) == {"statements", "votes", "requests", "headers"}
    assert result.bytes["headers"] == 16 * result.frames
    assert result.to_dict()["bytes"]["total"] == sum(result.bytes.values())
    # Without losses a statement reaches each of the nine others about once.
    assert result.bytes["statements"] < 1.5 * 9 * 200 * result.events


def test_a_message_to_an_agent_out_of_range_is_not_sent() -> None:
    with tmesh.open_device("model") as device:
        world = World(Scenario(agents=6, topology=Topology(kind="ring")), device, 0)
        agent = world.simulation.agents[0]
        sent = [one for one in agent.open(world.decisions[0]) if isinstance(one, Send)]
        for to, frames in ((3, 0), (1, 1)):
            world.simulation.act(0, [Send(to, sent[0].message)])
            assert world.network.frames == frames


def test_agents_that_move_are_not_excluded_for_it() -> None:
    moving = Topology(radius=0.5, speed=0.05, refresh=0.1)
    result = run(3, agents=12, topology=moving, channel="lan", seconds=20.0)
    assert result.wrongly_excluded == ()
    assert result.genesis.links is None


def test_kinds_are_counted_or_named() -> None:
    scenario = Scenario(agents=9, topology=COMPLETE, byzantine={"mute": [2, 5], "flip": 1})
    kinds = scenario.kinds(np.random.default_rng(0))
    assert [kinds[2], kinds[5]] == ["mute", "mute"]
    assert sorted(kinds.values()) == ["flip", "mute", "mute"]


def test_a_class_beside_the_scenario_is_found(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from tmesh.adversaries import Byzantine\n\n\n"
        "class Quiet(Byzantine):\n"
        '    """Sends nothing after its opening."""\n\n'
        "    silent_from = 0\n"
    )
    path = tmp_path / "swarm.toml"
    path.write_text("agents = 7\n[topology]\nkind = 'complete'\n[byzantine]\n'own:Quiet' = 1\n")
    scenario = Scenario.load(path)
    with tmesh.open_device("model") as device:
        result = tmesh.run(scenario, device)
    assert result.decided == 1
    assert [one.kind for one in result.suspects] == [f"{tmp_path / 'own.py'}:Quiet"]


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


@pytest.mark.parametrize("k", [2, 4, 8])
def test_meetings_of_whole_groups_contract_as_the_law_says(k: int) -> None:
    """The members of a random group of k take their mean: E‖e′‖² = (1 − (k−1)/(n−1)) ‖e‖²."""
    rng, n, swarms, steps = np.random.default_rng(k), 24, 300, 6
    r = rng.normal(size=(swarms, n, 3)) * 0.3
    r /= np.maximum(1, np.linalg.norm(r, axis=-1, keepdims=True))
    first = np.sum((r - r.mean(axis=1, keepdims=True)) ** 2)
    places = np.arange(swarms * k).reshape(swarms, k)
    with tmesh.open_device("reference", "sim-gossip") as device:
        for _ in range(steps):
            group = rng.permuted(np.tile(np.arange(n), (swarms, 1)), axis=1)[:, :k]
            rows = np.arange(swarms)[:, None], group
            device.load(r[rows].reshape(-1, 3))
            device.update(places[:, 0], places[:, 1:], dephase=False)
            r[rows] = device.read(places[:, 0])[:, None]
    rest = np.sum((r - r.mean(axis=1, keepdims=True)) ** 2)
    assert rest / first == pytest.approx((1 - (k - 1) / (n - 1)) ** steps, rel=0.05)


def test_linear_mixing_decides_nothing() -> None:
    """The linear baseline: coherence (1 + 1/N)/2, unchanged by the run, and rising entropy."""
    result = linear(seeds=4000, seed=1)
    assert result.coherence_after == pytest.approx(result.coherence_before, abs=1e-12)
    assert abs(result.coherence_after - 0.6) <= 3 * result.coherence_error
    assert result.entropy_after > result.entropy_before + 0.3


RING = "agents = 8\ntopology = {kind = 'ring'}\n"
PAIR = "subsets = [{name = 'a', agents = [0, 1]}]\n"

MISTAKES = [
    ("agents = 64\ncolour = 3\n", "colour: Extra inputs"),
    ("agents = 'many'\n", "agents: Input should be a valid integer"),
    ("noise = nan\n", "noise: "),
    ("rules = {kappa = 3}\n", "rules: kappa: "),
    ("rules = {f = 14}\n", "rules: f: the device says"),
    ("k = 4\n", r"k: it is a rule now: write it into the table \[rules\] as 'k'"),
    ("timeout = 4\n", "timeout: it is a rule now: .* as 'epoch_beats'"),
    ("faulty = 6\n", r"faulty: write the table \[byzantine\]"),
    ("trim = 1\n", "trim: draws and rounds in lockstep replace it"),
    ("coin = 'ideal'\n", "coin: no object plays a coin any more"),
    ("late = []\n", "late: a decision's id commits to its outcomes"),
    ("agents =\n", "not TOML"),
    ("evidence = 'none.csv'\n", "none.csv"),
    ("agents = 2\nevidence = 'bad.csv'\n", "bad.csv: evidence: row 1 holds no probabilities"),
    ("agents = 3\nedges = 'far.csv'\n", "far.csv: edges: row 1 names no agents from 0 to 2"),
    ("topology = {radius = 0.01}\n", "geometric: the mesh is not connected with radius 0.01"),
    ("edges = 'path.csv'\ntopology = {speed = 0.1}\n", "speed: a mesh from a file of edges"),
    ("agents = 2\nevidence = 'half.csv'\n", "half.csv: not a table of numbers: could not convert"),
    ("channel = 'carrier pigeon'\n", "channel: 'carrier pigeon' is none of ideal, lan"),
    ("channel = {loss = 2.0}\n", "channel: loss: "),
    ("byzantine = {nice = 1}\n", "byzantine: 'nice' is none of arithmetic"),
    ("byzantine = {mute = 64}\n", "byzantine: 64 of 64 leave none honest"),
    ("byzantine = {mute = [1], flip = [1]}\n", "byzantine: agent 1 is named twice"),
    ("byzantine = {mute = [64]}\n", "byzantine: there is no agent 64"),
    ("partitions = [{start = 0.0, end = 1.0, groups = [[70]]}]\n", "there is no agent 70"),
    ("decisions = 0\n", "decisions: there are none"),
    ("decisions = 4097\n", "decisions: "),
    ("subsets = [{name = 'a', agents = [0, 64]}]\n", "subsets: a: there is no agent 64"),
    ("subsets = [{name = 'a', agents = [0, 0]}]\n", "agents: one is named twice"),
    ("subsets = [{name = 'a', agents = [0]}]\n", "agents: 1 cannot ask each other"),
    ("subsets = [{name = 'a', agents = [0, 1, 2], faults = 1}]\n", "a third or more"),
    (
        "agents = 8\ntopology = {kind = 'ring'}\nsubsets = [{name = 'a', agents = [0, 4]}]\n",
        "subsets: the mesh does not join the agents of 'a'",
    ),
    (f"{RING}byzantine = {{mute = [0, 1]}}\n{PAIR}", "byzantine: nobody in subset 'a' is honest"),
]


@pytest.mark.parametrize(("text", "reason"), MISTAKES)
def test_mistakes_in_a_scenario_are_named(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "bad.csv").write_text("0,1\n0.5,0.7\n")
    (tmp_path / "path.csv").write_text("0,1\n1,2\n")
    (tmp_path / "far.csv").write_text("0,1\n1,7\n")
    (tmp_path / "half.csv").write_text("0,x\n0,1\n")
    path = tmp_path / "swarm.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=reason) as caught, tmesh.open_device("model") as device:
        tmesh.run(Scenario.load(path), device)
    assert "\n" not in str(caught.value)


def test_own_evidence_and_edges_run(tmp_path: Path) -> None:
    (tmp_path / "evidence.csv").write_text("east,west,up\n0.1,0.8,0.1\n0.2,0.5,0.3\n0.4,0.6,0\n")
    (tmp_path / "edges.csv").write_text("0,1\n1,2\n")
    path = tmp_path / "swarm.toml"
    text = "agents = 3\noutcomes = 3\nevidence = 'evidence.csv'\nedges = 'edges.csv'\n"
    path.write_text(text + "rules = {k = 2}\n")
    with tmesh.open_device("model") as device:
        result = tmesh.run(Scenario.load(path), device)
    assert (result.decided, result.outcome) == (1, 1)
    assert result.genesis.links == [[0, 1], [1, 2]]  # agents with fewer than k neighbours
