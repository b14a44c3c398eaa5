"""The round model: all agents of many swarms update at once, from what was true a round ago.

It leaves out time: nothing is late, lost or doubled, and all agents are equally fast. So it is what
large sweeps are run with; `tmesh.swarm.run` has messages.
"""

import dataclasses

import numpy as np

from tmesh.adversaries import View, adversary
from tmesh.devices import Device
from tmesh.golden.reference import FloatArray
from tmesh.network import Mesh
from tmesh.numbers import BoolArray, IntArray
from tmesh.swarm import sampling
from tmesh.swarm.opinions import Opinions, Statements
from tmesh.swarm.scenario import Scenario

#: A swarm has decided when so many of its honest agents have.
DECIDED = 0.95


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Ends of many runs of one scenario, one a seed.

    rounds: until 95 % of the honest agents had settled, (seeds,), NaN where they never did.
    outcomes: what the most of those who settled chose, −1 for none. split: whether two honest
    agents settled on different outcomes. wrong: whether any settled on another outcome than the
    one that most honest agents preferred at the start, `preferred`. states: (seeds, agents, 3),
    lying: (seeds, agents). settled: shares of the honest.
    """

    rounds: FloatArray
    outcomes: IntArray
    split: BoolArray
    wrong: BoolArray
    settled: FloatArray
    preferred: IntArray
    states: FloatArray
    lying: BoolArray

    @property
    def decided(self) -> BoolArray:
        """Whether 95 % settled, (seeds,)."""
        return ~np.isnan(self.rounds)


def sweep(scenario: Scenario, device: Device, seeds: int, seed: int = 0) -> Sweep:
    """Run `scenario` for so many seeds at once, one decision each; deterministic in `seed`.

    Raises ``ValueError`` where the device has no room for the states of all.
    """
    if scenario.direction:
        raise ValueError("direction: the round model has no frames of agents")
    if scenario.decisions != 1:
        raise ValueError(f"decisions: the round model takes one, not {scenario.decisions}")
    rng = np.random.default_rng(seed)
    n, rows = scenario.agents, np.arange(seeds * scenario.agents)
    swarms = rows // n
    lying = _liars(scenario, seeds, rng)
    opinions, camps = _opinions(scenario, device, lying, rng)
    mesh = _meshes(scenario, seeds, rng)
    liar, first, lying_rows = adversary(scenario.adversary), opinions.vectors.copy(), lying.ravel()
    settled_at = np.full(len(rows), np.nan)
    draw = sampling.pulled if scenario.mode == "pull" else sampling.grouped
    for time in range(1, scenario.rounds + 1):
        active = rows[~opinions.settled]
        if scenario.mode == "symmetric":
            active = rows  # those who have settled still answer
        others = draw(rng, active, n, mesh, scenario.k)
        heard = Statements.silence(*others.shape)
        there = others >= 0
        heard[there] = opinions.said(others[there])
        false = there & lying_rows[others]
        if np.any(false):
            receivers = np.broadcast_to(active[:, None], others.shape)[false]
            senders = others[false]
            view = View(
                senders=senders,
                receivers=receivers,
                honest=opinions.vectors[senders],
                first=first[senders],
                states=opinions.vectors,
                lying=lying_rows,
                camps=camps[swarms[senders]],
                swarms=swarms,
                round=time - 1,
                rng=rng,
            )
            said = liar.statements(view) if liar.authentic else np.full((len(senders), 3), np.nan)
            heard[false] = Statements(said, opinions.prefix[receivers], opinions.length[receivers])
        shift = None
        if scenario.threshold and time > scenario.threshold_from:
            common = rng.uniform(-scenario.threshold, scenario.threshold, seeds)
            shift = common[swarms[active]]
        opinions.update(active, heard, np.maximum(others, 0), shift)
        settled_at[opinions.settled & np.isnan(settled_at)] = time
        if np.all(opinions.settled | lying_rows):
            break
    return _ends(scenario, opinions, settled_at.reshape(seeds, n), lying, camps)


def _liars(scenario: Scenario, seeds: int, rng: np.random.Generator) -> BoolArray:
    first = np.tile(np.arange(scenario.agents) < scenario.faulty, (seeds, 1))
    return rng.permuted(first, axis=1)


def _opinions(
    scenario: Scenario, device: Device, lying: BoolArray, rng: np.random.Generator
) -> tuple[Opinions, FloatArray]:
    """Opinions of all swarms, and the side (±1) that the most honest agents of each are on."""
    seeds, n = lying.shape
    if scenario.outcomes > 2:
        evidence = np.concatenate([scenario.initial_evidence(rng, liars) for liars in lying])
        return Opinions(device, scenario, evidence), np.ones(seeds)
    start = np.stack([scenario.initial_states(rng, liars) for liars in lying])
    votes = np.sum(np.sign(start[..., 2]) * ~lying, axis=1)
    evidence = np.full((seeds * n, 2), 0.5)
    opinions = Opinions(device, scenario, evidence, start.reshape(-1, 3))
    return opinions, np.where(votes >= 0, 1.0, -1.0)


def _meshes(scenario: Scenario, seeds: int, rng: np.random.Generator) -> sampling.Lists:
    if scenario.topology.kind == "complete":
        return sampling.COMPLETE
    neighbours: list[IntArray] = []
    for swarm in range(seeds):
        mesh = Mesh(scenario.topology, scenario.agents, rng, scenario.initial_edges(), scenario.k)
        neighbours += [some + swarm * scenario.agents for some in mesh.neighbours]
    return sampling.lists(neighbours)


def _ends(
    scenario: Scenario, opinions: Opinions, at: FloatArray, lying: BoolArray, camps: FloatArray
) -> Sweep:
    seeds, n = at.shape
    honest = n - scenario.faulty
    at = np.where(lying, np.nan, at)
    needed = int(np.ceil(DECIDED * honest))
    outcomes = np.where(lying, -1, opinions.outcomes.reshape(seeds, n))
    most = int(outcomes.max(initial=0)) + 1
    counts = np.stack([np.sum(outcomes == o, axis=1) for o in range(most)], axis=1)
    preferred = (camps < 0).astype(np.int64)
    chosen = counts > 0
    total = counts.sum(axis=1)
    wrong = total > counts[np.arange(seeds), np.minimum(preferred, most - 1)]
    return Sweep(
        rounds=np.sort(at, axis=1)[:, needed - 1],  # NaN sorts last
        outcomes=np.where(total > 0, np.argmax(counts, axis=1), -1),
        split=np.count_nonzero(chosen, axis=1) > 1,
        wrong=wrong,
        settled=total / honest,
        preferred=preferred,
        states=opinions.vectors.reshape(seeds, n, 3),
        lying=lying,
    )
