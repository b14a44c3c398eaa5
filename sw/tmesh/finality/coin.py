"""The common coin: a random number for all agents in a round, which Byzantine agents learn late.

Here one object stands for a protocol with threshold signatures (Cachin, Kursawe and Shoup 2000): it
opens a round's number when f + 1 agents have committed to what they heard in it, so at least one
honest agent's sample was fixed before anyone knew it.
"""

import hashlib
from typing import Literal, NamedTuple

Kind = Literal["none", "ideal", "rushing", "known"]

#: Numbers that Byzantine agents know when they answer an agent. `ideal`: none that it still needs.
#: `rushing`: open numbers, before it has committed to its sample. `known`: all. `none`: no coin.
KINDS: tuple[Kind, ...] = ("none", "ideal", "rushing", "known")


class Round(NamedTuple):
    """One number of the coin."""

    epoch: int
    round: int


class Coin:
    """Numbers in [−1, 1] for rounds of each epoch, other ones for each `name`; `needed` agents
    open one.

    Rounds belong to the swarm. A late agent skips to the last open one, and no agent goes beyond
    the next, so that all use the same numbers at the same time.
    """

    def __init__(self, kind: Kind, name: str, needed: int) -> None:
        self.kind, self._name, self._needed = kind, name, needed
        self._committed: dict[Round, set[int]] = {}
        self._front: dict[int, int] = {}
        self._last: dict[int, Round] = {}

    def next(self, agent: int, epoch: int) -> Round:
        """The round that an agent's next sample is for."""
        last = self._last.get(agent, Round(0, 0))
        own = last.round + 1 if last.epoch == epoch else 1
        return Round(epoch, max(own, self._front.get(epoch, 1)))

    def commit(self, agent: int, epoch: int) -> Round:
        """An agent has fixed what it uses in its next round, which this is."""
        round_ = self._last[agent] = self.next(agent, epoch)
        self._committed.setdefault(round_, set()).add(agent)
        if self.opened(round_):
            self._front[epoch] = max(round_.round, self._front.get(epoch, 1))
        return round_

    def opened(self, round_: Round) -> bool:
        """Whether everyone can know the number of a round."""
        return len(self._committed.get(round_, ())) >= self._needed

    def number(self, round_: Round) -> float:
        """The number of a round."""
        if self.kind == "none":
            return 0.0
        text = f"tmesh coin {self._name} {round_.epoch} {round_.round}"
        digest = hashlib.sha256(text.encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**63 - 1

    def betrayed(self, round_: Round) -> float:
        """The number as Byzantine agents know it, NaN if they do not."""
        known = self.kind == "known" or (self.kind == "rushing" and self.opened(round_))
        return self.number(round_) if known else float("nan")
