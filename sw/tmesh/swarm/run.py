"""The event-driven model: messages in the order of time, rounds in batches on the device."""

import dataclasses
from collections.abc import Callable

import numpy as np

from tmesh.config import core_config
from tmesh.devices import Device, open_device
from tmesh.network import Mesh, Network
from tmesh.states import density
from tmesh.swarm import metrics
from tmesh.swarm.gossip import Gossip, Round
from tmesh.swarm.opinions import Opinions
from tmesh.swarm.result import Result
from tmesh.swarm.scenario import Scenario

#: A row of the history every so many rounds.
SAMPLE = 0.25


def run(
    scenario: Scenario,
    device: Device | None = None,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Result:
    """Run `scenario` on `device` (default: the scenario's own); deterministic in `seed`.

    `progress` is called with the share of honest decisions that have an outcome. An agent that is
    settled keeps its states and goes on answering; the run ends when all honest agents are, and
    with ledgers every partition has healed, or when all have had the scenario's number of rounds.
    """
    if device is None:
        config = core_config(scenario.config)
        needed = scenario.agents * scenario.decisions + 4 * scenario.k
        config = dataclasses.replace(config, agents=max(config.agents, needed))
        with open_device(scenario.device, config) as opened:
            return run(scenario, opened, seed, progress)
    rng = np.random.default_rng(seed)
    lying = rng.permutation(np.arange(scenario.agents) < scenario.faulty)
    mesh = Mesh(scenario.topology, scenario.agents, rng, scenario.initial_edges(), scenario.k)
    network = Network(scenario.channel, mesh, rng, scenario.partitions)
    opinions = Opinions.first(device, scenario, np.tile(lying, (scenario.decisions, 1)), rng)
    gossip = Gossip(scenario, network, opinions, lying, rng, seed)
    step = SAMPLE * (1 + scenario.pause) * gossip.round_trip
    history, sample, cycles = [_row(gossip, device)], step, 0
    while not _over(gossip):
        arrived = network.window(np.inf)
        if not arrived:
            break
        ready: dict[int, Round] = {}
        for _, agent, message in arrived:
            done = gossip.receive(agent, message)
            if done is not None:
                ready[agent] = done
        if ready:
            before = device.cycles or 0
            gossip.update(ready)
            cycles += (device.cycles or 0) - before
        if gossip.histories is not None:
            gossip.histories.watch(float(np.median(gossip.rounds[~lying])))
        if network.now >= sample:
            history.append(_row(gossip, device))
            sample = network.now + step
            if progress is not None:
                progress(history[-1]["decided"])
    history.append(_row(gossip, device))
    shape = gossip.rows.shape
    accused = set().union(*(gossip.accused[agent] for agent in np.nonzero(~lying)[0]))
    heals: tuple[dict[str, float], ...] = ()
    if gossip.histories is not None:
        accused |= gossip.histories.accused()
        gossip.refused.update(gossip.histories.refused)
        heals = tuple(gossip.histories.heals)
    return Result(
        device=device.info.device,
        seed=seed,
        states=density(opinions.common).reshape(*shape, 2, 2),
        entropies=device.observe(gossip.rows.reshape(-1)).entropy.reshape(shape),
        outcomes=opinions.outcomes.reshape(shape),
        preferred=gossip.preferred,
        lying=lying,
        updates=opinions.updates.reshape(shape).max(axis=0),
        delays=gossip.depth,
        frames=network.frames,
        bytes=dict(gossip.bytes),
        seconds=network.now,
        cycles=None if device.cycles is None else cycles,
        clock_hz=device.info.clock_hz,
        refused=dict(gossip.refused),
        accused=tuple(sorted(accused)),
        heals=heals,
        history=tuple(history),
    )


def _over(gossip: Gossip) -> bool:
    """Whether every honest agent is settled, and the histories are whole."""
    if gossip.histories is not None and not gossip.histories.whole:
        return False
    return bool(np.all(gossip.opinions.settled[gossip.rows[:, ~gossip.lying]]))


def _row(gossip: Gossip, device: Device) -> dict[str, float]:
    honest = gossip.rows[0, ~gossip.lying]
    opinions = gossip.opinions
    return {
        "time": gossip.network.now,
        "rounds": float(np.mean(opinions.updates[honest])),
        "entropy": float(np.mean(device.observe(honest).entropy)),
        "agreement": metrics.agreement(density(opinions.common[honest])),
        "decided": float(np.mean(opinions.settled[gossip.rows[:, ~gossip.lying]])),
    }
