"""Packets for the engine: good ones with as many conflicts as can be, and one of each bad kind."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from tmesh import packets
from tmesh.config import CoreConfig
from tmesh.golden import fixed, pauli
from tmesh.golden.engine import EngineModel, Words
from tmesh.numbers import IntArray
from tmesh.opcodes import Opcode
from tmesh.packets import Command, Counter

#: Any 128 bits: the identity of the engine of the tests.
DIGEST = 0xFEDCBA98_76543210_00112233_DEADBEEF

#: Lanes and link of the engine that is tested, by fraction bits and whether it is a wide one.
_SHAPES = {(16, False): (1, 64), (14, False): (1, 32), (16, True): (3, 128), (14, True): (2, 64)}


def engine_config(f: int, lanes: int) -> CoreConfig:
    """An engine with few agents, so that most events depend on those just before them."""
    gossip_lanes, link = _SHAPES[f, lanes > 1]
    return CoreConfig(
        f=f,
        lanes=16 if lanes > 1 else 0,
        cordics=0,
        gossip_lanes=gossip_lanes,
        link=link,
        agents=6,
        operators=3,
    )


def packet(
    config: CoreConfig,
    command: int,
    argument: int,
    body: npt.ArrayLike = (),
    *,
    tag: int = 0,
    version: int = packets.VERSION,
) -> Words:
    """One packet (words, link/32); the body is made of 32-bit integers."""
    parts = config.link // 32
    header = np.array([(command, version, tag, argument)], dtype=packets.HEADER).view(np.uint32)
    integers = np.asarray(body, dtype=np.int64).astype(np.uint32)
    start = max(len(header), parts)
    result = np.zeros(-(-(start + len(integers)) // parts) * parts, dtype=np.uint32)
    result[: len(header)] = header
    result[start : start + len(integers)] = integers
    return result.reshape(-1, parts)


def bundles(config: CoreConfig, rng: np.random.Generator, count: int) -> IntArray:
    """Random bundles as 32-bit integers (count, n): three of four slots used, some doubles."""
    lanes, size = config.gossip_lanes, max(packets.bundle_bits(config.gossip_lanes), config.link)
    result = []
    for _ in range(count):
        bits = 0
        for lane in range(lanes):
            double = int(rng.random() < 0.3)
            fields = {
                "own": int(rng.integers(config.rows)),
                "other": int(rng.integers(config.rows)),
                "bank": lane if double else int(rng.integers(lanes)),
                "second": int(rng.integers(2)),
                "double": double,
                "valid": int(rng.random() < 0.75),
            }
            bits |= int(packets.packed(packets.SLOT, fields)[0]) << (packets.SLOT_STRIDE * lane)
        result.append(np.frombuffer(bits.to_bytes(size // 8, "little"), dtype=np.uint32))
    return np.array(result).astype(np.int64)


def _section(config: CoreConfig, rng: np.random.Generator, count: int) -> list[Words]:
    """Packets of the same sizes each time, with other contents."""
    one, parts = 1 << config.f, config.link // 32
    places = [
        bank << packets.ROW_BITS | row
        for bank in range(config.gossip_lanes)
        for row in range(config.rows)
    ]
    made: list[tuple[int, int, IntArray]] = []

    def add(command: int, argument: int, body: npt.ArrayLike = ()) -> None:
        made.append((command, argument, np.asarray(body, dtype=np.int64)))

    add(Command.RESET, 0)
    for group in range(4):  # one more than there are
        add(Command.IDENTIFY, group)
    for place in places:
        vector = rng.normal(size=3)
        add(Command.WRITE_STATE, place, [*np.rint(vector * one / np.linalg.norm(vector)), 0])
    g = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    unitary, weighted = (
        np.rint(pauli.rows(u) * one) for u in (np.linalg.qr(g)[0], g / np.linalg.norm(g, ord=2))
    )
    # Operator 1 is no operator at all: everything saturates.
    wild = rng.integers(-2 * one, 2 * one, unitary.shape)
    for number, coefficients in enumerate((unitary, wild, weighted)):
        for n, row in enumerate(coefficients):
            add(Command.WRITE_OPERATOR, number << packets.OPERATOR_SHIFT | n, row)
    many = bundles(config, rng, count)
    for number in (0, 1, 0):
        add(Command.GOSSIP, number, many.reshape(-1))
    late = many.copy()
    late[-2, 0] = (1 << 18) - 1  # no such agent, if the slot is used
    add(Command.GOSSIP, 0, late.reshape(-1))
    split = many.reshape(-1)[: -parts if many.shape[1] > parts else None]
    add(Command.GOSSIP, 0, split)
    add(Command.GOSSIP, 3, many.reshape(-1))
    for command, argument, addresses in _rounds(rng, places, parts, count):
        add(command, argument, addresses)
    for command, argument, operands in _matrices(rng, config, count):
        add(command, argument, operands)
    # As long as an unchecked state can be.
    add(Command.WRITE_STATE, places[0], [2 * one - 1, -2 * one, 2 * one - 1, 0])
    add(Command.OBSERVE, places[0])
    add(Command.GOSSIP, 0)
    add(0x7F, 0, many[0])
    add(Command.READ_STATE, places[-1] + 1)
    add(Command.READ_STATE, 3 << packets.ROW_BITS)
    add(Command.READ_STATE, 0, many[0])
    add(Command.WRITE_STATE, 0, [0, 2 * one, 0, 0])
    add(Command.WRITE_STATE, 0, np.zeros(4 + parts))
    add(Command.WRITE_OPERATOR, 3 << packets.OPERATOR_SHIFT, np.zeros(packets.ROW_LENGTH))
    add(Command.WRITE_OPERATOR, 0, np.zeros(packets.ROW_LENGTH - parts))
    add(Command.COUNTER, len(Counter))
    for counter in (Counter.EVENTS, Counter.SATURATIONS, Counter.ROUNDS):
        add(Command.COUNTER, counter)
    for place in places:
        add(Command.READ_STATE, place)
    result = [
        packet(config, command, argument, body, tag=int(rng.integers(1 << 16)))
        for command, argument, body in made
    ]
    result.append(packet(config, Command.RESET, 0, version=packets.VERSION + 1))
    if parts == 1:
        result.append(packet(config, Command.RESET, 0)[:1])
    return result


def _rounds(
    rng: np.random.Generator, places: list[int], parts: int, count: int
) -> Iterator[tuple[int, int, list[int]]]:
    """Good rounds, most of which read what those just before them write, then bad ones."""

    def asked(others: int, operator: int = 0) -> int:
        fields = {"others": others, "squarings": int(rng.integers(4)), "operator": operator}
        fields |= {name: int(rng.integers(2)) for name in ("dephase", "both")}
        return int(packets.packed(packets.ROUND, fields)[0])

    for n in range(2 * count):
        command = packets.ROUNDS[n % 4]
        others = n % 6 if command == Command.UPDATE else 1
        chosen = [int(place) for place in rng.choice(places, others + 1)]
        body = [] if command == Command.OBSERVE else [asked(others, n // 4 % 3), *chosen[1:]]
        yield command, chosen[0], body
    nowhere = places[-1] + 1
    yield Command.UPDATE, nowhere, [asked(0)]
    yield Command.UPDATE, places[0], [asked(2), places[1], nowhere]
    yield Command.UPDATE, places[0], [asked(5), places[1]]
    yield Command.UPDATE, places[0], [asked(0), *[0] * parts]
    yield Command.UPDATE, places[0], []
    yield Command.INTERFERE, places[0], [asked(0), places[1]]
    yield Command.EVOLVE, places[0], [asked(2), places[1], places[1]]
    yield Command.EVOLVE, places[0], [asked(1, 3), places[1]]
    yield Command.OBSERVE, nowhere, []
    yield Command.OBSERVE, places[0], [0]


def _matrices(
    rng: np.random.Generator, config: CoreConfig, count: int
) -> Iterator[tuple[int, int, IntArray]]:
    """Operations on any numbers, a vanishing weight among them, and bad ones."""
    known = [code for code in Opcode if config.has(code)] or [Opcode.KRON]
    one, diagonal = 1 << config.f, np.arange(4)
    for n in range(count):
        u, x = rng.integers(-one // 2, one // 2, (2, 4, 4, 2))
        u //= 1 + 999 * (n % 5 == 4)
        x = (x + fixed.dagger(x)) // 2
        x[diagonal, diagonal, 1] = 0
        yield Command.MATRIX, known[n % len(known)], np.concatenate([u.ravel(), x.ravel()])
    body = np.zeros(packets.OPERANDS, dtype=np.int64)
    yield Command.MATRIX, Opcode.EIGENVALUES_2, body
    yield Command.MATRIX, len(Opcode), body
    yield Command.MATRIX, Opcode.KRON, body[:32]
    yield Command.MATRIX, Opcode.KRON, body + 2 * one


def sections(config: CoreConfig, rng: np.random.Generator, count: int) -> tuple[IntArray, IntArray]:
    """Rows of words in and of words out: four sections of equal length, `count` bundles in all."""
    model = EngineModel(config, DIGEST)
    sent: list[IntArray] = []
    expected: list[IntArray] = []
    for _ in range(4):
        for words in _section(config, rng, max(3, count // 4)):
            for into, flow in ((sent, words), (expected, model.execute(words))):
                last = np.zeros((len(flow), 1), dtype=np.int64)
                last[-1] = 1
                into.append(np.concatenate([flow.astype(np.int64), last], axis=1))
    return np.concatenate(sent), np.concatenate(expected)
