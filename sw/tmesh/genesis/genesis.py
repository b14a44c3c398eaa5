"""The parameters that all agents of a swarm agree on before it starts."""

import hashlib
import itertools
from collections.abc import Sequence
from functools import cached_property

import cbor2

from tmesh.errors import InvalidInput
from tmesh.finality import quorum
from tmesh.genesis.rules import SwarmRules
from tmesh.ledger import KeySet, Signer
from tmesh.ledger.encoding import array, loaded, number, octets, shown

#: First in the bytes of a genesis.
DOMAIN = "tmesh genesis 1"

#: The most bytes of a genesis, and the most agents: to check a key takes about 2 ms.
LARGEST, AGENTS = 1 << 26, 1 << 18


class Genesis:
    """Members, fault bound, links and rules of one swarm.

    keys: the public keys of agents 0 to n − 1. faults: Byzantine agents that the quorum tolerates,
    f < n/3. links: pairs (i, j), i < j, ascending, of agents that may hear each other; None for all
    pairs. Its `id`, the swarm id, is the SHA-256 of its bytes. All signatures begin with it, so
    none means anything in another swarm. Raises `InvalidInput` for anything else.
    """

    def __init__(
        self,
        keys: KeySet,
        faults: int,
        links: Sequence[tuple[int, int]] | None = None,
        rules: SwarmRules | None = None,
    ) -> None:
        rules = SwarmRules() if rules is None else rules
        if not isinstance(keys, KeySet) or not isinstance(rules, SwarmRules):
            raise InvalidInput("genesis: not a KeySet and SwarmRules")
        self.faults, self.rules = number("faults", faults), rules
        quorum(len(keys), self.faults)
        self.links = None if links is None else _links(links, len(keys))
        public = [keys[agent] for agent in range(len(keys))]
        parts = [DOMAIN, public, self.faults, self.links, rules.model_dump()]
        self.encoded = octets("genesis", cbor2.dumps(parts, canonical=True), most=LARGEST)
        self.id = hashlib.sha256(self.encoded).digest()
        self.keys = keys.within(self.id)

    @classmethod
    def decode(cls, data: bytes) -> "Genesis":
        """From its bytes, exactly those of `encoded`. Raises `InvalidInput` for any others."""
        domain, keys, faults, links, rules = array("genesis", loaded(data, LARGEST), 5)
        if domain != DOMAIN:
            raise InvalidInput(f"genesis: it is of {shown(domain)}, not of {DOMAIN!r}")
        keys = array("keys", keys)
        number("keys", len(keys), least=1, below=AGENTS + 1)
        if not isinstance(rules, dict) or not all(isinstance(key, str) for key in rules):
            raise InvalidInput("rules: no table")
        made = cls(KeySet(keys), faults, links, SwarmRules.model_validate(rules))
        if made.encoded != data:
            raise InvalidInput("genesis: the encoding is not canonical")
        return made

    def signer(self, author: int, secret: bytes) -> Signer:
        """An agent of this swarm, from its secret key. Raises `InvalidInput` for another key."""
        made = Signer(number("author", author, below=len(self.keys)), secret, self.id)
        if made.public != self.keys[author]:
            raise InvalidInput(f"secret: it is not that of agent {author}")
        return made

    @cached_property
    def neighbours(self) -> tuple[int, ...]:
        """The agents that each agent may hear, as the bits of a number."""
        agents = len(self.keys)
        if self.links is None:
            return tuple((1 << agents) - 1 & ~(1 << agent) for agent in range(agents))
        found = [0] * agents
        for first, second in self.links:
            found[first] |= 1 << second
            found[second] |= 1 << first
        return tuple(found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Genesis) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)


def _links(links: object, agents: int) -> list[list[int]]:
    found = []
    for link in array("links", links):
        first, second = array("link", link, 2)
        first = number("link", first, below=agents)
        found.append([first, number("link", second, least=first + 1, below=agents)])
    for a, b in itertools.pairwise(found):
        if a >= b:
            raise InvalidInput(f"links: {b} does not come after {a}")
    return found
