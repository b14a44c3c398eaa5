"""The messages between agents: deterministic CBOR, each with its version and every field checked.

No part of a message is trusted because of its sender: statements, votes and proofs carry their
authors' signatures. `sender` is the address for an answer.
"""

import dataclasses
import enum
from functools import cached_property, lru_cache

import cbor2

from tmesh.agent.proof import Proof
from tmesh.agent.statement import Statement
from tmesh.errors import InvalidInput
from tmesh.finality import Decision, Signed, Summary, pack, unpack
from tmesh.finality.encoding import AGENTS, packed, unpacked
from tmesh.ledger.encoding import array, loaded, number, octets

#: The version of all messages.
VERSION = 1

#: The most bytes of a message, and the most doubts in one.
LARGEST, DOUBTS = 1 << 20, 1 << 8


class _Kind(enum.IntEnum):
    BUNDLE = 1
    REQUEST = 2
    EXPOSURE = 3


@dataclasses.dataclass(frozen=True)
class Bundle:
    """Statements and votes of one decision, and its description for an agent that may not have
    heard of it."""

    sender: int
    decision: bytes
    description: Decision | None = None
    statements: tuple[Statement, ...] = ()
    votes: tuple[Signed, ...] = ()

    @cached_property
    def encoded(self) -> bytes:
        """Its bytes."""
        fields = [] if self.description is None else self.description.fields
        some = [one.encoded for one in self.statements]
        parts = [VERSION, int(_Kind.BUNDLE), self.sender, self.decision, fields, some]
        data = cbor2.dumps([*parts, self.ballots], canonical=True)
        return octets("bundle", data, most=LARGEST)

    @cached_property
    def ballots(self) -> bytes:
        """The bytes of the votes."""
        return pack(self.votes)


@dataclasses.dataclass(frozen=True)
class Request:
    """The statements and votes that an agent has, so that the receiver can send the missing ones.

    heights: for each agent of the swarm, how many of its statements in this epoch and generation
    the sender checked. doubts: authors and rounds of statements that cite others than the sender
    has. summary: the votes that it has.
    """

    sender: int
    decision: bytes
    epoch: int
    generation: int
    heights: tuple[int, ...]
    doubts: tuple[tuple[int, int], ...]
    summary: Summary

    @cached_property
    def encoded(self) -> bytes:
        """Its bytes."""
        place = [self.decision, self.epoch, packed(self.generation)]
        doubts = [list(one) for one in self.doubts]
        parts = [VERSION, int(_Kind.REQUEST), self.sender, *place, list(self.heights), doubts]
        return cbor2.dumps([*parts, self.summary.encoded], canonical=True)


@dataclasses.dataclass(frozen=True)
class Exposure:
    """A fraud proof."""

    sender: int
    proof: Proof

    @cached_property
    def encoded(self) -> bytes:
        """Its bytes."""
        return cbor2.dumps(
            [VERSION, int(_Kind.EXPOSURE), self.sender, self.proof.encoded], canonical=True
        )


Message = Bundle | Request | Exposure


def decode(data: bytes) -> Message:
    """A message from its bytes, exactly those that `encoded` gives. Raises `InvalidInput` for any
    others."""
    return _decoded(octets("message", data, most=LARGEST))


# A message that many agents of one process receive is decoded once.
@lru_cache(maxsize=1 << 12)
def _decoded(data: bytes) -> Message:
    parts = array("message", loaded(data, LARGEST))
    if len(parts) < 3 or number("version", parts[0]) != VERSION:
        raise InvalidInput(f"message: it is not of version {VERSION}")
    _, kind, sender, *rest = parts
    sender = number("sender", sender, below=AGENTS)
    made: Message
    match number("kind", kind):
        case _Kind.BUNDLE:
            made = _bundle(sender, rest)
        case _Kind.REQUEST:
            made = _request(sender, rest)
        case _Kind.EXPOSURE:
            made = _exposure(sender, rest)
        case _:
            raise InvalidInput(f"message: there is no kind {kind}")
    if made.encoded != data:
        raise InvalidInput("message: the encoding is not canonical")
    return made


def _bundle(sender: int, rest: list[object]) -> Bundle:
    decision, fields, some, votes = array("bundle", rest, 4)
    decision, fields = octets("decision", decision, 32), array("description", fields)
    description = Decision.read(fields) if fields else None
    if description is not None and description.id != decision:
        raise InvalidInput("description: it is of another decision")
    statements = tuple(Statement.decode(one) for one in array("statements", some))
    return Bundle(sender, decision, description, statements, tuple(unpack(votes)))


def _request(sender: int, rest: list[object]) -> Request:
    decision, epoch, generation, heights, doubts, summary = array("request", rest, 6)
    some = array("doubts", doubts)
    number("doubts", len(some), below=DOUBTS + 1)
    pairs = [array("doubt", one, 2) for one in some]
    return Request(
        sender,
        octets("decision", decision, 32),
        number("epoch", epoch, least=1),
        unpacked("generation", generation),
        tuple(number("height", one) for one in array("heights", heights)),
        tuple((number("author", a, below=AGENTS), number("round", r, least=1)) for a, r in pairs),
        Summary.decode(octets("summary", summary)),
    )


def _exposure(sender: int, rest: list[object]) -> Exposure:
    (proof,) = array("exposure", rest, 1)
    return Exposure(sender, Proof.decode(octets("proof", proof)))


def parts(data: bytes) -> dict[str, int]:
    """The bytes of a message, by part."""
    message = decode(data)
    match message:
        case Request():
            return {"requests": len(data)}
        case Exposure():
            return {"proofs": len(data)}
        case Bundle():
            votes = len(message.ballots) if message.votes else 0
            return {"statements": len(data) - votes, "votes": votes}
