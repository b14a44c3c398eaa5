"""Records of an agent's journal."""

import enum
from typing import NamedTuple

from tmesh.errors import InvalidInput
from tmesh.ledger.encoding import octets

_HEAD = 33


class RecordKind(enum.IntEnum):
    """The content of a record."""

    OPENING = 1  # a decision, and the agent's evidence
    VOTES = 2  # a record of the decision's voter
    STATEMENT = 3  # an own statement
    PROOF = 4  # a fraud proof, of any decision


_KINDS = frozenset(RecordKind)


class Record(NamedTuple):
    """One record: its kind, a decision's id (32 bytes), and bytes."""

    kind: RecordKind
    decision: bytes
    body: bytes

    @property
    def encoded(self) -> bytes:
        """Its bytes."""
        return bytes([self.kind]) + octets("decision", self.decision, _HEAD - 1) + self.body

    @classmethod
    def decode(cls, data: bytes) -> "Record":
        """From its bytes. Raises `InvalidInput` for any that `encoded` does not give."""
        if len(octets("record", data)) < _HEAD or data[0] not in _KINDS:
            raise InvalidInput("record: it is not of an agent's journal")
        return cls(RecordKind(data[0]), data[1:_HEAD], data[_HEAD:])
