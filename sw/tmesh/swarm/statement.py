"""The bytes of a statement: the opinions of one agent on all decisions, inside a signed event."""

import numpy as np

from tmesh.errors import InvalidInput
from tmesh.swarm.opinions import Statements

#: Components count 2⁻²⁸, which has every format of the core, and room for what is no state.
SCALE = 2.0**28

_DECISION = np.dtype([("length", "<u2"), ("prefix", "<u2"), ("vector", "<i4", 3)])


def pack(said: Statements) -> bytes:
    """Of opinions on each decision (decisions,); 16 bytes each."""
    packed = np.zeros(len(said.length), dtype=_DECISION)
    packed["length"], packed["prefix"] = said.length, said.prefix
    packed["vector"] = np.rint(np.clip(said.vectors, -7, 7) * SCALE)
    return packed.tobytes()


def unpack(payload: bytes, decisions: int, bits: int) -> Statements:
    """Statements (decisions,) on outcomes of so many bits.

    Raises ``ValueError`` for another number of bytes, or a prefix that no outcome has.
    """
    if len(payload) != decisions * _DECISION.itemsize:
        raise InvalidInput(f"{len(payload)} bytes, not {decisions * _DECISION.itemsize}")
    packed = np.frombuffer(payload, dtype=_DECISION)
    length, prefix = packed["length"].astype(np.int64), packed["prefix"].astype(np.int64)
    if np.any(length > bits) or np.any(prefix >> length):
        raise InvalidInput("a prefix is longer than it says, or than an outcome")
    return Statements(packed["vector"] / SCALE, prefix, length)
