"""The configuration of a core: the only generator parameters there are."""

import dataclasses
from collections.abc import Callable
from typing import Any

from tmesh import checks
from tmesh.errors import InvalidInput
from tmesh.numbers import MULTIPLIER_WIDTH, Q
from tmesh.opcodes import SPECTRAL, Opcode

#: The check and conversion of a field of each type.
_CHECKS: dict[Any, Callable[[str, object], object]] = {
    int: checks.integer,
    bool: checks.flag,
    float: checks.positive,
}


@dataclasses.dataclass(frozen=True)
class CoreConfig:
    """Parameters of one generated core.

    f: fraction bits of the format Q(2, f), 8 to 16. lanes: complex multipliers of the operator MAC,
    1, 2, 4, 8 or 16, or 0 for a core without matrices. gossip_lanes: lanes that combine resident
    states, 1, 2 or 3, or 0 for a core without states. agents: resident states. operators: operators
    that the core keeps. rounds: agents' rounds that may overlap, 1 to 16, or 0 for a core that only
    combines states, under unitary operators. link: bits of a word of the command stream, 32, 64 or
    128. cordics: CORDIC units of the eigensolver, 1, 2, 4 or 8, or 0 for a core without one.
    iterative: its one CORDIC is iterative. eigenvectors: whether it has them. microcoded: one
    multiplier does the work of a lane and of all rounds; Q(2, 14), a link of 32 bits, at most 8 192
    agents and 16 operators. clock_hz: the clock at which cycle counts are turned into time; an
    estimate until a board build measures it.
    """

    f: int = 16
    lanes: int = 4
    gossip_lanes: int = 0
    agents: int = 4096
    operators: int = 16
    rounds: int = 4
    link: int = 64
    cordics: int = 1
    iterative: bool = True
    eigenvectors: bool = True
    microcoded: bool = False
    clock_hz: float = 100e6

    def __post_init__(self) -> None:
        # Equal configurations are one circuit. The digest of a build is made of their text, so each
        # value needs the exact type of its field.
        for field in dataclasses.fields(self):
            value = _CHECKS[field.type](field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        checks.integer("f", self.f, 8, MULTIPLIER_WIDTH - 2)
        checks.choice("lanes", self.lanes, (0, 1, 2, 4, 8, 16))
        checks.choice("gossip_lanes", self.gossip_lanes, (0, 1, 2, 3))
        checks.integer("agents", self.agents, 2, 1 << 18)
        checks.integer("operators", self.operators, 1, 1024)
        checks.integer("rounds", self.rounds, 0, 16)
        checks.choice("link", self.link, (32, 64, 128))
        checks.choice("cordics", self.cordics, (0, 1, 2, 4, 8))
        self._check_together()

    def _check_together(self) -> None:
        """Fields that exclude each other."""
        if not (self.lanes or self.gossip_lanes):
            raise InvalidInput("one of lanes and gossip_lanes must not be 0")
        if self.cordics and not self.lanes:
            raise InvalidInput(
                f"cordics must be 0 in a core without matrices (lanes = 0), not {self.cordics!r}"
            )
        if self.iterative and self.cordics > 1:
            raise InvalidInput(f"cordics must be 0 or 1 where iterative, not {self.cordics!r}")
        if self.microcoded and (
            (self.f, self.link, self.lanes, self.gossip_lanes) != (14, 32, 0, 1)
            or self.agents > 1 << 13
            or self.operators > 16
            or self.rounds == 0
        ):
            raise InvalidInput(
                "a microcoded core has f = 14, link = 32, lanes = 0, gossip_lanes = 1, rounds, at "
                f"most 8192 agents and 16 operators, not {self!r}"
            )

    @property
    def capacity(self) -> int:
        """Resident states that there is room for."""
        return self.agents if self.gossip_lanes else 0

    @property
    def rows(self) -> int:
        """Resident states of one lane's memory bank; 0 in a core without states."""
        return -(-self.agents // self.gossip_lanes) if self.gossip_lanes else 0

    def has(self, operation: Opcode) -> bool:
        """Whether the core can do it."""
        spectral = operation in SPECTRAL
        vectors = operation in (Opcode.EIGENVECTORS_2, Opcode.EIGENVECTORS_4)
        there = bool(self.cordics) if spectral else bool(self.lanes)
        return there and (self.eigenvectors or not vectors)

    @property
    def q(self) -> Q:
        """The number format of operands and results."""
        return Q(2, self.f)


#: Configurations by name.
CONFIGS = {
    "default": CoreConfig(gossip_lanes=1),
    "sim-eigen": CoreConfig(lanes=1, cordics=4, iterative=False, eigenvectors=False),
    "sim-gossip": CoreConfig(lanes=0, gossip_lanes=1, cordics=0),
    "three-lanes": CoreConfig(lanes=0, gossip_lanes=3, rounds=0, link=128, cordics=0),
    "narrow": CoreConfig(f=14, lanes=1),
    "ulx3s-85f": CoreConfig(gossip_lanes=1, iterative=False, clock_hz=100e6),
    "ulx3s-25f": CoreConfig(
        f=14,
        lanes=0,
        gossip_lanes=1,
        agents=4096,
        link=32,
        cordics=0,
        microcoded=True,
        clock_hz=50e6,
    ),
    "icebreaker": CoreConfig(
        f=14,
        lanes=0,
        gossip_lanes=1,
        agents=8192,
        link=32,
        cordics=0,
        microcoded=True,
        clock_hz=21e6,
    ),
    "board": CoreConfig(lanes=1, gossip_lanes=1, agents=128, operators=4, rounds=2),
}


def core_config(config: str | CoreConfig) -> CoreConfig:
    """A configuration by name, or the object itself. Raises ``ValueError`` for unknown names."""
    if isinstance(config, CoreConfig):
        return config
    if not isinstance(config, str):
        raise InvalidInput(f"config must be a name or a CoreConfig, not {type(config).__name__}")
    if config not in CONFIGS:
        raise InvalidInput(f"config must be one of {', '.join(CONFIGS)}, not {config!r}")
    return CONFIGS[config]
