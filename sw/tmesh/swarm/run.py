"""`tmesh.run`: one scenario, from its seed to its result."""

import random
from collections.abc import Callable

import numpy as np

from tmesh import checks
from tmesh.adversaries import Byzantine, Plot, kind
from tmesh.agent import Agent, Memo
from tmesh.config import core_config
from tmesh.devices import Device, open_device
from tmesh.errors import InvalidInput, NotSupported
from tmesh.finality import Certificate, Decision
from tmesh.genesis import Genesis
from tmesh.golden.reference import FloatArray
from tmesh.ledger import KeySet
from tmesh.network import Mesh, Network, Partition
from tmesh.numbers import BoolArray, IntArray
from tmesh.swarm import metrics
from tmesh.swarm.outcomes import links_of, preferred, rival
from tmesh.swarm.result import Result, Suspect
from tmesh.swarm.roster import Roster
from tmesh.swarm.scenario import Scenario
from tmesh.swarm.simulation import Simulation

#: Kills happen in the first seconds.
KILLING = 3.0


def run(
    scenario: Scenario,
    device: Device | None = None,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Result:
    """Run `scenario` on `device` (default: the scenario's own); deterministic in `seed`.

    The run ends when all honest agents hold a final certificate for each of their decisions, or
    after the scenario's seconds. `progress` is called with the share of these certificates.

    Raises `InvalidInput` if a subset cannot decide, `NotSupported` for a device that is not exact.
    """
    seed = checks.seed("seed", seed)
    if not isinstance(scenario, Scenario):
        raise InvalidInput(f"scenario must be a Scenario, not {type(scenario).__name__}")
    if not isinstance(device, Device | None):
        raise InvalidInput(f"device must be an open device, not {type(device).__name__}")
    if device is None:
        with open_device(scenario.device, core_config(scenario.config)) as opened:
            return run(scenario, opened, seed, progress)
    if device.info.arithmetic == "float64":
        raise NotSupported(f"{device.info.device}: agents sign the bits of exact devices")
    world = World(scenario, device, seed)
    return world.run(progress)


class World:
    """One run."""

    def __init__(self, scenario: Scenario, device: Device, seed: int) -> None:
        self.scenario, self.device, self.seed = scenario, device, seed
        rng = np.random.default_rng(seed)
        n = scenario.agents
        self.kinds = scenario.kinds(rng)
        self.byzantine = np.isin(np.arange(n), list(self.kinds))
        mesh = Mesh(scenario.topology, n, rng, scenario.initial_edges())
        self.positions = mesh.positions
        self.network = Network(scenario.channel, mesh, rng, scenario.partitions)
        self.roster = Roster.of(scenario)
        _check(self.roster, self.byzantine, mesh)
        keys, self.signers = KeySet.simulated(n, seed)
        rules = scenario.swarm_rules(device.config.f)
        self.genesis = Genesis(keys, scenario.declared, links_of(mesh), rules)
        self.decisions = self.roster.decisions
        self.places = {decision.id: place for place, decision in enumerate(self.decisions)}
        members = self.roster.members
        self.beliefs = [scenario.beliefs(rng, self.byzantine, there) for there in members]
        self.preferred = np.array(
            [
                preferred(belief, there & ~self.byzantine)
                for belief, there in zip(self.beliefs, members, strict=True)
            ]
        )
        wanted = {
            decision.id: rival(belief, there & ~self.byzantine)
            for decision, belief, there in zip(self.decisions, self.beliefs, members, strict=True)
        }
        crowd = sum(1 << agent for agent in self.kinds)
        self.plot = Plot(crowd, wanted, random.Random(seed))
        self.memo = Memo()
        agents = [self._agent(agent, []) for agent in range(n)]
        self.simulation = Simulation(agents, self.network, device, self._agent)
        honest = np.nonzero(~self.byzantine)[0]
        for agent in rng.choice(honest, scenario.kills).tolist():
            self.simulation.kill(agent, KILLING * rng.random())
        self._left: list[list[Decision]] = []
        self._links: list[tuple[int, int]] = []
        self.history: list[dict[str, float]] = []
        self.glued: list[dict[str, int]] = []

    def run(self, progress: Callable[[float], None] | None) -> Result:
        """To the end."""
        simulation, scenario = self.simulation, self.scenario
        cycles = self.device.cycles or 0
        for agent, one in enumerate(simulation.agents):
            simulation.act(agent, one.start())
            own = [self.decisions[n] for n in np.nonzero(self.roster.members[:, agent])[0]]
            self._left.append(own[::-1])
            for _ in range(1 if scenario.successive else len(own)):
                self._open_next(agent)
        ahead = sorted(scenario.partitions, key=lambda one: one.end)
        sample = 0.0
        while simulation.step(scenario.seconds):
            if scenario.successive:
                for agent, _ in simulation.take_decided():
                    self._open_next(agent)
            while ahead and self.network.now >= ahead[0].end:
                self.glued.append(self._merge(ahead.pop(0)))
            if self.network.now >= sample:
                self.history.append(self._row())
                sample = self.network.now + self.genesis.rules.beat
                if progress is not None:
                    progress(self.history[-1]["decided"])
            if self._over():
                break
        self.history.append(self._row())
        spent = None if self.device.cycles is None else self.device.cycles - cycles
        return self._result(spent)

    def _agent(self, agent: int, records: list[bytes]) -> Agent:
        def evidence(decision: Decision) -> list[float]:
            found: list[float] = self.beliefs[self.places[decision.id]][agent].tolist()
            return found

        if agent in self.kinds:
            made: type[Byzantine] = kind(self.kinds[agent])
            return made(self.genesis, self.signers[agent], self.plot, evidence)
        signer = self.signers[agent]
        return Agent(self.genesis, signer, evidence, memo=self.memo, records=records)

    def _open_next(self, agent: int) -> None:
        """The next decision of an agent, if one is left."""
        if self._left[agent]:
            effects = self.simulation.agents[agent].open(self._left[agent].pop())
            self.simulation.act(agent, effects)

    @property
    def _honest(self) -> list[int]:
        found: list[int] = np.nonzero(~self.byzantine)[0].tolist()
        return found

    def _over(self) -> bool:
        shares = self.roster.members & ~self.byzantine
        return self._certified() == int(np.count_nonzero(shares))

    def _certified(self) -> int:
        return sum(not self.byzantine[agent] for agent, _ in self.simulation.decided)

    def _opinions(self, place: int) -> IntArray:
        """z of a decision's first branching in units (agents,), `_NONE` for no part."""
        found = np.full(self.scenario.agents, _NONE)
        for agent in np.nonzero(self.roster.members[place])[0].tolist():
            name = self.decisions[place].id
            one = self.simulation.agents[agent].deliberations.get(name)
            found[agent] = one.opinions.z[0] if one is not None else 0
        return found

    def _row(self) -> dict[str, float]:
        """One sample; figures of opinions are of the honest, in the first decision."""
        units = self._opinions(0)
        there = self.roster.members[0] & ~self.byzantine
        f = self.genesis.rules.f
        z = units / 2.0**f
        links, heard = self._heard()
        name = self.decisions[0].id
        states = [self.simulation.agents[a].deliberations.get(name) for a in self._honest]
        settled = [one.settled for one in states if one is not None]
        shares = int(np.count_nonzero(self.roster.members & ~self.byzantine))
        return {
            "time": self.network.now,
            "entropy": float(metrics.entropies(units[there], f).mean()),
            "agreement": metrics.agreement(z[there]),
            "consistency_radius": metrics.consistency_radius(z, links),
            "obstruction": metrics.obstruction(z, heard, links),
            "settled": float(np.mean(settled)) if settled else 0.0,
            "decided": self._certified() / shares,
            "epoch": float(max((one.epoch for one in states if one is not None), default=1)),
            "generation": float(
                max(self.simulation.agents[a].excluded.bit_count() for a in self._honest)
            ),
        }

    def _heard(self) -> tuple[list[tuple[int, int]], FloatArray]:
        """Links that honest agents drew last in the first decision, and the opinion of the second
        end as the first one heard it last."""
        heard, name = dict[tuple[int, int], float](), self.decisions[0].id
        one = self.genesis.rules.one
        for agent in self._honest:
            state = self.simulation.agents[agent].deliberations.get(name)
            if state is None or state.stage is None:
                continue
            for other in state.stage.spread.neighbours:
                last = state.stage.history.last(other)
                if agent < other and not self.byzantine[other] and last is not None:
                    heard[agent, other] = last.statement.opinions.z[0] / one
        if heard:
            self._links = list(heard)
        z = self._opinions(0) / one  # once it is final, each end has the other's certificate
        return self._links, np.array([heard.get(link, z[link[1]]) for link in self._links])

    def _merge(self, partition: Partition) -> dict[str, int]:
        """At the end of a partition: the decisions on which the sides' settled opinions agree,
        conflict, or are open."""
        counts = {"agreed": 0, "conflicting": 0, "open": 0}
        sides = [set(group) for group in partition.groups]
        sides.append(set(range(self.scenario.agents)).difference(*sides))
        for decision in self.decisions:
            found = []
            for side in sides:
                states = [
                    self.simulation.agents[agent].deliberations.get(decision.id)
                    for agent in side & set(self._honest)
                ]
                known = [one.outcome for one in states if one is not None]
                if known:
                    found.append({one for one in known if one is not None})
            if len(set().union(*found)) > 1:
                counts["conflicting"] += 1
            else:
                counts["agreed" if found and all(found) else "open"] += 1
        return counts

    def _result(self, cycles: int | None) -> Result:
        agents, members = self.simulation.agents, self.roster.members
        outcomes = np.full(members.shape, -1)
        certificates = dict[tuple[bytes, int], Certificate]()
        for place, decision in enumerate(self.decisions):
            for agent in self._honest:
                certificate = agents[agent].certificates.get(decision.id)
                if certificate is not None:
                    outcomes[place, agent] = certificate.outcome
                    certificates.setdefault((decision.id, certificate.outcome), certificate)
        units = np.stack([self._opinions(place) for place in range(len(self.decisions))])
        opinions = np.where(units == _NONE, np.nan, units / 2.0**self.genesis.rules.f)
        excluded = set().union(*(set(agents[agent].proofs) for agent in self._honest))
        stated = [self._openings(place, excluded) for place in range(len(self.decisions))]
        return Result(
            device=self.device.info.device,
            seed=self.seed,
            fraction_bits=self.genesis.rules.f,
            members=members,
            opinions=opinions,
            outcomes=outcomes,
            preferred=self.preferred,
            stated=np.array([int(np.argmax(one)) for one in stated]),
            margin=_margin(stated[0], self.genesis.rules.cap),
            byzantine=self.byzantine,
            suspects=tuple(self._suspect(agent) for agent in self.kinds),
            wrongly_excluded=tuple(sorted(excluded - set(self.kinds))),
            failed=dict(self.simulation.failed),
            genesis=self.genesis,
            certificates=tuple(certificates.values()),
            statements=np.array(self.simulation.statements),
            depths=np.array(self.simulation.depths),
            generations=max(
                (one.starts for a in self._honest for one in agents[a].deliberations.values()),
                default=0,
            ),
            epochs=max(
                (one.epoch for a in self._honest for one in agents[a].deliberations.values()),
                default=1,
            ),
            frames=self.network.frames,
            deliveries=self.simulation.deliveries,
            bytes=dict(self.simulation.bytes),
            seconds=self.network.now,
            spent=self.simulation.spent,
            cycles=cycles,
            clock_hz=self.device.info.clock_hz,
            refused=sum(agents[agent].refused for agent in self._honest),
            glued=tuple(self.glued),
            positions=self.positions,
            links=tuple(self._heard()[0]),
            partitions=tuple((one.start, one.end) for one in self.scenario.partitions),
            history=tuple(self.history),
        )

    def _openings(self, place: int, excluded: set[int]) -> FloatArray:
        """Mean probabilities of the outcomes in the opening statements without a proof."""
        belief, decision = self.beliefs[place].copy(), self.decisions[place]
        for agent in self.kinds:
            one = kind(self.kinds[agent])
            wanted = self.plot.wanted[decision.id]
            belief[agent] = one.believe(belief[agent].tolist(), wanted)
        there = self.roster.members[place].copy()
        there[list(excluded)] = False
        return np.asarray(belief[there].mean(axis=0))

    def _suspect(self, agent: int) -> Suspect:
        times = [
            seconds
            for (holder, author), seconds in self.simulation.exposed.items()
            if author == agent and not self.byzantine[holder]
        ]
        kind_ = self.kinds[agent]
        first, last = (min(times), max(times)) if times else (None, None)
        return Suspect(agent, kind_, len(times), first, last)


_NONE = -(1 << 30)


def _margin(stated: FloatArray, cap: float) -> float:
    """By how much the best outcome leads, as a share of the cap."""
    second, first = np.sort(stated)[-2:]
    return float((first - second) / cap)


def _check(roster: Roster, byzantine: BoolArray, mesh: Mesh) -> None:
    """Raise `InvalidInput` for a subset that cannot decide."""
    for group in roster.groups:
        if np.all(byzantine[group.there]):
            raise InvalidInput(f"byzantine: nobody in subset {group.name!r} is honest")
        if group.name and not (mesh.topology.speed or mesh.joins(group.there)):
            raise InvalidInput(f"subsets: the mesh does not join the agents of {group.name!r}")
