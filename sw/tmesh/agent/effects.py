"""The effects of an agent, which its host carries out in order."""

import dataclasses

from tmesh.agent.opinion import Work
from tmesh.agent.proof import Proof
from tmesh.finality import Certificate


@dataclasses.dataclass(frozen=True)
class Send:
    """Send bytes to another agent; they may be lost, late or doubled."""

    to: int
    message: bytes


@dataclasses.dataclass(frozen=True)
class SetTimer:
    """Call `Agent.expire` with this timer after some seconds."""

    seconds: float
    timer: tuple[bytes, int]


@dataclasses.dataclass(frozen=True)
class Compute:
    """Evaluate updates on the device, and call `Agent.computed` with this token and the results.

    Without `claimed` these are new opinions. With it they are an audit: whether each result is the
    claimed one.
    """

    token: bytes
    works: tuple[Work, ...]
    claimed: tuple[int, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Persist:
    """Write a record to the agent's journal before any later effect. If that fails, stop the
    agent: `Agent.restore` continues from the records that are on disk."""

    record: bytes


@dataclasses.dataclass(frozen=True)
class Decided:
    """A decision is final."""

    certificate: Certificate


@dataclasses.dataclass(frozen=True)
class Exposed:
    """The agent holds a fraud proof, and excludes its author."""

    proof: Proof


@dataclasses.dataclass(frozen=True)
class Failed:
    """The device computed other bits than the integer model. The agent makes no more statements."""

    reason: str


Effect = Send | SetTimer | Compute | Persist | Decided | Exposed | Failed
