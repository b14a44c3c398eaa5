"""Commands and replies of the engine: one definition for gateware, host and documentation.

A packet is little-endian and crosses a link of 32, 64 or 128 bits, with its last word marked. A
header shorter than a word is padded with zeros. Every packet is answered by one, in order, with its
tag.
"""

import enum
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

#: Raised when a layout or a meaning changes; the engine refuses packets of another.
VERSION = 1

#: Header of a command.
HEADER = np.dtype([("command", "u1"), ("version", "u1"), ("tag", "<u2"), ("argument", "<u4")])

#: Every reply.
REPLY = np.dtype(
    [("status", "u1"), ("flags", "u1"), ("tag", "<u2"), ("value", "<u4"), ("body", "<i4", (4,))]
)

#: Bits of a slot of a bundle, lowest first. See `tmesh_hw.engine.bundle.slot_layout`.
SLOT = {"own": 18, "other": 18, "bank": 2, "second": 1, "double": 1, "valid": 1}

#: Fields of a round, lowest first: the number of addresses that follow, all with the same weight;
#: the number of squarings, κ = 2^squarings; whether the mean is of z alone. An EVOLVE also has its
#: operator, and whether it writes both agents.
ROUND = {"others": 8, "squarings": 2, "dephase": 1, "both": 1, "operator": 16}

#: Bits of an integer in a body.
INTEGER = 32

#: Integers of the operands U and X of a MATRIX, and of the values after its reply, from a word's
#: start: four eigenvalues and Y. Matrices are in rows, real and imaginary part of each entry.
OPERANDS, RESULTS = 64, 36

#: Bits from slot to slot: three fit 128.
SLOT_STRIDE = 42

#: Bits of a row in an address; the bank is above.
ROW_BITS = SLOT["own"]

#: Rows of an operator (x, y, z of both forms, the weight of both) and coefficients of a row.
OPERATOR_ROWS, ROW_LENGTH = 8, 16

#: A row of an operator in an argument is below the number of the operator.
OPERATOR_SHIFT = 3

#: In `flags` of a reply: a result of this command saturated.
SATURATED = 1


class _Described(enum.IntEnum):
    """Numbers, each with its meaning."""

    meaning: str

    def __new__(cls, value: int, meaning: str = "") -> "_Described":
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class Command(_Described):
    """Commands of the engine."""

    IDENTIFY = 0x01, "argument 0: version, f, lanes, link; 1: states, operators; 2: build digest"
    RESET = 0x02, "counters to zero"
    COUNTER = 0x03, "argument: a counter; its 64 bits in the body"
    READ_STATE = 0x10, "argument: an address; its Bloch vector in the body"
    WRITE_STATE = 0x11, "argument: an address; body: x, y, z, 0"
    WRITE_OPERATOR = 0x12, "argument: operator·8 + row; body: the 16 coefficients of the row"
    GOSSIP = 0x20, "argument: an operator; body: bundles; value: bundles that were executed"
    UPDATE = (
        0x21,
        "argument: an address; body: round, others; answers x, y, z, S(diag); outcome",
    )
    INTERFERE = 0x22, "argument: an address; body: round, other; answers x, y, z, visibility"
    EVOLVE = 0x23, "argument: an address; body: round, other; answers x, y, z, weight"
    OBSERVE = 0x24, "argument: an address; answers eigenvalues, entropy, purity; ρ₀₀"
    MATRIX = (
        0x30,
        "argument: a `tmesh.opcodes.Opcode`; body: U, X; answers weight, entropy, …",
    )


#: Commands that read and write resident states, several at a time.
ROUNDS = (Command.UPDATE, Command.INTERFERE, Command.EVOLVE, Command.OBSERVE)


class Status(_Described):
    """Status of a command. Commands but GOSSIP change nothing unless OK; GOSSIP stops before the
    bad bundle."""

    OK = 0, "done"
    UNKNOWN_COMMAND = 1, "no such command"
    BAD_VERSION = 2, "the packet is of another version"
    BAD_LENGTH = 3, "more or fewer words than the command has"
    BAD_ADDRESS = 4, "no such agent, operator, row, counter or operation"
    BAD_VALUE = 5, "a number beyond the format, or a round of the wrong size"
    VANISHED = 6, "the weight is below 2⁻⁸"


class Counter(_Described):
    """Counters of the engine since the last RESET."""

    CYCLES = 0, "clocks"
    EVENTS = 1, "vectors that GOSSIP wrote"
    HELD = 2, "clocks in which a bundle waited for a result"
    STARVED = 3, "clocks without a bundle while others were in flight: the link, and the drain"
    SATURATIONS = 4, "vectors that saturated"
    ROUNDS = 5, "vectors that rounds wrote"
    WAITED = 6, "clocks in which a round waited for a result"


def bundle_bits(lanes: int) -> int:
    """Bits of a bundle of `lanes` slots."""
    return 64 if lanes == 1 else 128


def packed(layout: dict[str, int], values: Mapping[str, npt.ArrayLike]) -> npt.NDArray[np.uint64]:
    """Fields as integers (m,), lowest first; a field that is not given is 0."""
    result, shift = np.zeros(1, dtype=np.uint64), 0
    for name, width in layout.items():
        value = np.asarray(values.get(name, 0)).astype(np.uint64)
        result = result | (value << np.uint64(shift))
        shift += width
    return result


def fields(layout: dict[str, int], bits: int) -> dict[str, int]:
    """The fields of an integer."""
    found = {}
    for name, width in layout.items():
        found[name] = bits & ((1 << width) - 1)
        bits >>= width
    return found


def tables() -> Iterator[str]:
    """The definitions as Markdown tables; docs/engine.md has them, and a test holds it to them."""
    for name, members in (("header", HEADER), ("reply", REPLY)):
        lines = [f"| {name} | bits |", "|---|--:|"]
        lines += [f"| `{n}` | {8 * members[n].itemsize} |" for n in members.names or ()]
        yield "\n".join(lines)
    for name, layout in (("slot", SLOT), ("round", ROUND)):
        lines = [f"| {name} | bits |", "|---|--:|"]
        yield "\n".join([*lines, *(f"| `{field}` | {bits} |" for field, bits in layout.items())])
    for kind in (Command, Status, Counter):
        lines = [f"| {kind.__name__.lower()} | number | meaning |", "|---|--:|---|"]
        yield "\n".join([*lines, *(f"| {m.name} | {m.value} | {m.meaning} |" for m in kind)])
