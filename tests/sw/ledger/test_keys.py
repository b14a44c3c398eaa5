"""Keys and signatures: one agent, one key, and nobody else signs for it."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tmesh.ledger import KeySet, Signer
from tmesh.ledger.curve import ORDER, P, flaw

KEYS, SIGNERS = KeySet.simulated(4, 0)
PUBLIC = [signer.public for signer in SIGNERS]

#: The eight points whose order divides 8; then other bytes that lax decoders take for points.
TORSION = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]
OTHER_ENCODINGS = [
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def minus_point_of_order_two(key: bytes) -> bytes:
    """A key plus (0, −1), which is (−x, −y)."""
    number = int.from_bytes(key, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    return ((P - y) | (1 - sign) << 255).to_bytes(32, "little")


def test_honest_keys_are_accepted() -> None:
    assert len(KeySet([Signer.simulated(agent, 7).public for agent in range(50)])) == 50
    assert KeySet(PUBLIC)[2] == PUBLIC[2]
    assert flaw(Signer.generate(0).public) is None


@pytest.mark.parametrize("key", TORSION)
def test_keys_of_small_order_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match=rf"keys: agent 3: {key} is "):
        KeySet([*PUBLIC[:3], bytes.fromhex(key)])


def test_such_a_key_would_verify_any_message() -> None:
    """So the test above is of something."""
    lax = Ed25519PublicKey.from_public_bytes(bytes.fromhex(TORSION[2]))
    for message in (b"left", b"right"):
        lax.verify(bytes.fromhex(TORSION[2]) + bytes(32), message)


@pytest.mark.parametrize("key", OTHER_ENCODINGS)
def test_other_encodings_of_points_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"keys: agent 0: .* is no point .* one encoding"):
        KeySet([bytes.fromhex(key), *PUBLIC])


def test_half_of_all_bytes_are_no_point() -> None:
    rng = np.random.default_rng(1)
    found = [flaw(rng.bytes(32)) for _ in range(60)]
    assert sum(one is not None and "no point" in one for one in found) > 15
    assert sum(one is not None and "another order" in one for one in found) > 15


def test_keys_with_a_part_of_small_order_are_refused() -> None:
    for key in PUBLIC:
        with pytest.raises(ValueError, match=r"agent 0: .* another order than the base point"):
            KeySet([minus_point_of_order_two(key)])


def test_one_key_is_one_agent() -> None:
    """Or three signers of a certificate would be one."""
    a, *_, d = PUBLIC
    with pytest.raises(ValueError, match=rf"keys: agent 1: {a.hex()} is the key of agent 0 too"):
        KeySet([a, a, a, d])
    with pytest.raises(ValueError, match=r"agent 2: .* is the key of agent 0 too"):
        KeySet.of([SIGNERS[0], SIGNERS[1], Signer(2, SIGNERS[0].secret)])
    with pytest.raises(ValueError, match="signers: number 0 is of agent 1"):
        KeySet.of(SIGNERS[1:])


@pytest.mark.parametrize("key", [b"short", bytes(33), "k" * 32, bytearray(32), 7, None])
def test_keys_are_32_bytes(key: object) -> None:
    with pytest.raises(ValueError, match="keys: agent 1: not 32 bytes"):
        KeySet([PUBLIC[0], key])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="secret: not 32 bytes"):
        Signer(0, key)  # type: ignore[arg-type]


@pytest.mark.parametrize("author", [-1, True, 1.0, "1", None, 1 << 32])
def test_an_agent_has_a_number(author: object) -> None:
    with pytest.raises(ValueError, match=r"author: .* is no number from 0 to 2³² − 1"):
        Signer(author, bytes(32))  # type: ignore[arg-type]
    assert Signer(np.int64(3), bytes(32)).author == 3  # type: ignore[arg-type]


def test_a_message_has_one_signature_of_a_key() -> None:
    """S below the group's order, R as it is computed: no other bytes verify."""
    good = SIGNERS[1].sign(b"left")
    r, s = good[:32], int.from_bytes(good[32:], "little")
    assert KEYS.verify(1, b"left", good)
    false = [r + (s + ORDER).to_bytes(32, "little"), r + (ORDER - s).to_bytes(32, "little")]
    false += [bytes.fromhex(one) + bytes(32) for one in TORSION + OTHER_ENCODINGS]
    false += [bytes.fromhex(one) + good[32:] for one in TORSION + OTHER_ENCODINGS]
    false += [minus_point_of_order_two(r) + good[32:], good[:-1], b""]
    assert not any(KEYS.verify(1, b"left", one) for one in false)
    assert not any(KEYS.verify(author, b"left", good) for author in (-1, 0, 2, 4))


def test_a_signature_counts_in_its_own_swarm_only() -> None:
    """One key in two swarms: an event of the one is none of the other, and so no equivocation."""
    here, there = (SIGNERS[0].within(bytes([one]) * 32) for one in (1, 2))
    signature = here.sign(b"message")
    assert KeySet.of([here]).verify(0, b"message", signature)
    for keys in (KeySet.of([there]), KEYS, KeySet(PUBLIC)):
        assert not keys.verify(0, b"message", signature)
    with pytest.raises(ValueError, match="signers: agent 1 is of another swarm"):
        KeySet.of([here, SIGNERS[1]])
    with pytest.raises(ValueError, match="swarm: not 32 bytes"):
        SIGNERS[0].within(b"short")
