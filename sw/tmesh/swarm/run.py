"""The event-driven model: messages in the order of time, rounds in batches on the device."""

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from tmesh import checks
from tmesh.config import core_config
from tmesh.devices import Device, open_device
from tmesh.errors import InvalidInput
from tmesh.finality import Certificate
from tmesh.genesis import Genesis
from tmesh.ledger import KeySet
from tmesh.network import Mesh, Network
from tmesh.numbers import BoolArray
from tmesh.states import density
from tmesh.swarm import metrics
from tmesh.swarm.gluing import gluing
from tmesh.swarm.gossip import Gossip
from tmesh.swarm.opinions import Opinions
from tmesh.swarm.result import Result
from tmesh.swarm.roster import Roster
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

    An agent is done when it has a final certificate for each of its decisions, or without finality
    an outcome. It keeps its states and still answers. The run ends when all honest agents are done
    and, with ledgers, every partition has healed, or after the scenario's number of rounds.
    `progress` is called with the share of honest agents that are done.

    Raises `InvalidInput` if a subset cannot decide or the device has no room.
    """
    seed = checks.seed("seed", seed)
    if not isinstance(scenario, Scenario):
        raise InvalidInput(f"scenario must be a Scenario, not {type(scenario).__name__}")
    if not isinstance(device, Device | None):
        raise InvalidInput(f"device must be an open device, not {type(device).__name__}")
    if device is None:
        config = core_config(scenario.config)
        needed = int(np.count_nonzero(Roster.of(scenario).members)) + 4 * scenario.k
        config = dataclasses.replace(config, agents=max(config.agents, needed))
        with open_device(scenario.device, config) as opened:
            return run(scenario, opened, seed, progress)
    rng = np.random.default_rng(seed)
    lying = rng.permutation(np.arange(scenario.agents) < scenario.faulty)
    mesh = Mesh(scenario.topology, scenario.agents, rng, scenario.initial_edges(), scenario.k)
    network = Network(scenario.channel, mesh, rng, scenario.partitions)
    roster = Roster.of(scenario)
    _check(roster, lying, mesh)
    everywhere = np.broadcast_to(lying, roster.members.shape)
    opinions = Opinions.first(device, scenario, everywhere, rng, roster.members)
    keys, signers = KeySet.simulated(scenario.agents, seed)
    rules = scenario.swarm_rules(device.info.config.f)
    genesis = Genesis(keys, scenario.declared, _links(mesh), rules)
    gossip = Gossip(scenario, roster, network, opinions, lying, rng, seed, genesis, signers)
    with contextlib.closing(gossip):
        history, cycles, glued = _simulate(gossip, device, progress)
    accused = set().union(*(gossip.accused[agent] for agent in np.nonzero(~lying)[0]))
    rounds = _spread(roster, opinions.updates, 0).max(axis=0)
    outcomes = _spread(roster, opinions.outcomes, -1)
    updates, certificates, tombstones, epochs = rounds, tuple[Certificate, ...](), 0, 1
    if gossip.ballots is not None:
        gossip.refused.update(gossip.ballots.refused)
        tombstones, epochs = gossip.ballots.tombstones, gossip.ballots.last_epoch
        outcomes, certificates = gossip.ballots.final, tuple(gossip.ballots.certificates)
        rounds = np.where(gossip.ballots.finished < 0, gossip.rounds, gossip.ballots.finished)
    heals: tuple[dict[str, float], ...] = ()
    if gossip.histories is not None:
        accused |= gossip.histories.accused()
        gossip.refused.update(gossip.histories.refused)
        heals = tuple(gossip.histories.heals)
    return Result(
        device=device.info.device,
        seed=seed,
        states=_spread(roster, density(opinions.common), np.nan),
        entropies=_spread(roster, device.observe(roster.rows[roster.members]).entropy, np.nan),
        members=roster.members,
        outcomes=outcomes,
        genesis=genesis,
        certificates=certificates,
        preferred=gossip.preferred,
        lying=lying,
        updates=updates,
        round_counts=rounds,
        delays=gossip.depth,
        frames=network.frames,
        bytes=dict(gossip.bytes),
        seconds=network.now,
        cycles=None if device.cycles is None else cycles,
        clock_hz=device.info.clock_hz,
        refused=dict(gossip.refused),
        accused=tuple(sorted(accused)),
        heals=heals,
        glued=tuple(glued),
        tombstones=tombstones,
        epochs=epochs,
        history=tuple(history),
    )


def _simulate(
    gossip: Gossip, device: Device, progress: Callable[[float], None] | None
) -> tuple[list[dict[str, float]], int, list[dict[str, int]]]:
    """Run to the end; the history, cycles of the core for the updates, and the gluing check at the
    end of each partition."""
    ahead, glued = sorted(gossip.network.partitions, key=lambda one: one.end), []
    step = SAMPLE * (1 + gossip.scenario.pause) * gossip.round_trip
    history, sample, cycles = [_row(gossip, device)], step, 0
    while not _over(gossip):
        arrived = gossip.network.window(np.inf)
        if not arrived:
            break
        before = device.cycles or 0
        for _, agent, message in arrived:
            gossip.receive(agent, message)
        gossip.update()
        cycles += (device.cycles or 0) - before
        while ahead and gossip.network.now >= ahead[0].end:
            outcomes = _spread(gossip.roster, gossip.opinions.outcomes, -1)
            counted = gossip.roster.members & ~gossip.lying
            glued.append(gluing(outcomes, counted, ahead.pop(0)))
        if gossip.histories is not None:
            gossip.histories.watch(float(np.median(gossip.rounds[~gossip.lying])))
        if gossip.network.now >= sample:
            history.append(_row(gossip, device))
            sample = gossip.network.now + step
            if progress is not None:
                progress(history[-1]["decided"])
    history.append(_row(gossip, device))
    return history, cycles, glued


def _links(mesh: Mesh) -> list[tuple[int, int]] | None:
    """The pairs that hear each other; None if all do, or if that changes."""
    if mesh.topology.speed or all(len(near) == mesh.agents - 1 for near in mesh.neighbours):
        return None
    return [
        (agent, other)
        for agent, near in enumerate(mesh.neighbours)
        for other in np.sort(near).tolist()
        if agent < other
    ]


def _check(roster: Roster, lying: BoolArray, mesh: Mesh) -> None:
    """Raise ``ValueError`` for a subset that cannot decide: all lie, or the mesh splits it."""
    for group in roster.groups:
        if np.all(lying[group.there]):
            raise InvalidInput(f"faulty: nobody in subset {group.name!r} is honest")
        if group.name and not (mesh.topology.speed or mesh.joins(group.there)):
            raise InvalidInput(f"subsets: the mesh does not join the agents of {group.name!r}")


def _spread(roster: Roster, values: np.ndarray[Any, Any], none: float) -> np.ndarray[Any, Any]:
    """Values (rows, ...) by decision and agent, (decisions, agents, ...); `none` for no part."""
    spread = np.full((*roster.members.shape, *values.shape[1:]), none, dtype=values.dtype)
    spread[roster.members] = values
    return spread


def _over(gossip: Gossip) -> bool:
    """Whether every honest agent is done, and the histories are whole."""
    if gossip.histories is not None and not gossip.histories.whole:
        return False
    return all(gossip.done(agent) for agent in np.nonzero(~gossip.lying)[0].tolist())


def _row(gossip: Gossip, device: Device) -> dict[str, float]:
    roster, opinions = gossip.roster, gossip.opinions
    honest = roster.rows[0, roster.members[0] & ~gossip.lying]
    everywhere = roster.rows[roster.members & ~gossip.lying]
    deciding = np.nonzero(np.any(roster.members, axis=0) & ~gossip.lying)[0]
    return {
        "time": gossip.network.now,
        "rounds": float(np.mean(opinions.updates[honest])),
        "entropy": float(np.mean(device.observe(honest).entropy)),
        "agreement": metrics.agreement(density(opinions.common[honest])),
        "collapsed": float(np.mean(opinions.settled[everywhere])),
        "decided": float(np.mean([gossip.done(agent) for agent in deciding.tolist()])),
    }
