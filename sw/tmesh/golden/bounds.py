"""Derived worst-case bounds on |fixed − exact|, in LSB of Q(2, f), for operands on the grid.

``docs/arithmetic.md`` derives each one. They hold for the real and the imaginary part of every
entry of a result, to first order in the LSB except where a division amplifies it.
"""

#: Kronecker product: its one rounding.
KRON = 0.5

#: Rounded T = U X, then a row of it against a row of U, then the result's own rounding.
CONJUGATE = 2**0.5 + 0.5

#: What normalisation adds: numerators ¼, reciprocal ⅛, result ½.
NORMALISE = 0.875

#: Interference; its visibility is never below ½.
INTERFERE = 3 + NORMALISE

#: The weight p of an evolve.
WEIGHT = 6.2


def evolve(p: float, f: int) -> float:
    """Both states of an evolve with weight `p`, any operator with ‖U‖₂ ≤ 1; infinite where the
    error of the weight may reach the weight itself (f < 11)."""
    share = WEIGHT * 2.0**-f / p
    return 4.8 / p / (1 - share) + NORMALISE if share < 1 else float("inf")


def purify(kappa: int) -> float:
    """ρ^κ/Tr ρ^κ by repeated squaring: a squaring at most doubles the error it is given.

    Errors of one component turn into errors of any other, hence the norm √3·NORMALISE.
    """
    bound, earlier = 0.0, 0.0
    while kappa > 1:
        bound = 2 * earlier + NORMALISE
        earlier = 2 * earlier + 3**0.5 * NORMALISE
        kappa //= 2
    return bound
