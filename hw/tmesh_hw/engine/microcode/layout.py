"""Where the microcoded engine keeps what: its memory, and its table of constants."""

import dataclasses
import enum

from tmesh import packets
from tmesh.config import CoreConfig
from tmesh.golden import entropy
from tmesh.packets import Counter

from tmesh_hw.engine.microcode.instruction import PAGE

#: Words of a state (x, y, z and one unused), of a row of an operator, of an operator.
STATE, ROW = 4, packets.ROW_LENGTH
OPERATOR = packets.OPERATOR_ROWS * ROW

#: Words of 16 bits of a reply, of its header, and of an integer or a counter.
REPLY, BODY, INTEGER, COUNTER = 12, 4, 2, 4

#: Bits of a part of a constant that is wider than a word.
PART = 14


class Page(enum.IntEnum):
    """Words at the end of the memory, which an immediate can address."""

    LIST = 0  #: a body; or where the states of a round are, own and others
    STATUS = 256  #: the reply begins
    TAG = 257
    VALUE = 258
    BODY = 260
    FLAGS = 268
    RESULT = 270  #: three words each
    OWN = 273
    SECOND = 276
    LIMIT = 280  #: the most by which the result is shortened
    UPPER = 281  #: parts of a mantissa
    LOWER = 282
    SUM = 284  #: two words each: a number of up to 32 bits
    LENGTH = 286
    TOTAL = 288
    RADICAND = 290
    COUNTERS = 300


@dataclasses.dataclass(frozen=True)
class Layout:
    """Addresses in the memory of a configuration: states, operators, and the page in the end."""

    config: CoreConfig

    @property
    def operators(self) -> int:
        """Where the operators begin."""
        return STATE * self.config.rows

    @property
    def used(self) -> int:
        """Words of states and operators."""
        return self.operators + OPERATOR * self.config.operators

    @property
    def depth(self) -> int:
        """Words in all, a power of two."""
        return 1 << (self.used + PAGE - 1).bit_length()

    def page(self, at: int) -> int:
        """The address of a word of the page."""
        return self.depth - PAGE + at


#: Where the table's parts begin: three words for each segment of the logarithm (rise, start), two
#: for each multiple of ln 2, two for each integer that IDENTIFY answers.
LOGARITHMS = 0
DOUBLINGS = LOGARITHMS + 3 * (1 << entropy.SEGMENT_BITS)


def identity(f: int) -> int:
    """Where the table has what IDENTIFY answers."""
    return DOUBLINGS + 2 * len(entropy.doublings(f))


def table(config: CoreConfig, digest: int) -> list[int]:
    """The constants, 16 bits each."""
    words = []
    for start, rise in zip(*entropy.logarithms(), strict=True):
        words += [rise, *_parts(start)]
    for multiple in entropy.doublings(config.f):
        words += _parts(multiple)
    groups = (
        (packets.VERSION, config.f, config.gossip_lanes, config.link),
        (config.gossip_lanes * config.rows, config.operators, 0, 0),
    )
    for value in (value for group in groups for value in group):
        words += [value & 0xFFFF, value >> 16]
    words += [digest >> shift & 0xFFFF for shift in range(0, 128, 16)]
    return [word - ((word & 0x8000) << 1) for word in words]


def _parts(value: int) -> tuple[int, int]:
    """Lower and upper part of a constant that is not negative."""
    return value & ((1 << PART) - 1), value >> PART


#: Words of all counters.
COUNTERS = COUNTER * len(Counter)
