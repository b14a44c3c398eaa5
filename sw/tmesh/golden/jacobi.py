"""The Hermitian eigensolver in integers, equal to the gateware bit for bit.

Cyclic Jacobi in parallel order (Brent, Luk 1985) on complex Hermitian matrices. A step treats n/2
disjoint pairs at once, and n−1 steps make a sweep. Each pair has a pivot c = m·exp(iπφ). A CORDIC
vectoring gives m and φ. A second one gives the angle t = 2θ/π and half the distance r of the
eigenvalues of [[a, m], [m, b]]. A block between two pairs is multiplied by the phases, which are
three rotations, and then from both sides by plane rotations. Its part (α + βJ) turns by ψ − θ and
its part (γ + δJ)Z by −(θ + ψ): two rotations each for real and imaginary parts instead of four.

Clusters of close eigenvalues slow the sweeps down. While entries of size ε couple two clusters, the
pivots inside a cluster have the size ε², and the differences of its diagonal values have that size
too. The rotation of such a pair can have any angle. It mixes entries that the sweep has removed
with entries that the sweep has not reached. So ε shrinks by a constant factor a sweep instead of
cubically. Late sweeps therefore spare pairs with small pivots (`SPARED`).

Negative angles and conjugates are complemented: ~x is −x less one unit, far below an LSB of the
result. In gates that is free; a negation would be a second carry chain.
"""

import dataclasses
import itertools

import numpy as np

from tmesh import checks
from tmesh.errors import InvalidInput
from tmesh.golden import cordic
from tmesh.golden.cordic import CordicFormat
from tmesh.numbers import BoolArray, IntArray, Q, round_shift, saturate

Entries = dict[tuple[int, int], IntArray]

#: Steps that suffice for the eigenvalues, and for the eigenvectors, by matrix size. A 2×2 is solved
#: by its one rotation. The others are the result of a search (`tmesh_sim.convergence`). Eigenvalues
#: err to second order in the entries left off the diagonal; eigenvectors err to first order and
#: need more steps.
STEPS = {2: (1, 1), 4: (10, 12), 8: (49, 56)}

#: Thresholds ``(step, exponent)`` by matrix size: from `step` on, a pair with a pivot below
#: 2^exponent is spared. It keeps its pivot and its diagonal values; only its phase turns. Pivots
#: inside clusters at distance g are about ε²/g. The first threshold spares them below ε = √(g/256);
#: one sweep then removes the coupling up to third order.
SPARED: dict[int, tuple[tuple[int, int], ...]] = {2: (), 4: (), 8: ((21, -8), (28, -14), (35, -20))}

#: Smallest threshold in bits of a coordinate, ¼ LSB of the format: smaller pivots are noise.
SPARED_BITS = 4


#: Diagonal values from this on put a matrix out of range. Matrices with ‖X‖₂ < 2 stay far below,
#: and a whole number is quick to compare with.
RANGE = 3


def order(n: int) -> list[int]:
    """Position ``i`` after a step holds the index that was at position ``order[i]``: the
    round-robin tournament, in which n−1 steps bring every two indices into one pair (2k, 2k+1)."""
    top, bottom = list(range(0, n, 2)), list(range(1, n, 2))
    if n == 2:
        return [0, 1]
    new_top = [top[0], bottom[0], *top[1:-1]]
    new_bottom = [*bottom[1:], top[-1]]
    return [i for pair in zip(new_top, new_bottom, strict=True) for i in pair]


def spared_bits(n: int, fmt: CordicFormat) -> list[tuple[int, int]]:
    """`SPARED` as ``(step, b)``: from `step` on, coordinates from −2ᵇ to 2ᵇ − 1 are spared."""
    return [(step, max(SPARED_BITS, fmt.fraction + exponent)) for step, exponent in SPARED[n]]


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """Eigenvalues (..., n), ascending, with the CORDIC's fraction bits; eigenvectors in columns,
    (..., n, n, 2) likewise, or None. The flag says whether a diagonal value reached ±3; then
    everything is zero."""

    values: IntArray
    vectors: IntArray | None
    saturated: BoolArray


def eigh(x: IntArray, f: int, *, vectors: bool, steps: int | None = None) -> Spectrum:
    """Hermitian (..., n, n, 2) integers of Q(2, f), n = 2, 4 or 8; only the upper triangle counts.

    Eigenvalues are not rounded: see `to_format`. `steps` replaces the number of steps.
    """
    fmt, vectors = CordicFormat(f), checks.flag("vectors", vectors)
    x = Q(2, fmt.f).fitting("x", x, " (..., n, n, 2)")
    n = x.shape[-2] if x.ndim >= 3 else 0
    if n not in STEPS or x.shape[-3:] != (n, n, 2):
        raise InvalidInput(f"x must be integers (..., n, n, 2), n 2, 4 or 8, not {x.shape}")
    if steps is not None:
        steps = checks.integer("steps", steps, least=0)
    scale = fmt.fraction - f
    re = {(i, j): x[..., i, j, 0] << scale for i in range(n) for j in range(i, n)}
    im = {(i, j): x[..., i, j, 1] << scale for i in range(n) for j in range(i + 1, n)}
    lead = x.shape[:-3]
    one = np.ones(lead, dtype=np.int64) << fmt.fraction
    v = {(i, j): [one * (i == j), one * 0] for i in range(n) for j in range(n)} if vectors else {}
    saturated = np.zeros(lead, dtype=np.bool_)
    places = order(n)
    for step in range(STEPS[n][vectors] if steps is None else steps):
        thresholds = [bits for first, bits in spared_bits(n, fmt) if step >= first]
        saturated |= _step(re, im, v, n, fmt, thresholds[-1] if thresholds else None)
        re, im, v = _permuted(re, im, v, places)
    values = np.stack([re[i, i] for i in range(n)], axis=-1)
    values = np.where(saturated[..., None], np.int64(0), values)
    ranks = np.argsort(values, axis=-1, kind="stable")
    sorted_values = np.take_along_axis(values, ranks, axis=-1)
    if not vectors:
        return Spectrum(sorted_values, None, saturated)
    columns = [np.stack([np.stack(v[i, j], axis=-1) for i in range(n)], -2) for j in range(n)]
    matrix = np.take_along_axis(np.stack(columns, -2), ranks[..., None, :, None], axis=-2)
    matrix = np.where(saturated[..., None, None, None], np.int64(0), matrix)
    return Spectrum(sorted_values, matrix, saturated)


def _step(
    re: Entries,
    im: Entries,
    v: dict[tuple[int, int], list[IntArray]],
    n: int,
    fmt: CordicFormat,
    spared: int | None,
) -> BoolArray:
    """One parallel step in place. It spares pivots of up to `spared` bits, and says where a
    diagonal value left the range."""
    phases, turns = [], []
    limit = RANGE << fmt.fraction
    saturated = np.zeros(re[0, 0].shape, dtype=np.bool_)
    for p in range(0, n, 2):
        q = p + 1
        m, phi = cordic.vector(re[p, q], im[p, q], fmt)
        a, b = re[p, p], re[q, q]
        r, t = cordic.vector((a - b) >> 1, m, fmt)
        total = a + b
        upper = (total >> 1) + r
        re[p, p], re[q, q] = upper, total - upper
        re[p, q], im[p, q] = np.zeros_like(m), np.zeros_like(m)
        if spared is not None:
            alone = (m >> spared == 0) | (m >> spared == -1)
            t = np.where(alone, 0, t)
            re[p, p], re[q, q] = np.where(alone, a, re[p, p]), np.where(alone, b, re[q, q])
            re[p, q] = np.where(alone, m, 0)
        phases.append(phi)
        turns.append(t)
        for i in (p, q):
            saturated |= (re[i, i] < -limit) | (re[i, i] >= limit)
    for j, k in itertools.combinations(range(n // 2), 2):
        # Rows p, p+1 against columns q, q+1.
        p, q = 2 * j, 2 * k
        block = [
            (re[p, q], im[p, q]),
            cordic.rotate(re[p, q + 1], im[p, q + 1], ~phases[k], fmt),
            cordic.rotate(re[p + 1, q], im[p + 1, q], phases[j], fmt),
            cordic.rotate(re[p + 1, q + 1], im[p + 1, q + 1], phases[j] - phases[k], fmt),
        ]
        for part, entries in enumerate((re, im)):
            a, b, c, d = (entry[part] for entry in block)
            alpha, beta = cordic.rotate((a + d) >> 1, (c - b) >> 1, (turns[k] - turns[j]) >> 1, fmt)
            gamma, delta = cordic.rotate(
                (a - d) >> 1, (b + c) >> 1, ~((turns[j] + turns[k]) >> 1), fmt
            )
            entries[p, q], entries[p + 1, q + 1] = alpha + gamma, alpha - gamma
            entries[p, q + 1], entries[p + 1, q] = delta - beta, delta + beta
    for (i, q), (x, y) in list(v.items()):
        if q % 2 == 1:
            turned = cordic.rotate(x, y, ~phases[q // 2], fmt)
            for part in (0, 1):
                v[i, q - 1][part], v[i, q][part] = cordic.rotate(
                    v[i, q - 1][part], turned[part], ~(turns[q // 2] >> 1), fmt
                )
    return saturated


def _permuted(
    re: Entries, im: Entries, v: dict[tuple[int, int], list[IntArray]], places: list[int]
) -> tuple[Entries, Entries, dict[tuple[int, int], list[IntArray]]]:
    new_re, new_im = {}, {}
    for i, j in re:
        a, b = places[i], places[j]
        new_re[i, j] = re[min(a, b), max(a, b)]
        if i != j:
            new_im[i, j] = im[a, b] if a < b else ~im[b, a]
    return new_re, new_im, {(i, j): v[i, places[j]] for i, j in v}


def to_format(x: IntArray, f: int) -> tuple[IntArray, BoolArray]:
    """Values with the CORDIC's fraction bits rounded to Q(2, f), clipped, and the flags."""
    return saturate(round_shift(x, CordicFormat(f).fraction - f), f + 2)
