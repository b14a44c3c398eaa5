"""Instructions of the microcoded engine: one horizontal word, its fields and their effects.

All fields of a word take effect in one cycle, on the registers' values before it. But the product
is that of the operand and register in the word before, which `assembler` takes care of:

====================  ==============================================================================
register              holds
====================  ==============================================================================
A, 40 bits            the accumulator
B, 40 bits            a divisor, a sum
Q, 24 bits            the digits of a quotient or root
N, 16 bits            what is left of a radicand
L, 16 bits            what is left of a loop
P                     an address in the memory
M, 16 bits            what was last read there
W, 32 bits            the last word of the command, and whether it is the last one
registers, 16 bits    `Register`; the first three are constants
====================  ==============================================================================
"""

import enum

from amaranth.lib import data


class Register(enum.IntEnum):
    """Second factor of the product, and the data of STORE."""

    ONE = 0  #: 1
    UNIT = 1  #: 2ᶠ, the number 1 in Q(2, f)
    OPERATOR = 2  #: words of an operator
    COUNT = 3
    FORM = 4  #: where the operator is
    PLACE = 5  #: where the states of both agents are
    OTHER_PLACE = 6
    COMMAND = 7
    X = 8  #: a vector, the other agent's while they meet
    Y = 9
    Z = 10
    U = 11  #: another
    V = 12
    W = 13
    BITS = 14  #: a request of a slot or round
    SQUARINGS = 15


class Operand(enum.IntEnum):
    """First factor of the product, 16 bits with sign."""

    MEMORY = 0  #: M
    IMMEDIATE = 1
    LOW = 2  #: halves of W
    HIGH = 3
    TABLE = 4  #: the word read at P, in the table of constants
    POINTER = 5  #: P
    UNIT = 6  #: 2ᶠ


class Operation(enum.IntEnum):
    """Operations on A, unless another register is named; p is the product."""

    KEEP = 0
    SET = 1  #: p
    ADD = 2  #: A + p
    SUBTRACT = 3  #: A − p
    NEGATE = 4  #: −A
    ADD_B = 5  #: A + B
    SUBTRACT_B = 6  #: A − B
    DOUBLE = 7  #: 2 A
    QUADRUPLE = 8  #: 4 A
    HALVE = 9  #: ⌊A / 2⌋
    FLOOR = 10  #: ⌊A / 2^(f+1)⌋
    ROUND = 11  #: A / 2^(f+1), half to even
    SATURATE = 12  #: clipped to 16 bits; remembers that it was
    SATURATE_SLACK = 13  #: the same; remembers if it was by more than the slack of `pauli`
    CLIP = 14  #: the same; remembers nothing
    DIVIDE = 15  #: A ≥ B: A = 2 (A − B), else 2 A; the answer is shifted into Q
    ROOT = 16  #: A = 2 A + the next two bits of N; B = 4 Q + 1: the next trial
    STORE = 17  #: to the register
    SET_B = 18  #: B = A
    FROM_B = 19  #: B
    CLEAR_Q = 20  #: Q = 0
    FROM_Q = 21  #: Q
    SET_N = 22  #: N = M
    POINT = 23  #: P = A
    SET_L = 24  #: L = A
    REPEAT = 25  #: L = the immediate
    CYCLES = 26  #: A and B take the lower and upper half of the cycle counter
    CLEAR_CYCLES = 27  #: the cycle counter is 0


class Access(enum.IntEnum):
    """Operations on the memory; M is the last word read, until the next access."""

    NONE = 0
    READ = 1  #: at P
    READ_NEXT = 2  #: at P, which moves on
    WRITE_NEXT = 3  #: A to P, which moves on
    READ_AT = 4  #: at the immediate, counted from `PAGE` words before the end of the memory
    WRITE_AT = 5  #: A there


class Flow(enum.IntEnum):
    """The next instruction; a jump goes to the immediate."""

    NEXT = 0
    JUMP = 1
    IF_NEGATIVE = 2  #: A < 0
    IF_NOT_NEGATIVE = 3
    IF_ZERO = 4
    IF_NOT_ZERO = 5
    IF_ODD = 6
    IF_LAST = 7  #: W is the last of its packet
    IF_NOT_LAST = 8
    IF_FITS = 9  #: W is a number of 16 bits
    IF_SATURATED = 10  #: something was clipped since this was last asked
    LOOP = 11  #: L counts down; unless that leaves 0
    CALL = 12
    RETURN = 13
    GET = 14  #: waits for a word, W
    PUT = 15  #: waits until a word is taken: A below M
    PUT_LAST = 16
    IF_WARM = 17  #: this has got as far as a GET since the device was configured


#: Words that an immediate can address.
PAGE = 512

#: Bits of an immediate, which has a sign where it is an operand.
IMMEDIATE_BITS = 12

#: Calls within calls.
DEPTH = 4

#: A word of the program.
LAYOUT = data.StructLayout(
    {
        "operation": 5,
        "operand": 3,
        "register": 4,
        "access": 3,
        "flow": 5,
        "immediate": IMMEDIATE_BITS,
    }
)
