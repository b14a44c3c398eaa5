"""One agent of the swarm as a state machine: opinions, statements, audits and votes."""

from tmesh.agent.agent import Agent
from tmesh.agent.context import Memo
from tmesh.agent.effects import (
    Compute,
    Decided,
    Effect,
    Exposed,
    Failed,
    Persist,
    Send,
    SetTimer,
)
from tmesh.agent.opinion import Work, evaluate
from tmesh.agent.proof import Proof
from tmesh.agent.statement import Statement

__all__ = [
    "Agent",
    "Compute",
    "Decided",
    "Effect",
    "Exposed",
    "Failed",
    "Memo",
    "Persist",
    "Proof",
    "Send",
    "SetTimer",
    "Statement",
    "Work",
    "evaluate",
]
