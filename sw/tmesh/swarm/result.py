"""The end of a run."""

import dataclasses
import json
from typing import Any

import numpy as np

from tmesh.finality import Certificate
from tmesh.genesis import Genesis
from tmesh.golden.reference import ComplexArray, FloatArray
from tmesh.numbers import BoolArray, IntArray
from tmesh.settings import plain
from tmesh.states import density
from tmesh.swarm import metrics
from tmesh.swarm.simulation import Spent


@dataclasses.dataclass(frozen=True)
class Suspect:
    """One Byzantine agent: its kind; how many honest agents hold a proof against it; seconds until
    the first and the last of them did, None without proof."""

    agent: int
    kind: str
    proven_by: int
    first: float | None
    last: float | None


@dataclasses.dataclass(frozen=True)
class Result:
    """The end of a run.

    - members: the agents of each decision, (decisions, agents).
    - opinions: z of each decision's first branching, (decisions, agents). NaN without a part.
    - outcomes: of the certificate that an agent holds, (decisions, agents). −1 for none.
    - genesis: its keys verify the certificates.
    - certificates: one for each decision, and one for each conflicting outcome.
    - preferred: the outcome that most honest agents prefer at the start, (decisions,).
    - stated: the outcome that the stated evidence favours, without proven agents, (decisions,).
    - margin: its lead in the first decision, as a share of the evidence cap.
    - byzantine: (agents,). suspects: one entry for each Byzantine agent.
    - wrongly_excluded: honest agents with a proof against them. There must be none.
    - failed: agents whose device computed wrong bits.
    - statements: of each agent, over all epochs and generations, (agents,).
    - depths: messages on the longest causal chain up to an agent's last input, (agents,).
    - generations, epochs: the most starts of the averaging, and the last epoch, of an honest agent.
    - frames, bytes: put on air, the bytes by part. deliveries: messages that arrived.
    - seconds: simulated. spent: work of the device. refused: messages that broke a rule.
    - glued: decisions that agreed, conflicted or were open at the end of each partition.
    - positions, links: of the mesh, and the links drawn last for the first decision.
    - history: one row per sample.
    """

    device: str
    seed: int
    fraction_bits: int
    members: BoolArray
    opinions: FloatArray
    outcomes: IntArray
    preferred: IntArray
    stated: IntArray
    margin: float
    byzantine: BoolArray
    suspects: tuple[Suspect, ...]
    wrongly_excluded: tuple[int, ...]
    failed: dict[int, str]
    genesis: Genesis
    certificates: tuple[Certificate, ...]
    statements: IntArray
    depths: IntArray
    generations: int
    epochs: int
    frames: int
    deliveries: int
    bytes: dict[str, int]
    seconds: float
    spent: Spent
    cycles: int | None
    clock_hz: float | None
    refused: int
    glued: tuple[dict[str, int], ...]
    positions: FloatArray | None
    links: tuple[tuple[int, int], ...]
    partitions: tuple[tuple[float, float], ...]
    history: tuple[dict[str, float], ...]

    @property
    def states(self) -> ComplexArray:
        """The density matrices of `opinions`, (decisions, agents, 2, 2)."""
        return density(np.stack([0 * self.opinions, 0 * self.opinions, self.opinions], axis=-1))

    @property
    def decided(self) -> float:
        """Share of the honest agents' decisions with a certificate."""
        return float(np.mean(self.outcomes[self.members & ~self.byzantine] >= 0))

    @property
    def outcome(self) -> int | None:
        """The outcome of most honest agents in the first decision; None when none has one."""
        chosen = self._chosen(0)
        return int(np.bincount(chosen).argmax()) if len(chosen) else None

    @property
    def disagreements(self) -> int:
        """Outcomes of honest agents that are not those of the most, over all decisions."""
        chosen = [self._chosen(decision) for decision in range(len(self.outcomes))]
        return int(sum(len(some) - np.bincount(some).max(initial=0) for some in chosen))

    @property
    def rounds(self) -> float:
        """Median number of statements of an honest agent that decides something."""
        return float(np.median(self.statements[self._deciding]))

    @property
    def delays(self) -> float:
        """Median causal depth of an honest agent that decides something."""
        return float(np.median(self.depths[self._deciding]))

    @property
    def events(self) -> int:
        """Statements of all agents."""
        return int(np.sum(self.statements))

    @property
    def _deciding(self) -> BoolArray:
        return np.asarray(~self.byzantine & np.any(self.members, axis=0))

    def _chosen(self, decision: int) -> IntArray:
        outcomes = self.outcomes[decision, ~self.byzantine]
        return outcomes[outcomes >= 0]

    def to_dict(self) -> dict[str, Any]:
        """The documented keys; figures of opinions are of the honest, in the first decision."""
        z = self.opinions[0, self.members[0] & ~self.byzantine]
        units = np.rint(z * 2.0**self.fraction_bits).astype(np.int64)
        entropies = metrics.entropies(units, self.fraction_bits)
        return {
            "device": self.device,
            "seed": self.seed,
            "agents": len(self.byzantine),
            "faulty": int(np.sum(self.byzantine)),
            "decided": self.decided,
            "outcome": self.outcome,
            "disagreements": self.disagreements,
            "preferred": self.preferred.tolist(),
            "stated": self.stated.tolist(),
            "rounds": self.rounds,
            "delays": self.delays,
            "events": self.events,
            "cycles": self.cycles,
            "entropy": {"mean": float(entropies.mean()), "variance": float(entropies.var())},
            "agreement": metrics.agreement(z),
            "purity": metrics.purity(z),
            "coherence": metrics.coherence(z),
            "certificates": [
                {
                    "decision": certificate.decision.id.hex(),
                    "outcome": certificate.outcome,
                    "label": certificate.label,
                    "epoch": certificate.vote.epoch,
                    "agents": certificate.decision.agents.bit_count(),
                    "signers": certificate.signers.bit_count(),
                    "bytes": certificate.encoded.hex(),
                }
                for certificate in self.certificates
            ],
            "byzantine": [dataclasses.asdict(one) for one in self.suspects],
            "wrongly_excluded": list(self.wrongly_excluded),
            "failed": {str(agent): reason for agent, reason in self.failed.items()},
            "generations": self.generations,
            "epochs": self.epochs,
            "updates": self.spent.updates,
            "audits": self.spent.audits,
            "cycles_of_updates": self.spent.update_cycles,
            "cycles_of_audits": self.spent.audit_cycles,
            "frames": self.frames,
            "deliveries": self.deliveries,
            "bytes": {"total": sum(self.bytes.values()), **self.bytes},
            "seconds": self.seconds,
            "refused": self.refused,
            "glued": list(self.glued),
            "history": list(self.history),
            "opinions": [
                [None if np.isnan(one) else one for one in some] for some in self.opinions.tolist()
            ],
            "genesis": self.genesis.encoded.hex(),
        }

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=2, default=_plain)


def _plain(value: object) -> object:
    """NumPy's numbers and arrays as Python's: JSON has no others."""
    converted = plain(value)
    if converted is value or isinstance(converted, complex):
        raise TypeError(f"a {type(value).__name__} is no part of a result")
    return converted
