"""The event loop: rounds of agents, in random order, until every one has collapsed."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from tmesh.config import core_config
from tmesh.devices import Device, open_device
from tmesh.golden.reference import ComplexArray, FloatArray
from tmesh.numbers import BoolArray, IntArray
from tmesh.states import bloch, density
from tmesh.swarm import metrics
from tmesh.swarm.mesh import neighbours
from tmesh.swarm.scenario import Scenario

#: Share of the agents whose rounds go to the device together: one after another, in one batch.
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
        config = core_config(scenario.config)
        config = dataclasses.replace(config, agents=max(config.agents, scenario.agents))
        with open_device(scenario.device, config) as opened:
            return run(scenario, opened, seed, progress)
    rng = np.random.default_rng(seed)
    mesh = neighbours(scenario, rng)
    n = scenario.agents
    everyone = np.arange(n)
    streak, updates = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    collapsed = np.zeros(n, dtype=np.bool_)
    device.load(bloch(scenario.initial_states(rng)))
    history = [_row(0.0, device, everyone, collapsed)]
    cycles = 0
    meeting = max(1, round(CONCURRENT * n))
    for step in range(1, round(scenario.rounds / CONCURRENT) + 1):
        active = rng.choice(n, meeting, replace=False)
        active = active[~collapsed[active]]
        heard = _heard(mesh, active, scenario.k, rng)
        purifying, before = updates[active] >= scenario.mixing, device.cycles
        low = np.zeros(len(active), dtype=np.bool_)
        for chosen, kappa in ((~purifying, 1), (purifying, scenario.kappa)):
            if not np.any(chosen):
                continue
            entropy, _ = device.update(active[chosen], heard[chosen], kappa)
            low[chosen] = entropy < scenario.epsilon
        cycles += (device.cycles or 0) - (before or 0)
        updates[active] += 1
        streak[active] = np.where(low, streak[active] + 1, 0)
        collapsed[active] |= streak[active] >= scenario.beta
        history.append(_row(step * CONCURRENT, device, everyone, collapsed))
        if progress is not None:
            progress(history[-1]["decided"])
        if np.all(collapsed):
            break
    seen, rho = device.observe(everyone), density(device.read())
    return Result(
        device=device.info.device,
        seed=seed,
        states=rho[None],
        entropies=seen.entropy[None],
        collapsed=collapsed,
        outcomes=np.argmax(seen.diagonal, axis=1),
        updates=updates,
        cycles=None if device.cycles is None else cycles,
        clock_hz=device.info.clock_hz,
        history=tuple(history),
    )


def _heard(mesh: list[IntArray], active: IntArray, k: int, rng: np.random.Generator) -> IntArray:
    """k random neighbours of each active agent, (m, k); −1 where it has fewer."""
    heard = np.full((len(active), k), -1)
    for row, agent in enumerate(active):
        chosen = rng.permutation(mesh[agent])[:k]
        heard[row, : len(chosen)] = chosen
    return heard


def _row(time: float, device: Device, everyone: IntArray, collapsed: BoolArray) -> dict[str, float]:
    return {
        "time": time,
        "entropy": float(np.mean(device.observe(everyone).entropy)),
        "agreement": metrics.agreement(density(device.read())),
        "decided": float(np.mean(collapsed)),
    }
