"""Scenario files: TOML, validated, with one line per mistake."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, model_validator

from tmesh.adversaries import kind
from tmesh.config import core_config
from tmesh.devices import device_name
from tmesh.errors import InvalidInput
from tmesh.files import read_at_most
from tmesh.finality import quorum, tolerated
from tmesh.genesis import SwarmRules
from tmesh.golden.reference import FloatArray
from tmesh.network import PROFILES, Channel, Partition, Topology
from tmesh.network.network import Agents
from tmesh.numbers import BoolArray, IntArray
from tmesh.settings import Settings
from tmesh.swarm import tables
from tmesh.swarm.conflict_sets import MOST_DECISIONS, Subset

#: Bytes of a scenario file.
LONGEST_FILE = 1 << 20

#: A number of rounds, messages or kills.
Count = Annotated[int, Field(ge=0, le=1 << 31)]

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

#: A beat takes so many mean delays of the channel, unless the rules say otherwise.
BEAT = 4

#: Keys of earlier versions: the new place of each, or the reason why it is gone.
MOVED = {
    **{
        key: f"it is a rule now: write it into the table [rules] as {key!r}"
        for key in ("k", "amplify", "kappa", "epsilon", "beta")
    },
    "timeout": "it is a rule now: write it into the table [rules] as 'epoch_beats'",
    "patience": "it is a rule now: write it into the table [rules] as 'patience', in beats",
    "faulty": "write the table [byzantine], such as stubborn = 6",
    "adversary": "write the table [byzantine], such as stubborn = 6",
    "mixing": "the frontier test says when an agent amplifies; the rule 'averaging' is the limit",
    "rounds": "a run has a limit of time now: 'seconds'",
    "states": "use 'evidence', a file with the probabilities of the outcomes",
    **dict.fromkeys(
        ("trim", "symmetric", "mode", "pause", "spread", "votes"),
        "draws and rounds in lockstep replace it",
    ),
    **dict.fromkeys(("coin", "threshold"), "no object plays a coin any more"),
    "dephase": "an agent's opinions are always dephased",
    "late": "a decision's id commits to its outcomes, so none comes late",
    "direction": "agents decide between labelled outcomes",
    **dict.fromkeys(("ledger", "finality"), "every run has it"),
}


class Scenario(Settings):
    """One swarm, the decisions that it takes, and everything that happens meanwhile.

    - agents: of the swarm. faults: Byzantine agents that the quorum tolerates; by default the
      largest number below a third.
    - rules: a table of `tmesh.genesis.SwarmRules`. Without `beat`, a beat is four mean delays of
      the channel. The fraction bits are those of the device.
    - outcomes, decisions: of each decision, and the number of decisions that all agents take.
      successive: whether an agent opens each of its decisions when it holds the certificate of the
      one before, instead of all at once.
    - subsets: tables `name`, `agents`, `decisions`, `faults`. These agents take further decisions
      among themselves, and the mesh must connect them without the others.
    - majority, confidence, noise: the share of the agents that prefer outcome 0, how much more
      probability they give to it, and the noise of that.
    - evidence: a file with the probabilities that the agents give to the outcomes of every
      decision, a CSV with one row an agent, or an NPZ with an array `evidence`.
    - byzantine: a table of kinds of Byzantine agents; of each how many, or a list of agents. A
      kind is a name of `tmesh.adversaries`, or `module:Class`; the module may be a file beside the
      scenario.
    - topology, edges: the mesh; `edges` is a file, a CSV with rows i,j, or an NPZ with an array
      `edges` (m, 2).
    - channel: a name of `tmesh.network.PROFILES`, or a table. partitions: tables `start`, `end`,
      `groups`.
    - kills: how often an honest agent is killed at a random moment of the first three seconds. It
      restarts from its journal.
    - seconds: the run ends then at the latest, in simulated time.
    - device, config: what computes the updates and audits.

    A CSV may begin with a header. In a scenario file, paths are relative to its folder.
    """

    agents: Annotated[int, Field(ge=2, le=1 << 16)] = 64
    faults: Annotated[int | None, Field(ge=0)] = None
    rules: Annotated[dict[str, Any], Field(strict=False)] = Field(default={})
    outcomes: Annotated[int, Field(ge=2, le=1024)] = 2
    decisions: Annotated[int, Field(ge=0, le=MOST_DECISIONS)] = 1
    successive: bool = False
    subsets: Annotated[tuple[Subset, ...], Field(strict=False)] = ()
    majority: Share = 0.6
    confidence: Share = 0.6
    noise: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 0.2
    evidence: str | None = None
    byzantine: Annotated[dict[str, Count | Agents], Field(strict=False)] = Field(default={})
    topology: Topology = Topology()
    edges: str | None = None
    channel: Channel = PROFILES["ideal"]
    partitions: Annotated[tuple[Partition, ...], Field(strict=False)] = ()
    kills: Count = 0
    seconds: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] = 600.0
    device: str = "verilator"
    config: str = "default"

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        for key in values:
            if key in MOVED and key not in cls.model_fields:
                raise InvalidInput(f"{key}: {MOVED[key]}")
        name = values.get("channel")
        if not isinstance(name, str):
            return values
        if name not in PROFILES:
            raise InvalidInput(f"channel: {name!r} is none of {', '.join(PROFILES)}")
        return {**values, "channel": PROFILES[name]}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        device_name(self.device)
        core_config(self.config)
        quorum(self.agents, self.declared)
        self.swarm_rules(16)
        if "f" in self.rules:
            raise InvalidInput("rules: f: the device says how many fraction bits there are")
        if self.edges is not None and self.topology.speed:
            raise InvalidInput("topology: speed: a mesh from a file of edges does not move")
        self._check_subsets()
        self._check_byzantine()
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

    def _check_byzantine(self) -> None:
        named = list[int]()
        for name, some in self.byzantine.items():
            kind(name)
            named += some if isinstance(some, tuple) else ()
        for agent in named:
            if not agent < self.agents:
                raise InvalidInput(f"byzantine: there is no agent {agent}")
            if named.count(agent) > 1:
                raise InvalidInput(f"byzantine: agent {agent} is named twice")
        if self.faulty >= self.agents:
            raise InvalidInput(f"byzantine: {self.faulty} of {self.agents} leave none honest")

    @property
    def declared(self) -> int:
        """The Byzantine agents that the quorum tolerates."""
        return tolerated(self.agents) if self.faults is None else self.faults

    @property
    def faulty(self) -> int:
        """The Byzantine agents of the run."""
        some = self.byzantine.values()
        return sum(len(one) if isinstance(one, tuple) else one for one in some)

    def swarm_rules(self, f: int) -> SwarmRules:
        """The rules of the genesis, for opinions with `f` fraction bits."""
        try:
            return SwarmRules.model_validate(
                {"beat": BEAT * self.channel.mean, **self.rules, "f": f}
            )
        except InvalidInput as error:
            raise InvalidInput(f"rules: {error}") from None

    def varied(self, **changes: Any) -> Self:
        """The scenario with other values of some keys, checked anew."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**{**fields, **changes})

    def kinds(self, rng: np.random.Generator) -> dict[int, str]:
        """The Byzantine agents and the kind of each; those that are not named are drawn."""
        found = {
            agent: name
            for name, some in self.byzantine.items()
            if isinstance(some, tuple)
            for agent in some
        }
        others = rng.permutation([one for one in range(self.agents) if one not in found]).tolist()
        for name, some in self.byzantine.items():
            if isinstance(some, int):
                found |= {others.pop(): name for _ in range(some)}
        return dict(sorted(found.items()))

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
        for key in ("evidence", "edges"):
            if isinstance(values.get(key), str):
                values[key] = str(source.parent / values[key])
        byzantine = values.get("byzantine")
        if isinstance(byzantine, dict):
            values["byzantine"] = {_beside(source, one): some for one, some in byzantine.items()}
        try:
            return cls(**values)
        except InvalidInput as error:
            raise InvalidInput(f"{path}: {error}") from None

    @classmethod
    def default(cls) -> Self:
        """The shipped scenario."""
        return cls.load(str(files("tmesh.scenarios") / "default.toml"))

    def beliefs(
        self, rng: np.random.Generator, byzantine: BoolArray, members: BoolArray
    ) -> FloatArray:
        """Probabilities (agents, outcomes) that the agents give to the outcomes of one decision.

        They come from the file, or each of the `members` (agents,) prefers one outcome. The share
        `majority` prefers outcome 0, both of the honest and of the `byzantine` (agents,).
        """
        if self.evidence is not None:
            return tables.evidence(Path(self.evidence), self.agents, self.outcomes)
        camps = np.zeros(self.agents, dtype=np.int64)
        for group in (np.nonzero(members & ~byzantine)[0], np.nonzero(members & byzantine)[0]):
            others = rng.permutation(group)[round(self.majority * len(group)) :]
            camps[others] = 1 + np.arange(len(others)) % (self.outcomes - 1)
        weight = np.eye(self.outcomes)[camps] * self.confidence
        weight += (1 - self.confidence) / self.outcomes
        weight *= np.exp(rng.normal(0, self.noise, weight.shape))
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))

    def initial_edges(self) -> IntArray | None:
        """Mesh edges (m, 2) from the file, or None."""
        if self.edges is None:
            return None
        return tables.edges(Path(self.edges), self.agents)


def _beside(source: Path, name: str) -> str:
    """The name of a kind; `module:Class` with the path of a file beside the scenario, if any."""
    module, separator, attribute = name.partition(":")
    path = source.parent / f"{module}.py"
    return f"{path}:{attribute}" if separator and path.is_file() else name
