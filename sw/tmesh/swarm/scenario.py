"""Scenario files: TOML, validated, with one line per mistake."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from tmesh.adversaries import adversary
from tmesh.config import core_config
from tmesh.devices import device_name
from tmesh.errors import InvalidInput
from tmesh.files import read_at_most
from tmesh.finality import quorum, tolerated
from tmesh.finality.coin import Kind
from tmesh.genesis import SwarmRules
from tmesh.genesis.rules import OpinionRules
from tmesh.golden.reference import FloatArray
from tmesh.network import PROFILES, Channel, Partition, Topology
from tmesh.numbers import BoolArray
from tmesh.swarm import tables
from tmesh.swarm.agenda import MOST_DECISIONS, LateOutcome, Subset

#: Bytes of a scenario file.
LONGEST_FILE = 1 << 20

#: A number of rounds, messages or kills.
Count = Annotated[int, Field(ge=0, le=1 << 31)]

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Scenario(OpinionRules):
    """One swarm and the decisions that it has to take. Beside the keys of `OpinionRules`:

    - mode: in `pull` an agent asks k others; in `symmetric` k agents exchange states and all take
      the mean.
    - pause, patience: mean time between the rounds of an agent, and its wait for answers, both in
      mean round trips of the channel.
    - channel: a name of `tmesh.network.PROFILES`, or a table.
    - direction: the decision is a direction in space instead of an outcome.
    - finality: agents vote, and the run ends when all honest agents hold certificates. Without it,
      the run ends when all opinions have collapsed.
    - faults: Byzantine agents that the quorum tolerates; by default the largest number below a
      third. faulty: how many the run has.
    - threshold: from the second epoch on a common random number moves the means of a round by up to
      this. coin: the source of that number (see `tmesh.finality.coin`).
    - spread: neighbours that an agent asks for votes in a round. votes: the most votes of one
      decision in a message.
    - kills: how often an honest agent is killed at a random moment. It restarts from its journal of
      votes.
    - decisions: the number of decisions that all agents take.
    - subsets: tables `name`, `agents`, `decisions`, `faults`. These agents take further decisions
      among themselves, and the mesh must connect them without the others.
    - late: tables `outcome`, `round`. An honest agent proposes the outcome in that round, and no
      agent knows it before.
    - states: a file with the initial states, a CSV with rows x,y,z of Bloch vectors, or an NPZ with
      an array `rho` (n, 2, 2) or `r` (n, 3).
    - edges: a file with the mesh, a CSV with rows i,j, or an NPZ with an array `edges` (m, 2).

    A CSV may begin with a header. In a scenario file, paths are relative to its folder.
    """

    agents: Annotated[int, Field(ge=2, le=1 << 18)] = 64
    majority: Share = 0.6
    confidence: Share = 0.6
    noise: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 0.2
    outcomes: Annotated[int, Field(ge=2, le=1024)] = 2
    decisions: Annotated[int, Field(ge=0, le=MOST_DECISIONS)] = 1
    subsets: Annotated[tuple[Subset, ...], Field(strict=False)] = ()
    late: Annotated[tuple[LateOutcome, ...], Field(strict=False)] = ()
    mode: Literal["pull", "symmetric"] = "pull"
    direction: bool = False
    trim: Count = 0
    finality: bool = True
    faults: Annotated[int | None, Field(ge=0)] = None
    threshold: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.25
    coin: Kind = "ideal"
    spread: Annotated[Count, Field(ge=1)] = 3
    votes: Annotated[Count, Field(ge=1)] = 256
    kills: Count = 0
    faulty: Count = 0
    adversary: str = "stubborn"
    topology: Topology = Topology()
    channel: Channel = PROFILES["ideal"]
    partitions: Annotated[tuple[Partition, ...], Field(strict=False)] = ()
    pause: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] = 1.0
    patience: Annotated[float, Field(ge=1, le=1e6, allow_inf_nan=False)] = 3.0
    ledger: bool = False
    mixing: Count = 12
    rounds: Annotated[Count, Field(ge=1)] = 200
    device: str = "verilator"
    config: str = "default"
    states: str | None = None
    edges: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _named_channel(cls, values: Any) -> Any:
        name = values.get("channel") if isinstance(values, dict) else None
        if not isinstance(name, str):
            return values
        if name not in PROFILES:
            raise InvalidInput(f"channel: {name!r} is none of {', '.join(PROFILES)}")
        return {**values, "channel": PROFILES[name]}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        adversary(self.adversary)
        device_name(self.device)
        core_config(self.config)
        if self.k >= self.agents:
            raise InvalidInput(f"k: {self.k} neighbours, but there are {self.agents} agents")
        if self.faulty >= self.agents:
            raise InvalidInput(f"faulty: {self.faulty} of {self.agents} agents leaves none honest")
        quorum(self.agents, self.declared)
        if self.trim >= self.k:
            raise InvalidInput(f"trim: leaving out {self.trim} of {self.k} neighbours leaves none")
        if self.edges is not None and self.topology.speed:
            raise InvalidInput("topology: speed: a mesh from a file of edges does not move")
        if self.beta > self.rounds:
            raise InvalidInput(f"beta: {self.beta} updates do not fit into {self.rounds} rounds")
        if self.kills and not self.finality:
            raise InvalidInput("kills: without finality agents have no journals to come back with")
        if self.direction and self.outcomes != 2:
            raise InvalidInput(f"outcomes: a direction is one state, not {self.outcomes} outcomes")
        if self.states is not None and (self.outcomes != 2 or self.late):
            raise InvalidInput(
                "states: they are for two outcomes that all know; a state has no more"
            )
        self._check_subsets()
        self._check_late()
        for partition in self.partitions:
            for agent in (agent for group in partition.groups for agent in group):
                if not 0 <= agent < self.agents:
                    raise InvalidInput(f"partitions: there is no agent {agent}")
        return self

    def _check_subsets(self) -> None:
        if not (self.decisions or self.subsets):
            raise InvalidInput("decisions: there are none")
        count = self.decisions + sum(subset.decisions for subset in self.subsets)
        if count > MOST_DECISIONS:
            raise InvalidInput(
                f"decisions: {count:,} with those of subsets, over {MOST_DECISIONS:,}"
            )
        names = [subset.name for subset in self.subsets]
        for subset in self.subsets:
            if names.count(subset.name) > 1:
                raise InvalidInput(f"subsets: two are called {subset.name!r}")
            if not max(subset.agents) < self.agents:
                raise InvalidInput(
                    f"subsets: {subset.name}: there is no agent {max(subset.agents)}"
                )

    def _check_late(self) -> None:
        outcomes = [late.outcome for late in self.late]
        if self.late and self.direction:
            raise InvalidInput("late: directions are all known")
        if self.late and not self.finality:
            raise InvalidInput("late: without finality nobody asks for votes, and so for proposals")
        if len(set(outcomes)) != len(outcomes):
            raise InvalidInput("late: an outcome is named twice")
        if not set(outcomes) < set(range(self.outcomes)):
            raise InvalidInput(f"late: some of {self.outcomes} outcomes, and not all")

    @property
    def round_seconds(self) -> float:
        """How long a round takes, about, where an answer is lost: the pause and the patience."""
        return 2 * (self.pause + self.patience) * self.channel.mean

    @property
    def declared(self) -> int:
        """How many agents may lie."""
        return tolerated(self.agents) if self.faults is None else self.faults

    def swarm_rules(self, f: int) -> SwarmRules:
        """The part of it that is in the genesis, for opinions with `f` fraction bits."""
        return SwarmRules(f=f, **{name: getattr(self, name) for name in OpinionRules.model_fields})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a scenario file. Raises `InvalidInput` with file, key and reason."""
        source = Path(path)
        try:
            data = read_at_most(source, LONGEST_FILE)
            values: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
        except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, nested too deep
            if isinstance(error, InvalidInput):
                raise
            raise InvalidInput(f"{path}: not TOML: {error}") from None
        for key in ("states", "edges"):
            if isinstance(values.get(key), str):
                values[key] = str(source.parent / values[key])
        try:
            return cls(**values)
        except InvalidInput as error:
            raise InvalidInput(f"{path}: {error}") from None

    @classmethod
    def default(cls) -> Self:
        """The shipped scenario."""
        return cls.load(str(files("tmesh.scenarios") / "default.toml"))

    def initial_states(
        self, rng: np.random.Generator, lying: BoolArray, there: BoolArray
    ) -> FloatArray:
        """Bloch vectors (m, 3) for one decision of the agents that are `there` (agents,).

        They come from the file, or are drawn around ±z with noise. The share `majority` of the
        honest agents begins at +z, and the same share of those `lying` (agents,).
        """
        if self.states is not None:
            return tables.states(Path(self.states), self.agents)[there]
        lying = lying[there]
        r = rng.normal(0, self.noise, (len(lying), 3))
        r[:, 2] += self.confidence * (1 - 2 * (self._camps(rng, lying) > 0))
        return np.asarray(r / np.maximum(1, np.linalg.norm(r, axis=1, keepdims=True)))

    def initial_evidence(
        self, rng: np.random.Generator, lying: BoolArray, there: BoolArray
    ) -> FloatArray:
        """Probabilities (m, outcomes) that those who are `there` (agents,) give to the outcomes of
        one decision: each prefers one, `majority` of them the first, with `confidence`, and `noise`
        in all; as much of those `lying` (agents,)."""
        camps = self._camps(rng, lying[there])
        weight = self.confidence * np.eye(self.outcomes)[camps]
        weight += (1 - self.confidence) / self.outcomes
        weight *= np.exp(rng.normal(0, self.noise, weight.shape))
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))

    def _camps(
        self, rng: np.random.Generator, lying: BoolArray
    ) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The outcome that each agent prefers, of agents `lying` or not, (agents,)."""
        camps = np.zeros(len(lying), dtype=np.int64)
        for group in (np.nonzero(~lying)[0], np.nonzero(lying)[0]):
            others = rng.permutation(group)[round(self.majority * len(group)) :]
            camps[others] = 1 + np.arange(len(others)) % (self.outcomes - 1)
        return camps

    def initial_edges(self) -> np.ndarray[Any, np.dtype[np.int64]] | None:
        """Mesh edges (m, 2) from the file, or None."""
        if self.edges is None:
            return None
        return tables.edges(Path(self.edges), self.agents)
