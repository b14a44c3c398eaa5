"""Von Neumann entropy of eigenvalues."""

import itertools
from typing import Any

from amaranth import Array, C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from tmesh.golden import entropy
from tmesh.golden.cordic import CordicFormat
from tmesh.golden.entropy import (
    FACTOR,
    LOG_FRACTION,
    MANTISSA,
    PLACE_BITS,
    SEGMENT_BITS,
    SUM_FRACTION,
)
from tmesh.numbers import IntArray

from tmesh_hw.blocks.checks import check_choice
from tmesh_hw.numbers import multiply, round_shift

#: Matrices in flight: at full rate even of one eigenvalue each.
_ROOM = 16


def _leading_zeros(value: Any) -> tuple[Any, Any]:
    """Whether there is a one, and how many zeros are above it, halves first."""
    if len(value) == 1:
        return value, C(0, 0)
    half = 1 << ((len(value) - 1).bit_length() - 1)
    (some, high), (more, low) = (_leading_zeros(part) for part in (value[-half:], value[:-half]))
    return some | more, Cat(Mux(some, high, low), ~some)


class Entropy(wiring.Component):
    """``o.entropy = -sum(l * log(l))`` over ``i.values``, in nats.

    Each eigenvalue is clipped to [0, 1], so values outside do not count. ln m by a table of 64
    segments with linear interpolation. Format: values Q(4, f+6), result Q(2, f), rounded half to
    even. Error: 1e-4 nat and half an LSB at most for eigenvalues that sum to 1. Latency n + 13; one
    matrix per n cycles; 2 multipliers. Results wait in a memory, so nothing else does.

    Parameters
    ----------
    f: fraction bits of Q(2, f), 4 to 16.
    n: eigenvalues, 1 to 4 (more could exceed 2 nat).
    carry: shape of data forwarded with the result.

    Members
    -------
    i: stream of ``{values: n × signed(f+10), carry}``
    o: stream of ``{entropy: signed(f+2), carry}``
    """

    def __init__(self, *, f: int, n: int, carry: Any = 0) -> None:
        self.format = CordicFormat(f)
        self.n = check_choice("n", n, (1, 2, 3, 4))
        self._carry = carry
        values = data.ArrayLayout(signed(self.format.width), n)
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({"values": values, "carry": carry}))),
                "o": Out(
                    stream.Signature(data.StructLayout({"entropy": signed(f + 2), "carry": carry}))
                ),
            }
        )

    @property
    def interval(self) -> int:
        """Cycles between matrices."""
        return self.n

    @property
    def latency(self) -> int:
        """Load, one issue a value, eleven stages, and the memory."""
        return self.n + 13

    def model(self, values: IntArray) -> IntArray:
        """Integers (..., n) in, (...,) out."""
        return entropy.entropy(values, self.format.f)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        f, fraction, n = self.format.f, self.format.fraction, self.n
        values = Signal(self.i.payload.shape()["values"].shape, reset_less=True)
        carry = Signal(self._carry, reset_less=True)
        left, room = Signal(range(n + 1)), Signal(range(_ROOM + 1), init=_ROOM)
        tag = data.StructLayout({"valid": 1, "first": 1, "last": 1, "carry": self._carry})
        tags = [Signal(tag, name=f"tag{k}") for k in range(13)]
        enters, leaves = (port.valid & port.ready for port in (self.i, self.o))
        m.d.comb += [
            tags[0].valid.eq(left != 0),
            tags[0].first.eq(left == n),
            tags[0].last.eq(left == 1),
            tags[0].carry.eq(carry),
        ]
        m.d.sync += [after.eq(before) for before, after in itertools.pairwise(tags)]
        # Decided in the cycle before; a departure is counted a cycle later.
        left_room = Signal()
        m.d.sync += [
            left_room.eq(leaves),
            room.eq(room + left_room - enters),
            self.i.ready.eq((room > 1) & ((n == 1) | (~enters & (left <= 2)))),
        ]
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
            m.d.sync += [values[k].eq(values[k + 1]) for k in range(n - 1)]
        with m.If(enters):
            m.d.sync += [
                left.eq(n),
                values.eq(self.i.payload["values"]),
                carry.eq(self.i.payload.carry),
            ]

        def later(name: str, shape: Any, first: int, last: int) -> dict[int, Any]:
            """A register that is set in stage `first`, and its values in the stages behind."""
            registers = {
                k: Signal(shape, name=f"{name}{k}", reset_less=True)
                for k in range(first + 1, last + 2)
            }
            for k in range(first + 1, last + 1):
                with m.If(tags[k].valid):
                    m.d.sync += registers[k + 1].eq(registers[k])
            return registers

        # 0: clip. 1: count leading zeros. 2: the mantissa without its leading one. 3: the table.
        # 3 to 5: between its entries. 6 to 8: m times its logarithm. 9, 10: shift it back. 11: add.
        # 12: round.
        value = values[0]
        u, counted, mantissa = (
            Signal(width, name=name, reset_less=True)
            for name, width in (
                ("u", fraction + 1),
                ("counted", fraction + 1),
                ("mantissa", fraction),
            )
        )
        shifts = later("shift", range(fraction + 1), 1, 9)
        none = later("none", 1, 1, 8)
        _, shift = _leading_zeros(u)
        with m.If(tags[0].valid):
            m.d.sync += u.eq(Mux(value < 0, 0, value))
            with m.If((value >= 0) & value[fraction:].any()):
                m.d.sync += u.eq(1 << fraction)
        with m.If(tags[1].valid):
            m.d.sync += [counted.eq(u), shifts[2].eq(shift), none[2].eq(u == 0)]
        with m.If(tags[2].valid):
            m.d.sync += mantissa.eq((counted << shifts[2])[:fraction])

        start, rise = (Array(C(v, LOG_FRACTION) for v in t) for t in entropy.logarithms())
        doubling = Array(C(v, LOG_FRACTION + 4) for v in entropy.doublings(f))
        segment = mantissa[fraction - SEGMENT_BITS :]
        padded = Cat(C(0, SEGMENT_BITS + PLACE_BITS), mantissa)
        place = padded[fraction : fraction + PLACE_BITS]
        wide = Cat(C(0, MANTISSA), mantissa)[fraction : fraction + MANTISSA]
        above = multiply(m, rise[segment][: LOG_FRACTION - SEGMENT_BITS + 1], place, platform)
        entry = Signal(LOG_FRACTION, reset_less=True)
        scaled = Signal(LOG_FRACTION + 4, reset_less=True)
        difference = later("difference", LOG_FRACTION + 4, 4, 5)
        factors = later("factor", MANTISSA + 1, 3, 5)
        with m.If(tags[3].valid):
            m.d.sync += [
                entry.eq(start[segment]),
                scaled.eq(doubling[shifts[3]]),
                factors[4].eq(Cat(wide, 1)),
            ]
        with m.If(tags[4].valid):
            m.d.sync += difference[5].eq(scaled - entry)
        log = (difference[6] - (above >> PLACE_BITS))[LOG_FRACTION - FACTOR : LOG_FRACTION + 4]
        product = multiply(m, factors[6], log, platform)[MANTISSA + FACTOR - SUM_FRACTION :]
        coarse, term, total = (
            Signal(SUM_FRACTION + bits, name=name, reset_less=True)
            for name, bits in (("coarse", 5), ("term", 2), ("total", 2))
        )
        with m.If(tags[9].valid):
            m.d.sync += coarse.eq(Mux(none[9], 0, product >> (shifts[9] & 0b11100)))
        with m.If(tags[10].valid):
            m.d.sync += term.eq(coarse >> shifts[10][:2])
        with m.If(tags[11].valid):
            m.d.sync += total.eq(Mux(tags[11].first, 0, total) + term)
        arrives = tags[12].valid & tags[12].last
        self._offer(m, arrives, round_shift(total, SUM_FRACTION - f), tags[12].carry, leaves)
        return m

    def _offer(self, m: Module, arrives: Any, result: Any, carry: Any, leaves: Any) -> None:
        """Results in a memory, as many as may be in flight."""
        m.submodules.results = results = Memory(shape=self.o.payload.shape(), depth=_ROOM, init=[])
        write, read = results.write_port(), results.read_port(domain="comb")
        count = Signal(range(_ROOM + 1))
        m.d.comb += [
            write.en.eq(arrives),
            write.data.entropy.eq(result),
            write.data.carry.eq(carry),
            self.o.payload.eq(read.data),
        ]
        m.d.sync += [
            write.addr.eq(write.addr + arrives),
            read.addr.eq(read.addr + leaves),
            count.eq(count + arrives - leaves),
            self.o.valid.eq(arrives | Mux(leaves, count[1:].any(), count.any())),
        ]
