"""A statement: a signed hyperedge from an agent to the statements that it used."""

import dataclasses
import hashlib
from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import NamedTuple, Self

import cbor2

from tmesh.agent.coin import NO_TOSS, Toss
from tmesh.agent.draw import Draw
from tmesh.agent.opinion import Opinions
from tmesh.agent.sight import Sight, fields, read
from tmesh.errors import InvalidInput
from tmesh.finality.encoding import AGENTS, packed, unpacked
from tmesh.ledger import KeySet, Signer
from tmesh.ledger.encoding import array, loaded, number, octets
from tmesh.ledger.keys import SIGNATURE_BYTES

#: First in what is signed, so that no signature means something elsewhere. Not on air.
DOMAIN = b"tmesh statement 1"

#: The most bytes of a statement: the most opinions take about 9 bytes each, and as much again in
#: each level of a sight.
LARGEST = 1 << 17

_ID = 32
_Z = 1 << 18


class Place(NamedTuple):
    """The rounds that a statement belongs to: those of one decision (its id), epoch and generation
    (agents with a fraud proof, as the bits of a number)."""

    decision: bytes
    epoch: int
    generation: int


@dataclasses.dataclass(frozen=True)
class Statement:
    """The opinions of `author` after `round` updates in one place.

    Round 0 cites nothing: it states the author's evidence, or with `lock` an outcome that a quorum
    attested in that epoch. Round r cites the statements of round r − 1 of its author and of the
    agents in its list. `list_` marks these agents: bit n is the n-th of the author's drawn
    neighbours. `cites` is one SHA-256 over the ids of all cited statements. `toss` is the
    use of a coin, and `sight` a summary of the rounds before at level `sampled`.

    The id is the SHA-256 of the signed body. Raises `InvalidInput` for fields that `decode` would
    refuse.
    """

    place: Place
    author: int
    round: int
    list_: int
    cites: bytes
    opinions: Opinions
    lock: int = 0
    toss: Toss = NO_TOSS
    sight: Sight = ()
    signature: bytes = b""

    def __post_init__(self) -> None:
        decision, epoch, generation = self.place
        count = number("round", self.round)
        z, streak, amplified = self.opinions
        coin, tossed = self.toss
        checked = {
            "place": Place(
                octets("decision", decision, _ID),
                number("epoch", epoch, least=1),
                number("generation", generation, below=1 << AGENTS),
            ),
            "author": number("author", self.author, below=AGENTS),
            "round": count,
            "list_": number("list", self.list_, below=1 << 512 if count else 1),
            "cites": octets("cites", self.cites, _ID if count else 0),
            "opinions": Opinions(
                tuple(_z(one) for one in array("z", z)),
                tuple(number("streak", one) for one in array("streak", streak, len(z))),
                number("amplified", amplified, below=1 << len(z)),
            ),
            "lock": number("lock", self.lock, below=1 if count else epoch),
            "toss": Toss(
                octets("coin", coin, SIGNATURE_BYTES if coin and count else 0),
                number("tossed", tossed, below=1 << len(z) if count else 1),
            ),
            "sight": read(self.sight, z, _Z),
            "signature": octets(
                "signature", self.signature, SIGNATURE_BYTES if self.signature else 0
            ),
        }
        if not z:
            raise InvalidInput("z: there is no opinion")
        if not count and (amplified or any(streak) or self.sight):
            raise InvalidInput("opinions: round 0 amplifies nothing, and sees nothing")
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @cached_property
    def body(self) -> bytes:
        """The bytes that are signed, after `DOMAIN`: deterministic CBOR (RFC 8949, 4.2.1)."""
        decision, epoch, generation = self.place
        z, streak, amplified = self.opinions
        parts = [decision, epoch, packed(generation), self.author, self.round, packed(self.list_)]
        parts += [self.cites, list(z), list(streak), packed(amplified), self.lock]
        parts += [self.toss.signature, packed(self.toss.branchings), fields(self.sight)]
        return cbor2.dumps(parts, canonical=True)

    @cached_property
    def id(self) -> bytes:
        """SHA-256 of the body, 32 bytes."""
        return hashlib.sha256(DOMAIN + self.body).digest()

    @cached_property
    def encoded(self) -> bytes:
        """The bytes that travel. Raises `InvalidInput` for a statement without signature."""
        octets("signature", self.signature, SIGNATURE_BYTES)
        return self.body + self.signature

    @classmethod
    def decode(cls, data: bytes) -> "Statement":
        """From its bytes, exactly those that `encoded` gives; `verify` checks the signature.

        Raises `InvalidInput` for any others.
        """
        return _decoded(octets("statement", data, most=LARGEST))

    def signed(self, signer: Signer) -> Self:
        """The statement with its author's signature."""
        return dataclasses.replace(self, signature=signer.sign(DOMAIN + self.body))

    def verify(self, keys: KeySet) -> bool:
        """Whether its author, one of `keys`, signed it."""
        return keys.verify(self.author, DOMAIN + self.body, self.signature)

    def heard(self, draw: Draw) -> tuple[int, ...]:
        """The agents in its list, ascending. Round 0 lists the whole draw. Raises `InvalidInput`
        for a list that marks more agents than were drawn."""
        return draw.heard(self.author, self.list_) if self.round else draw.lists[self.author]


def digest(cited: Iterable[bytes]) -> bytes:
    """The citations of a statement: one digest over the ids of its author's last statement and of
    those of its list, by ascending author."""
    return hashlib.sha256(b"".join(cited)).digest()


def mark(draw: Draw, author: int, heard: Iterable[int]) -> int:
    """The list of a statement, from the agents in it."""
    drawn = draw.lists[author]
    return sum(1 << drawn.index(agent) for agent in heard)


def _z(value: object) -> int:
    return number("z", value, least=-_Z, below=_Z + 1)


# Many agents in one process read the same statements, and hold them once.
@lru_cache(maxsize=1 << 16)
def _decoded(data: bytes) -> Statement:
    body, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    parts = array("statement", loaded(body, LARGEST), 14)
    decision, epoch, generation, author, count, marked, cites, z, streak, amplified = parts[:10]
    lock, coin, branchings, sight = parts[10:]
    opinions = Opinions(
        tuple(array("z", z)), tuple(array("streak", streak)), unpacked("amplified", amplified)
    )
    place = Place(decision, epoch, unpacked("generation", generation))
    toss = Toss(coin, unpacked("tossed", branchings))
    made = Statement(
        place,
        author,
        count,
        unpacked("list", marked),
        cites,
        opinions,
        lock,
        toss,
        read(sight, z, _Z),
        signature,
    )
    if made.encoded != data:
        raise InvalidInput("statement: the encoding is not canonical")
    return made
