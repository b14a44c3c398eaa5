"""Keys, signatures and their checks: Ed25519 (RFC 8032) within one swarm."""

import hashlib
import secrets
from collections.abc import Sequence
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from tmesh.errors import InvalidInput
from tmesh.ledger.curve import flaw
from tmesh.ledger.encoding import array, number, octets

KEY_BYTES, SIGNATURE_BYTES, SWARM_BYTES = 32, 64, 32

#: The swarm id of keys that are used without a genesis.
NO_SWARM = bytes(SWARM_BYTES)

#: Remembered verdicts on signatures, about 400 bytes each.
REMEMBERED = 1 << 16


class Signer:
    """Agent number `author` with its private key, from 32 secret bytes.

    All that it signs begins with the id of its `swarm`, 32 bytes. So a signature means something in
    one swarm only, even if a key is used in two.
    """

    def __init__(self, author: int, secret: bytes, swarm: bytes = NO_SWARM) -> None:
        self.author = number("author", author)
        self.secret = octets("secret", secret, KEY_BYTES)
        self.swarm = octets("swarm", swarm, SWARM_BYTES)
        self._key = Ed25519PrivateKey.from_private_bytes(secret)

    @classmethod
    def generate(cls, author: int) -> "Signer":
        """A new key, from the system's source of randomness; keep `secret` to have it again."""
        return cls(author, secrets.token_bytes(KEY_BYTES))

    @classmethod
    def simulated(cls, author: int, seed: int) -> "Signer":
        """A key that anyone can work out: the same for the same agent and seed."""
        return cls(author, hashlib.sha256(f"tmesh simulated key {seed} {author}".encode()).digest())

    def within(self, swarm: bytes) -> "Signer":
        """The same key in another swarm."""
        return Signer(self.author, self.secret, swarm)

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """The signature of swarm id and message, 64 bytes."""
        return self._key.sign(self.swarm + message)


class KeySet:
    """The public keys (32 bytes each) of all agents, in the order of their numbers.

    Raises `InvalidInput` for two equal keys, because one agent would count twice. It also does for
    a key outside of the group of the base point (`tmesh.ledger.curve`), because others could sign
    for it. Signatures count only in one `swarm`, whose id has 32 bytes.
    """

    def __init__(self, keys: Sequence[bytes], swarm: bytes = NO_SWARM) -> None:
        self.swarm = octets("swarm", swarm, SWARM_BYTES)
        for agent, key in enumerate(array("keys", keys)):
            octets(f"keys: agent {agent}", key, KEY_BYTES)
        self._keys = _distinct(keys)
        for agent, key in enumerate(self._keys):
            wrong = flaw(key)
            if wrong:
                raise InvalidInput(f"keys: agent {agent}: {key.hex()} {wrong}")

    @classmethod
    def of(cls, signers: Sequence[Signer]) -> Self:
        """The keys of signers of one swarm, agents 0 to n − 1 in order. Each is a multiple of the
        base point, so only their differences are checked."""
        made = cls((), signers[0].swarm if signers else NO_SWARM)
        for agent, signer in enumerate(signers):
            if signer.author != agent:
                raise InvalidInput(f"signers: number {agent} is of agent {signer.author}")
            if signer.swarm != made.swarm:
                raise InvalidInput(f"signers: agent {agent} is of another swarm")
        made._keys = _distinct([signer.public for signer in signers])
        return made

    @classmethod
    def simulated(cls, agents: int, seed: int) -> tuple[Self, list[Signer]]:
        """The keys of a simulated swarm, and its signers."""
        signers = [Signer.simulated(author, seed) for author in range(agents)]
        return cls.of(signers), signers

    def within(self, swarm: bytes) -> Self:
        """The same keys in another swarm."""
        made = type(self)((), swarm)
        made._keys = self._keys
        return made

    def __getitem__(self, author: int) -> bytes:
        return self._keys[author]

    def __len__(self) -> int:
        return len(self._keys)

    def verify(self, author: int, message: bytes, signature: bytes) -> bool:
        """Whether `author`, one of these agents, signed the message in this swarm.

        As RFC 8032, 5.1.7 without the factor 8, on OpenSSL: S < L, and [S]B − [k]A, encoded, is R
        byte for byte. So R has one encoding, and for a key of order L it has order L too. R is the
        neutral point only if the key's owner chose it.
        """
        if not 0 <= author < len(self._keys) or len(signature) != SIGNATURE_BYTES:
            return False
        return _verified(self._keys[author], self.swarm + message, signature)


def _distinct(keys: Sequence[bytes]) -> tuple[bytes, ...]:
    agents: dict[bytes, int] = {}
    for agent, key in enumerate(keys):
        other = agents.setdefault(bytes(key), agent)
        if other != agent:
            raise InvalidInput(f"keys: agent {agent}: {key.hex()} is the key of agent {other} too")
    return tuple(agents)


# Many replicas in one process check the same signatures. Digests stand for messages, which may be
# long and of anyone's choosing.
_verdicts: dict[tuple[bytes, bytes, bytes], bool] = {}


def _verified(key: bytes, message: bytes, signature: bytes) -> bool:
    question = key, hashlib.sha256(message).digest(), signature
    verdict = _verdicts.get(question)
    if verdict is None:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
            verdict = True
        except (InvalidSignature, ValueError):
            verdict = False
        if len(_verdicts) >= REMEMBERED:
            _verdicts.clear()
        _verdicts[question] = verdict
    return verdict
