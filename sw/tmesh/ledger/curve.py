"""The check that 32 bytes are an Ed25519 public key for which only its owner can sign.

The curve −x² + y² = 1 + dx²y² over the integers modulo p = 2²⁵⁵ − 19 has 8L points, L prime
(RFC 8032, 5.1). A signature by a point of order 1, 2, 4 or 8 can be made without a secret, and
passes for any message. Adding such a point to a key gives a key that signs as before for some
messages and not for others. Honest keys are multiples of the base point, so of order L.
"""

from functools import lru_cache

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, P) % P
_ROOT = pow(2, (P - 1) // 4, P)  # of −1

#: X, Y, Z and T with x = X/Z, y = Y/Z and xy = T/Z.
Point = tuple[int, int, int, int]
_NEUTRAL: Point = (0, 1, 1, 0)


@lru_cache(maxsize=1 << 14)
def flaw(key: bytes) -> str | None:
    """The reason why 32 bytes are no key of an agent, None if they are one. Takes about 2 ms."""
    point = _decoded(key)
    if point is None:
        return "is no point of the curve in its one encoding"
    if not _neutral(_times(ORDER, point)):
        return "is a point of another order than the base point"
    return "is the neutral point" if _neutral(point) else None


def _decoded(key: bytes) -> Point | None:
    """The point of an encoding, RFC 8032, 5.1.3; None for one that the RFC refuses."""
    number = int.from_bytes(key, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    if y >= P:
        return None
    above, below = (y * y - 1) % P, (_D * y * y + 1) % P
    x = above * pow(below, 3, P) * pow(above * pow(below, 7, P), (P - 5) // 8, P) % P
    if (below * x * x - above) % P:
        x = x * _ROOT % P
    if (below * x * x - above) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def _sum(one: Point, other: Point) -> Point:
    """Hisil, Wong, Carter and Dawson (2008), 3.1, complete on this curve."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * _D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _double(point: Point) -> Point:
    """The same paper, 3.3."""
    a, b = point[0] * point[0] % P, point[1] * point[1] % P
    h, g = a + b, a - b
    e = h - (point[0] + point[1]) ** 2 % P
    f = 2 * point[2] * point[2] % P + g
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(factor: int, point: Point) -> Point:
    total = _NEUTRAL
    for bit in bin(factor)[2:]:
        total = _double(total)
        if bit == "1":
            total = _sum(total, point)
    return total


def _neutral(point: Point) -> bool:
    x, y, z, _ = point
    return x == 0 and y == z
