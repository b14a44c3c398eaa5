"""Votes that make a decision final: epochs, attestations, locks, commits and certificates."""

from tmesh.errors import InvalidCertificate
from tmesh.finality.certificate import Certificate, Decision
from tmesh.finality.rules import Act, Vote, quorum, tolerated
from tmesh.finality.voter import Signed, Summary, Voter, pack, unpack

__all__ = [
    "Act",
    "Certificate",
    "Decision",
    "InvalidCertificate",
    "Signed",
    "Summary",
    "Vote",
    "Voter",
    "pack",
    "quorum",
    "tolerated",
    "unpack",
]
