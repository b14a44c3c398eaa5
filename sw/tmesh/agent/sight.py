"""What a statement of level `sampled` says about the rounds before it.

At level `closure` an agent has the whole past, and tests the frontier on it. At `sampled` it has
only the last steps, so each statement carries a summary of J rounds, recomputed at each step.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tmesh.errors import InvalidInput
from tmesh.finality.encoding import AGENTS, packed, unpacked
from tmesh.ledger.encoding import array, number

#: The most rounds back.
HORIZON = 32


class Level(NamedTuple):
    """A number of citations back: the least and greatest opinion of each branching in units of
    2⁻ᶠ, and the authors, as the bits of a number."""

    low: tuple[int, ...]
    high: tuple[int, ...]
    authors: int


#: Entry n is the level n + 1 citations back.
Sight = tuple[Level, ...]


class Frontier(NamedTuple):
    """Result of the frontier test: the present authors, as the bits of a number, and for each
    branching the sign that all their opinions have, 0 for none."""

    present: int
    signs: tuple[int, ...]


def joined(levels: Iterable[Level]) -> Level:
    """One level from those of several statements."""
    low, high, authors = zip(*levels, strict=True)
    together = 0
    for one in authors:
        together |= one
    return Level(
        tuple(map(min, zip(*low, strict=True))), tuple(map(max, zip(*high, strict=True))), together
    )


def frontier(sight: Sight, horizon: int, branchings: int) -> Frontier:
    """The frontier test on a new statement's sight.

    Its round R is `horizon` citations back. If the authors within `horizon` − 1 citations are those
    within `horizon`, they heard nobody else since R. No author is certain to be present before.
    """
    last = sight[-1]
    none = (0,) * branchings
    if len(sight) < horizon or sight[-2].authors != last.authors:
        return Frontier(last.authors, none)
    signs = tuple(
        1 if low > 0 else -1 if high < 0 else 0
        for low, high in zip(last.low, last.high, strict=True)
    )
    return Frontier(last.authors, signs)


def fields(sight: Sight) -> list[object]:
    """A sight for CBOR."""
    return [[list(one.low), list(one.high), packed(one.authors)] for one in sight]


def read(value: object, z: Sequence[int], limit: int) -> Sight:
    """A sight from CBOR or from a caller, for as many opinions as `z`, each of at most `limit`.
    Raises `InvalidInput` for anything else."""
    rows = array("sight", value)
    if len(rows) > HORIZON:
        raise InvalidInput(f"sight: {len(rows)} rounds are more than {HORIZON}")
    found = []
    for row in rows:
        low, high, authors = array("sight", row, 3)
        if isinstance(authors, bytes):
            authors = unpacked("authors", authors)
        found.append(
            Level(
                tuple(_z(one, limit) for one in array("low", low, len(z))),
                tuple(_z(one, limit) for one in array("high", high, len(z))),
                number("authors", authors, below=1 << AGENTS),
            )
        )
    return tuple(found)


def _z(value: object, limit: int) -> int:
    return number("z", value, least=-limit, below=limit + 1)
