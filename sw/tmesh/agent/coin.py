"""The coin that ends a tie: one signature of a drawn leader, in each place from epoch 2 on.

The leader states the coin as late as possible: the statement reaches every present author just when
averaging ends. An author then tosses if its past holds the coin, nobody there amplifies, and f + 1
present authors opened for each side. So no coin touches a swarm whose honest agents agree. A leader
that withholds or chooses its coin costs an epoch or chooses between two balanced outcomes.
"""

import dataclasses
import hashlib
from typing import NamedTuple

import cbor2

from tmesh.agent.draw import Draw
from tmesh.agent.opinion import Opinions
from tmesh.finality.encoding import packed
from tmesh.genesis import SwarmRules
from tmesh.ledger import KeySet, Signer

#: First in what a coin signs. Not on air.
DOMAIN = b"tmesh coin 1"

#: Coins are tossed from this epoch on.
FIRST_EPOCH = 2


class Toss(NamedTuple):
    """The use of a coin in one statement: the leader's signature (64 bytes, empty for none), and
    the branchings whose opinions it sets, as the bits of a number."""

    signature: bytes = b""
    branchings: int = 0


#: No use of a coin.
NO_TOSS = Toss()


@dataclasses.dataclass(frozen=True)
class Coin:
    """The coin of one place, by the id of its decision, its epoch and its generation.

    leader: the agent whose signature it is, None in a place without a coin. stated: the round of
    the leader's statement that carries it. tossed: the round in which authors use it.
    """

    message: bytes
    leader: int | None
    stated: int
    tossed: int

    @classmethod
    def of(cls, rules: SwarmRules, draw: Draw, place: tuple[bytes, int, int]) -> "Coin":
        """The coin of a place with this draw."""
        decision, epoch, generation = place
        tossed = rules.limit(epoch)
        stated = tossed - draw.reach
        # At level `sampled` nobody knows how many agents opened for each side.
        tosses = epoch >= FIRST_EPOCH and stated > 0 and rules.level != "sampled"
        leader = draw.leader if tosses else None
        message = DOMAIN + cbor2.dumps([decision, epoch, packed(generation)], canonical=True)
        return cls(message, leader, stated, tossed)

    def due(self, author: int, count: int) -> bool:
        """Whether an author's statement of round `count` must carry the coin."""
        return author == self.leader and count == self.stated

    def sign(self, signer: Signer) -> bytes:
        """The leader's signature."""
        return signer.sign(self.message)

    def fault(self, author: int, count: int, toss: Toss, keys: KeySet) -> str | None:
        """The fault of a statement's toss that shows without its past, None for a good one."""
        if toss.branchings and count != self.tossed:
            return f"it tosses a coin in round {count}"
        if bool(toss.signature) != (self.due(author, count) or toss.branchings > 0):
            return "it withholds the coin" if not toss.signature else "it states a coin"
        if toss.signature and (
            self.leader is None or not keys.verify(self.leader, self.message, toss.signature)
        ):
            return "its coin is not the leader's"
        return None


def tossed(opinions: Opinions, toss: Toss) -> Opinions:
    """The opinions as an update with this toss takes them: with the coin's sign, at least one unit.

    The sign is that of `side`.
    """
    if not toss.branchings:
        return opinions
    z = tuple(
        side(toss.signature, place) * max(abs(one), 1) if toss.branchings >> place & 1 else one
        for place, one in enumerate(opinions.z)
    )
    return opinions._replace(z=z)


def side(signature: bytes, branching: int) -> int:
    """The side on which a coin falls: 1 for the lower outcomes of a branching, −1 for the others.
    It is the lowest bit of the first byte of SHA-256(signature ‖ branching, 2 bytes)."""
    return 1 - 2 * (hashlib.sha256(signature + branching.to_bytes(2)).digest()[0] & 1)
