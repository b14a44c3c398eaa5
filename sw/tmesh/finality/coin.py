"""The common coin: a random number that all agents share in a round, and liars should learn late.

Here one object stands for a protocol with threshold signatures (Cachin, Kursawe and Shoup 2000): it
opens a round's number when f + 1 agents have committed to what they heard in it, so at least one
honest agent's sample was fixed before anyone knew it.
"""

import hashlib
from typing import Literal

Kind = Literal["none", "ideal", "rushing", "known"]

#: What liars know when they answer somebody: `ideal`, nothing that is of use; `rushing`, numbers
#: that are open, though he has not committed to his sample; `known`, all of them. `none`: no coin.
KINDS: tuple[Kind, ...] = ("none", "ideal", "rushing", "known")


class Coin:
    """Numbers in [−1, 1] for rounds of a run; `needed` agents open one."""

    def __init__(self, kind: Kind, seed: int, needed: int) -> None:
        self.kind, self._seed, self._needed = kind, seed, needed
        self._committed: dict[int, set[int]] = {}

    def commit(self, agent: int, round_: int) -> None:
        """An agent has fixed what it uses in a round."""
        self._committed.setdefault(round_, set()).add(agent)

    def opened(self, round_: int) -> bool:
        """Whether everyone can know the number of a round."""
        return len(self._committed.get(round_, ())) >= self._needed

    def number(self, round_: int) -> float:
        """The number of a round."""
        if self.kind == "none":
            return 0.0
        digest = hashlib.sha256(f"tmesh coin {self._seed} {round_}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**63 - 1

    def betrayed(self, round_: int) -> float:
        """The number as liars know it, NaN if they do not."""
        known = self.kind == "known" or (self.kind == "rushing" and self.opened(round_))
        return self.number(round_) if known else float("nan")
