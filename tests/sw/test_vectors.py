"""The committed test vectors: the code makes them, and they mean what they say."""

import hashlib
import json
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from tmesh.report import vectors

VECTORS = json.loads((Path(__file__).parents[2] / vectors.PATH).read_text())


@pytest.fixture(scope="module")
def public() -> list[Ed25519PublicKey]:
    secrets = [bytes.fromhex(one) for one in VECTORS["secrets"]]
    return [Ed25519PrivateKey.from_private_bytes(one).public_key() for one in secrets]


def test_the_code_makes_the_committed_vectors() -> None:
    assert json.loads(json.dumps(vectors.vectors())) == VECTORS


def test_statements_verify_with_nothing_but_their_description(
    public: list[Ed25519PublicKey],
) -> None:
    """Read as docs/agent.md says, without this project's code."""
    swarm, seen = bytes.fromhex(VECTORS["swarm id"]), {}
    assert hashlib.sha256(bytes.fromhex(VECTORS["genesis"])).digest() == swarm
    for one in VECTORS["statements"]:
        data = bytes.fromhex(one["bytes"])
        body, signature = data[:-64], data[-64:]
        place, author, count, listed, cites = _fields(body)
        public[author].verify(signature, swarm + b"tmesh statement 1" + body)
        name = hashlib.sha256(b"tmesh statement 1" + body).digest()
        assert name.hex() == one["id"]
        seen[author, count] = name
        assert place == [bytes.fromhex(VECTORS["decision"]["id"]), 1, b""]
        if count:
            near = VECTORS["draw of epoch 1"][author]
            marked = int.from_bytes(listed, "little")
            heard = [other for n, other in enumerate(near) if marked >> n & 1]
            ids = [seen[agent, count - 1] for agent in (author, *heard)]
            assert hashlib.sha256(b"".join(ids)).digest() == cites


def test_the_proofs_show_one_fault_of_each_kind() -> None:
    assert [one["fault"].split(": ")[0] for one in VECTORS["proofs"]] == ["agent 2"] * 5
    kinds = [cbor2.loads(bytes.fromhex(one["bytes"]))[1] for one in VECTORS["proofs"]]
    assert sorted(kinds) == [1, 2, 3, 4, 5]


def _fields(body: bytes) -> tuple[list[object], int, int, bytes, bytes]:
    decision, epoch, generation, author, count, listed, cites, *_ = cbor2.loads(body)
    return [decision, epoch, generation], author, count, listed, cites


def test_the_coin_follows_from_its_description(public: list[Ed25519PublicKey]) -> None:
    swarm, decision = bytes.fromhex(VECTORS["swarm id"]), bytes.fromhex(VECTORS["decision"]["id"])
    coin = VECTORS["coin of epoch 2"]
    seed = cbor2.dumps(["tmesh leader 1", swarm, decision, 2, b""], canonical=True)
    assert coin["leader"] == int.from_bytes(hashlib.sha256(seed).digest()) % len(public)
    message = swarm + b"tmesh coin 1" + cbor2.dumps([decision, 2, b""], canonical=True)
    signature = bytes.fromhex(coin["signature"])
    public[coin["leader"]].verify(signature, message)
    fell = hashlib.sha256(signature + bytes(2)).digest()[0] & 1
    assert coin["falls for the lower outcomes"] == (fell == 0)
