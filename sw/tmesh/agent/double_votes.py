"""Finds authors that vote for two outcomes at once."""

from tmesh.finality import Act, Signed
from tmesh.finality.rules import HORIZON


class DoubleVotes:
    """The first attestation and commit of each author in each epoch near an agent's own."""

    def __init__(self) -> None:
        self._first: dict[tuple[int, Act, int], Signed] = {}

    def add(self, vote: Signed, epoch: int) -> Signed | None:
        """Keep a vote whose signature holds. epoch: the agent's own. Returns an earlier vote of the
        same author, act and epoch for another outcome."""
        act, at, outcome = vote.vote
        if act == Act.ENTER or abs(at - epoch) > HORIZON:
            return None
        first = self._first.setdefault((vote.author, act, at), vote)
        return first if first.vote.outcome != outcome else None

    def trim(self, epoch: int) -> None:
        """Forget what is far from an epoch."""
        far = [key for key in self._first if abs(key[2] - epoch) > HORIZON]
        for key in far:
            del self._first[key]
