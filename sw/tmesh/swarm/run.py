"""The event loop: asynchronous hyperedges until every agent has collapsed."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from tmesh.devices import Device, open_device
from tmesh.golden.reference import ComplexArray, FloatArray
from tmesh.numbers import BoolArray, IntArray
from tmesh.swarm import metrics
from tmesh.swarm.gossip import update
from tmesh.swarm.mesh import neighbours
from tmesh.swarm.scenario import Scenario

#: Share of the agents that meet at the same time: they read the same states and form one batch.
CONCURRENT = 0.25


@dataclasses.dataclass(frozen=True)
class Result:
    """The end of a run. `states` is (blocks, agents, 2, 2), `entropies` (blocks, agents) in nats;
    `history` has one row per step. `cycles` are those of the agents' own work: updates and
    collapse tests, not the entropies of the history."""

    device: str
    seed: int
    states: ComplexArray
    entropies: FloatArray
    collapsed: BoolArray
    outcomes: IntArray
    updates: IntArray
    cycles: int | None
    clock_hz: float | None
    history: tuple[dict[str, float], ...]

    @property
    def decided(self) -> float:
        """Share of agents that collapsed."""
        return float(np.mean(self.collapsed))

    @property
    def outcome(self) -> int | None:
        """What most collapsed agents settled on; None when none has."""
        if not np.any(self.collapsed):
            return None
        return int(np.bincount(self.outcomes[self.collapsed], minlength=2).argmax())

    @property
    def disagreements(self) -> int:
        """Collapsed agents with another outcome."""
        return int(np.count_nonzero(self.outcomes[self.collapsed] != (self.outcome or 0)))

    @property
    def rounds(self) -> float:
        """Median number of updates of an agent."""
        return float(np.median(self.updates))

    @property
    def events(self) -> int:
        """Updates of all agents."""
        return int(np.sum(self.updates))

    @property
    def certificates(self) -> tuple[Any, ...]:
        """Final certificates: none, collapse alone is provisional."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """The documented keys; None for what this version does not measure."""
        rho = self.states[0]
        entropies = self.entropies[0]
        return {
            "device": self.device,
            "seed": self.seed,
            "agents": rho.shape[0],
            "faulty": 0,
            "decided": self.decided,
            "outcome": self.outcome,
            "disagreements": self.disagreements,
            "rounds": self.rounds,
            "delays": None,
            "events": self.events,
            "cycles": self.cycles,
            "entropy": {"mean": float(entropies.mean()), "variance": float(entropies.var())},
            "agreement": metrics.agreement(rho),
            "purity": metrics.purity(rho),
            "coherence": metrics.coherence(rho),
            "certificates": list(self.certificates),
            "frames": None,
            "bytes": None,
        }

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=2)


def run(
    scenario: Scenario,
    device: Device | None = None,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Result:
    """Run `scenario` on `device` (default: the scenario's own); deterministic in `seed`.

    `progress` is called with the collapsed share after every step. An agent that has collapsed
    keeps its state and goes on answering; the run ends when all have, or after the scenario's
    number of rounds.
    """
    if device is None:
        with open_device(scenario.device, scenario.config) as opened:
            return run(scenario, opened, seed, progress)
    rng = np.random.default_rng(seed)
    mesh = neighbours(scenario, rng)
    rho = scenario.initial_states(rng)
    n = scenario.agents
    streak, updates = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    collapsed = np.zeros(n, dtype=np.bool_)
    history = [_row(0.0, rho, device.entropy(rho), collapsed)]
    cycles = 0
    meeting = max(1, round(CONCURRENT * n))
    for step in range(1, round(scenario.rounds / CONCURRENT) + 1):
        active = rng.choice(n, meeting, replace=False)
        active = active[~collapsed[active]]
        heard = [rng.permutation(mesh[agent])[: scenario.k] for agent in active]
        # Agents at the rim of the mesh have fewer than k neighbours; equal sizes form a batch.
        sizes = np.array([len(h) for h in heard], dtype=np.int64)
        fresh, before = rho.copy(), device.cycles
        for size in np.unique(sizes):
            for purifying in (False, True):
                rows = np.nonzero(
                    (sizes == size) & ((updates[active] >= scenario.mixing) == purifying)
                )[0]
                if len(rows) == 0:
                    continue
                agents = active[rows]
                statements = rho[np.stack([heard[row] for row in rows])]
                kappa = scenario.kappa if purifying else 1
                fresh[agents] = update(device, rho[agents], statements, kappa)
        rho = fresh
        updates[active] += 1
        low = device.entropy(rho[active], diagonal=True) < scenario.epsilon
        cycles += (device.cycles or 0) - (before or 0)
        streak[active] = np.where(low, streak[active] + 1, 0)
        collapsed[active] |= streak[active] >= scenario.beta
        entropies = device.entropy(rho)
        history.append(_row(step * CONCURRENT, rho, entropies, collapsed))
        if progress is not None:
            progress(history[-1]["decided"])
        if np.all(collapsed):
            break
    return Result(
        device=device.info.device,
        seed=seed,
        states=rho[None],
        entropies=entropies[None],
        collapsed=collapsed,
        outcomes=(rho[:, 1, 1].real > rho[:, 0, 0].real).astype(np.int64),
        updates=updates,
        cycles=None if device.cycles is None else cycles,
        clock_hz=device.info.clock_hz,
        history=tuple(history),
    )


def _row(
    time: float, rho: ComplexArray, entropies: FloatArray, collapsed: BoolArray
) -> dict[str, float]:
    return {
        "time": time,
        "entropy": float(np.mean(entropies)),
        "agreement": metrics.agreement(rho),
        "decided": float(np.mean(collapsed)),
    }
