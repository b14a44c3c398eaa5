"""What a run ends with."""

import dataclasses
import json
from typing import Any

import numpy as np

from tmesh.finality import Certificate
from tmesh.genesis import Genesis
from tmesh.golden.reference import ComplexArray, FloatArray
from tmesh.numbers import BoolArray, IntArray
from tmesh.settings import plain
from tmesh.swarm import metrics


@dataclasses.dataclass(frozen=True)
class Result:
    """The end of a run.

    members: (decisions, agents), which agents take which decisions.
    states: (decisions, agents, 2, 2), NaN for agents that do not take a decision; of directions, in
    the common frame.
    entropies: of these states in nats, (decisions, agents).
    outcomes: (decisions, agents), −1 for none; of the certificate that the agent holds, without
    finality of its collapsed opinion.
    genesis: its keys verify the certificates.
    certificates: one final certificate for each decision, and one for each conflicting outcome.
    preferred: the outcome that most honest agents have evidence for, (decisions,); of directions, 0
    for up.
    lying: (agents,). updates: of each agent's opinions; round_counts: rounds that it began until it
    was done, without finality its updates. delays: messages on the longest causal chain up to an
    agent's last update or vote. frames, bytes: put on air, the bytes by part. seconds: simulated.
    cycles: of the core for the updates, not for the history. refused: messages that were dropped,
    by reason. accused: agents of whom somebody honest holds a proof of equivocation. heals: of each
    partition that is over, seconds, rounds and bytes until all honest agents had all events of
    before its end.
    glued: at the end of each partition, how many decisions fit together (`tmesh.swarm.gluing`).
    tombstones: attestations by honest agents of outcomes that lost. epochs: the last one that an
    honest agent was in. history: one row per sample.
    """

    device: str
    seed: int
    states: ComplexArray
    entropies: FloatArray
    members: BoolArray
    outcomes: IntArray
    preferred: IntArray
    lying: BoolArray
    genesis: Genesis
    certificates: tuple[Certificate, ...]
    updates: IntArray
    round_counts: IntArray
    delays: IntArray
    frames: int
    bytes: dict[str, int]
    seconds: float
    cycles: int | None
    clock_hz: float | None
    refused: dict[str, int]
    accused: tuple[int, ...]
    heals: tuple[dict[str, float], ...]
    glued: tuple[dict[str, int], ...]
    tombstones: int
    epochs: int
    history: tuple[dict[str, float], ...]

    @property
    def decided(self) -> float:
        """Share of the honest agents' decisions that have an outcome."""
        return float(np.mean(self.outcomes[self.members & ~self.lying] >= 0))

    @property
    def outcome(self) -> int | None:
        """What most honest agents chose in the first decision; None when none has."""
        chosen = self._chosen(0)
        return int(np.bincount(chosen).argmax()) if len(chosen) else None

    @property
    def disagreements(self) -> int:
        """Outcomes of honest agents that are not those of the most, over all decisions."""
        chosen = [self._chosen(decision) for decision in range(len(self.outcomes))]
        return int(sum(len(some) - np.bincount(some).max(initial=0) for some in chosen))

    @property
    def rounds(self) -> float:
        """Median number of rounds of an honest agent that decides something."""
        return float(np.median(self.round_counts[self._deciding]))

    @property
    def events(self) -> int:
        """Updates of all agents."""
        return int(np.sum(self.updates))

    @property
    def _deciding(self) -> BoolArray:
        """Honest agents who have a part in some decision, (agents,)."""
        return np.asarray(~self.lying & np.any(self.members, axis=0))

    def _chosen(self, decision: int) -> IntArray:
        outcomes = self.outcomes[decision, ~self.lying]
        return outcomes[outcomes >= 0]

    def to_dict(self) -> dict[str, Any]:
        """The documented keys; figures of states are of the honest, in the first decision."""
        there = self.members[0] & ~self.lying
        rho, entropies = self.states[0, there], self.entropies[0, there]
        return {
            "device": self.device,
            "seed": self.seed,
            "agents": len(self.lying),
            "faulty": int(np.sum(self.lying)),
            "decided": self.decided,
            "outcome": self.outcome,
            "disagreements": self.disagreements,
            "rounds": self.rounds,
            "delays": float(np.median(self.delays[self._deciding])),
            "events": self.events,
            "cycles": self.cycles,
            "entropy": {"mean": float(entropies.mean()), "variance": float(entropies.var())},
            "agreement": metrics.agreement(rho),
            "purity": metrics.purity(rho),
            "coherence": metrics.coherence(rho),
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
            "frames": self.frames,
            "bytes": {"total": sum(self.bytes.values()), **self.bytes},
            "seconds": self.seconds,
            "refused": self.refused,
            "accused": list(self.accused),
            "heals": list(self.heals),
            "glued": list(self.glued),
            "tombstones": self.tombstones,
            "epochs": self.epochs,
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
