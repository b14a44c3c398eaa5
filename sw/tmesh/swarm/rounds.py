"""The round model: all agents of many swarms update at once, from what was true a round ago.

It leaves out time: nothing is late, lost or doubled, and all agents are equally fast. So it is what
large sweeps are run with; `tmesh.swarm.run` has messages.
"""

import dataclasses
from typing import Self

import numpy as np

from tmesh import checks
from tmesh.adversaries import View, adversary
from tmesh.devices import Device
from tmesh.errors import InvalidInput
from tmesh.golden.reference import FloatArray
from tmesh.network import Mesh
from tmesh.numbers import BoolArray, IntArray
from tmesh.swarm import sampling
from tmesh.swarm.opinions import Opinions, Statements
from tmesh.swarm.scenario import Scenario
from tmesh.swarm.tallies import Tallies

#: A swarm has decided when so many of its honest agents have.
DECIDED = 0.95


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Ends of many runs of one scenario, one a seed.

    rounds: until 95 % of the honest agents had settled, (seeds,), NaN where they never did.
    outcomes: what the most of those who settled chose, −1 for none. split: whether two honest
    agents settled on different outcomes. wrong: whether any settled on another outcome than the
    one that most honest agents preferred at the start, `preferred`. states: (seeds, agents, 3),
    lying: (seeds, agents). settled: shares of the honest. epochs: the last one of each run. With
    finality an agent has settled when it holds a final certificate.
    """

    rounds: FloatArray
    outcomes: IntArray
    split: BoolArray
    wrong: BoolArray
    settled: FloatArray
    preferred: IntArray
    states: FloatArray
    lying: BoolArray
    epochs: IntArray

    @classmethod
    def of(
        cls,
        settled_at: FloatArray,
        outcomes: IntArray,
        preferred: IntArray,
        states: FloatArray,
        lying: BoolArray,
        epochs: IntArray,
    ) -> Self:
        """From what became of each agent: the round in which it settled (seeds, agents), NaN for
        never, and its outcome (seeds, agents), −1 for none."""
        outcomes = np.where(lying, -1, outcomes)
        most = int(max(outcomes.max(), preferred.max())) + 1
        counts = np.stack([np.sum(outcomes == o, axis=1) for o in range(most)], axis=1)
        total = counts.sum(axis=1)
        return cls(
            rounds=most_honest(settled_at, lying),
            outcomes=np.where(total > 0, np.argmax(counts, axis=1), -1),
            split=np.count_nonzero(counts, axis=1) > 1,
            wrong=total > counts[np.arange(len(counts)), preferred],
            settled=total / np.sum(~lying, axis=1),
            preferred=preferred,
            states=states,
            lying=lying,
            epochs=epochs,
        )

    @property
    def decided(self) -> BoolArray:
        """Whether 95 % settled, (seeds,)."""
        return ~np.isnan(self.rounds)


def most_honest(values: FloatArray, lying: BoolArray) -> FloatArray:
    """What 95 % of the honest agents are within, of values (seeds, agents) of each, (seeds,); NaN
    where more than the rest have none."""
    honest = np.sum(~lying, axis=1)
    ordered = np.sort(np.where(lying, np.nan, values), axis=1)  # NaN comes last
    needed = np.ceil(DECIDED * honest).astype(np.int64)
    return np.asarray(ordered[np.arange(len(ordered)), needed - 1])


def sweep(scenario: Scenario, device: Device, seeds: int, seed: int = 0) -> Sweep:
    """Run `scenario` for so many seeds at once, one decision each; deterministic in `seed`.

    Raises ``ValueError`` where the device has no room for the states of all.
    """
    seeds, seed = checks.integer("seeds", seeds, least=1), checks.seed("seed", seed)
    if not isinstance(scenario, Scenario):
        raise InvalidInput(f"scenario must be a Scenario, not {type(scenario).__name__}")
    if not isinstance(device, Device):
        raise InvalidInput(f"device must be an open device, not {type(device).__name__}")
    if scenario.direction:
        raise InvalidInput("direction: the round model has no frames of agents")
    if scenario.decisions != 1 or scenario.subsets:
        raise InvalidInput("decisions: the round model takes one, of all agents")
    if scenario.late:
        raise InvalidInput("late: the round model has no messages to learn from")
    rng = np.random.default_rng(seed)
    n, rows = scenario.agents, np.arange(seeds * scenario.agents)
    lying = _liars(scenario, seeds, rng)
    opinions, lying_rows = Opinions.first(device, scenario, lying, rng), lying.ravel()
    swarms, preferred = opinions.swarms, opinions.preferred(lying_rows)
    camps = opinions.camps(preferred)
    mesh = _meshes(scenario, seeds, rng)
    liar, first = adversary(scenario.adversary), opinions.vectors.copy()
    settled_at = np.full(len(rows), np.nan)
    tallies = Tallies(scenario, lying, liar) if scenario.finality else None
    draw = sampling.pulled if scenario.mode == "pull" else sampling.grouped
    for time in range(1, scenario.rounds + 1):
        if tallies is not None:
            begun, begins = tallies.pass_time(time - 1)
            opinions.reopen(begun, tallies.epoch[swarms[begun]], begins)
        # In meetings those who have settled still answer.
        active = rows if scenario.mode == "symmetric" else rows[~opinions.settled]
        others = draw(rng, active, n, mesh, scenario.k)
        shift = np.zeros(len(rows))
        if tallies is not None and scenario.coin != "none":
            tossed = scenario.threshold * rng.uniform(-1, 1, seeds) * (tallies.epoch > 1)
            shift = tossed[swarms]
        there = others >= 0
        heard = opinions.said(others)
        heard.vectors[~there] = np.nan
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
                coin=_betrayed(scenario, shift, lying_rows, receivers, rng),
                rng=rng,
            )
            said = liar.statements(view) if liar.authentic else np.full((len(senders), 3), np.nan)
            heard[false] = Statements(said, opinions.prefix[receivers], opinions.length[receivers])
        opinions.update(active, heard, np.maximum(others, 0), shift[active])
        done = opinions.settled
        if tallies is not None:
            tallies.attest(active, opinions.chosen(active))
            tallies.exchange(sampling.pulled(rng, rows, n, mesh, min(scenario.spread, n - 1)))
            done = tallies.final >= 0
        settled_at[done & np.isnan(settled_at)] = time
        if np.all(done | lying_rows):
            break
    outcomes = (opinions.outcomes if tallies is None else tallies.final).reshape(seeds, n)
    states = opinions.vectors.reshape(seeds, n, 3)
    epochs = np.ones(seeds, dtype=np.int64) if tallies is None else tallies.epoch
    return Sweep.of(settled_at.reshape(seeds, n), outcomes, preferred, states, lying, epochs)


def _betrayed(
    scenario: Scenario,
    shift: FloatArray,
    lying: BoolArray,
    receivers: IntArray,
    rng: np.random.Generator,
) -> FloatArray:
    """How far the coin moves the means of receivers (m,), as far as liars know: if they are
    rushing, they wait for the f + 1 that open it, of which they are some themselves."""
    blind = np.zeros(len(lying), dtype=np.bool_)
    if scenario.coin == "ideal":
        blind[:] = True
    elif scenario.coin == "rushing":
        n = scenario.agents
        order = rng.random(len(lying)) + lying  # liars do not matter, so they come last
        ranks = np.argsort(np.argsort(order.reshape(-1, n), axis=1), axis=1).reshape(-1)
        blind = ranks < scenario.declared + 1 - scenario.faulty
    known = ~blind[receivers] & (shift[receivers] != 0)
    return np.where(known, shift[receivers], np.nan)


def _liars(scenario: Scenario, seeds: int, rng: np.random.Generator) -> BoolArray:
    first = np.tile(np.arange(scenario.agents) < scenario.faulty, (seeds, 1))
    return rng.permuted(first, axis=1)


def _meshes(scenario: Scenario, seeds: int, rng: np.random.Generator) -> sampling.Lists:
    if scenario.topology.kind == "complete":
        return sampling.COMPLETE
    neighbours: list[IntArray] = []
    for swarm in range(seeds):
        mesh = Mesh(scenario.topology, scenario.agents, rng, scenario.initial_edges(), scenario.k)
        neighbours += [some + swarm * scenario.agents for some in mesh.neighbours]
    return sampling.lists(neighbours)
