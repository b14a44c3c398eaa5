"""Commands of the core, shared by gateware and host."""

import enum

#: Bits of an opcode in a command.
OPCODE_BITS = 4


class Opcode(enum.IntEnum):
    """The core's operations on its operands U (4×4) and X (4×4, or a and b on its diagonal)."""

    EVOLVE = 0  #: both reduced states of U(a⊗b)U†/p, and the weight p
    SQUARE = 1  #: a²/Tr a², and Tr a²
    KRON = 2  #: a ⊗ b
    CONJUGATE = 3  #: U X U†
    PARTIAL_TRACE = 4  #: Tr₂ X and Tr₁ X
    EIGENVALUES_4 = 5  #: of X, ascending, and the entropy
    EIGENVECTORS_4 = 6  #: the same, and the eigenvectors in columns
    EIGENVALUES_2 = 7  #: likewise of the leading 2×2 of X
    EIGENVECTORS_2 = 8
    JOINT = 9  #: U (a ⊗ b) U†


#: The opcodes of the eigensolver; the others are the gossip datapath's.
SPECTRAL = frozenset(code for code in Opcode if code.name.startswith("EIGEN"))
