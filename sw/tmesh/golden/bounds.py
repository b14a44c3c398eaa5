"""Bounds on |fixed − exact|, in LSB of Q(2, f), for operands on the grid; tests hold them.

Bounds of the gossip datapath are worst cases; ``docs/arithmetic.md`` derives them.
``docs/eigensolver.md`` derives those of the CORDIC and of the entropy. Bounds of whole spectra are
limits of measured errors. They hold for the real and the imaginary part of every entry of a result,
to first order in the LSB except where a division amplifies it.
"""

import math

from tmesh import checks
from tmesh.numbers import MULTIPLIER_WIDTH

#: Kronecker product: its one rounding.
KRON = 0.5

#: Rounded T = U X, then a row of it against a row of U, then the result's own rounding.
CONJUGATE = 2**0.5 + 0.5

#: The error that normalisation adds: numerators ¼, reciprocal ⅛, result ½.
NORMALISE = 0.875

#: Interference; its visibility is never below ½.
INTERFERE = 3 + NORMALISE

#: A component of a Bloch vector after a two-body operation; the density matrix is off by half as
#: much. Rounded coefficients take ½·(1 + √3)², rounded M ¼·√3, the result ½. The correction takes ½
#: and its rounding.
MEET = 0.5 * (1 + 3**0.5) ** 2 + 0.25 * 3**0.5 + 0.5 + 1.5

#: A component after a swap test: the quotient ½, and the correction of a length.
SWAP_TEST = 0.5 + 1.5

#: A component after a weighted operation, times the weight. Numerator and weight are each off by
#: the coefficients and M. The quotient and the correction come last, with p at most 1.
WEIGHTED = 2 * (0.5 * (1 + 3**0.5) ** 2 + 0.25 * 3**0.5) + SWAP_TEST


def agent_round(kappa: int) -> float:
    """A component after a round. The mean is off by a vector of √3/2 LSB at most, and each squaring
    doubles that and adds as much. The correction of the length comes last."""
    return 0.5 * 3**0.5 * (2 * checks.power_of_two("kappa", kappa) - 1) + 1.5


#: The weight p of an evolve.
WEIGHT = 6.2

#: A CORDIC rotation of a vector of length up to 2, and the length that a vectoring finds.
CORDIC_ROTATION, CORDIC_LENGTH = 1.1, 0.35

#: Eigenvalues before they are rounded, by size of the matrix, and after.
INNER_EIGENVALUE = {2: 1.0, 4: 2.5, 8: 7.0}
EIGENVALUE = {2: 2.0, 4: 4.0, 8: 8.0}

#: ‖Xv − λv‖ of an eigenvector whose parts are rounded to the format. That rounding alone may take
#: ‖X − λ‖·½·√(2n) = 2·√(2n): 4, 5.7, 8.
RESIDUAL = {2: 6.0, 4: 10.0, 8: 24.0}

#: An entry of V†V − I, likewise.
ORTHOGONALITY = {2: 3.0, 4: 5.0, 8: 10.0}


def entropy(f: int) -> float:
    """In nats: −δ ln δ and δ for each of three zero eigenvalues off by δ; then the table, the
    product and the result."""
    f = checks.integer("f", f, least=2, most=MULTIPLIER_WIDTH - 2)
    delta = INNER_EIGENVALUE[4] * 2.0**-f
    return 3 * delta * (1 - math.log(delta)) + 1e-4 + 2.0 ** -(f + 1)


def evolve(p: float, f: int) -> float:
    """Both states of an evolve with weight `p`, any operator with ‖U‖₂ ≤ 1. It is infinite where
    the error of the weight may reach the weight itself (f < 11)."""
    p, f = checks.positive("p", p), checks.integer("f", f, least=2, most=MULTIPLIER_WIDTH - 2)
    share = WEIGHT * 2.0**-f / p
    return 4.8 / p / (1 - share) + NORMALISE if share < 1 else float("inf")


def purify(kappa: int) -> float:
    """ρ^κ/Tr ρ^κ by repeated squaring: a squaring at most doubles the error it is given.

    Errors of one component turn into errors of any other, hence the norm √3·NORMALISE.
    """
    bound, earlier, kappa = 0.0, 0.0, checks.power_of_two("kappa", kappa)
    while kappa > 1:
        bound = 2 * earlier + NORMALISE
        earlier = 2 * earlier + 3**0.5 * NORMALISE
        kappa //= 2
    return bound
