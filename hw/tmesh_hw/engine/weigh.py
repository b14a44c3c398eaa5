"""From the states of a round to numerators and a denominator."""

import itertools
from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.config import CoreConfig
from tmesh.golden import pauli, rounds
from tmesh.packets import Command

from tmesh_hw.engine.gather import TAG, round_layout
from tmesh_hw.engine.resident import place_layout
from tmesh_hw.numbers import MULTIPLY_LATENCY, multiply, round_shift, saturate


def ticket_layout(config: CoreConfig) -> data.StructLayout:
    """The use of the vector of a fraction.

    place: it is written there, if `writes`; `answers`: a reply follows. weight: the denominator, or
    the squared length of an observed state; z: of an observed state. vanished: the weight is too
    small, and nothing is written.
    """
    return data.StructLayout(
        {
            "command": Command,
            "tag": TAG,
            "place": place_layout(config.rows),
            "writes": 1,
            "answers": 1,
            "vanished": 1,
            "weight": unsigned(2 * config.f + 7),
            "z": signed(config.f + 2),
        }
    )


class Weigh(wiring.Component):
    """Fractions for `Quotient`, see `tmesh.golden.rounds`; two of them where an EVOLVE writes both
    agents, the second agent's first.

    One multiplier contracts an operator with the other state, coefficient by coefficient, and one
    with the own state. That takes 79 cycles for each state that an EVOLVE writes. INTERFERE and
    OBSERVE take their inner product through the first of them, in 13 cycles; UPDATE takes 2.

    Parameters
    ----------
    config: the core configuration.

    Members
    -------
    i: stream of rounds, see `round_layout`
    address, coefficient: of the operator memory, a `BlockMemory`
    o: stream of the payload of `Quotient`, carrying a `ticket_layout`
    """

    def __init__(self, *, config: CoreConfig) -> None:
        self.config = config
        f = config.f
        job = {
            "n": data.ArrayLayout(signed(2 * f + 8), 3),
            "d": unsigned(2 * f + 7),
            "squarings": 2,
            "saturated": 1,
            "carry": ticket_layout(config),
        }
        super().__init__(
            {
                "i": In(stream.Signature(round_layout(config))),
                "address": Out(range(config.operators << 7)),
                "coefficient": In(signed(f + 2)),
                "o": Out(stream.Signature(data.StructLayout(job))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        i, o, f = self.i.payload, self.o.payload, self.config.f
        self._n = [Signal(signed(2 * f + 8), name=f"n{n}", reset_less=True) for n in range(3)]
        self._weight, self._saturated = Signal(2 * f + 7, reset_less=True), Signal()
        #: In the end of the weight: the last row, or the first and only sum of an inner product.
        self._total = Signal(signed(2 * f + 8), reset_less=True)
        self._moved = Signal(signed(2 * f + 7), reset_less=True)
        #: The second agent's turn; its weight was too small.
        self._second, vanished = Signal(name="second"), Signal()
        second = self._second
        small, steps, weighed = Signal(), Signal(range(64)), Signal()
        # They are looked at from the cycle after the round came.
        evolving, interfering, updating = (
            Signal(name=name) for name in ("evolving", "interfering", "updating")
        )
        self._evolving, self._interfering = evolving, interfering
        m.d.sync += [
            evolving.eq(i.command == Command.EVOLVE),
            interfering.eq(i.command == Command.INTERFERE),
            updating.eq(i.command == Command.UPDATE),
        ]
        both = evolving & i.asked.both
        # Powers of two: the least weight of an EVOLVE, and that of an INTERFERE where |r| ≤ 1.
        least, half = rounds.least_weight(f), 2 << (2 * f)
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.sync += [steps.eq(0), vanished.eq(0), self._saturated.eq(0)]
                m.d.sync += second.eq((i.command == Command.EVOLVE) & i.asked.both)
                with m.If(self.i.valid):
                    m.next = "WEIGH"
                    with m.If(i.command == Command.UPDATE):
                        m.next = "SETTLE"
            with m.State("WEIGH"):
                m.d.sync += steps.eq(steps + 1)
                with m.If(steps == Mux(evolving, 63, 3)):
                    m.next = "FINISH"
            with m.State("FINISH"), m.If(weighed):
                m.next = "CHECK"
            with m.State("CHECK"):
                low = self._total[-1] | ~self._total[least.bit_length() - 1 :].any()
                lower = self._moved[-1] | ~self._moved[half.bit_length() - 1 :].any()
                m.d.sync += small.eq((evolving & low) | (interfering & lower))
                m.next = "SETTLE"
            with m.State("SETTLE"):
                weight = Mux(evolving, self._total, self._moved)
                m.d.sync += self._weight.eq(Mux(small, Mux(evolving, least, half), weight))
                with m.If(updating):
                    m.d.sync += self._weight.eq((i.asked.others + 1) << (2 * f - 3))
                with m.If(evolving):
                    # Both agents' weights are the same, but for roundings.
                    m.d.sync += vanished.eq(vanished | (small & (second | ~both)))
                with m.Else():
                    for n, value in enumerate(self._n):
                        m.d.sync += value.eq(0)
                        with m.If(interfering):
                            m.d.sync += value.eq(i.total[n] << (f + 1))
                        with m.Elif(updating & ((n == 2) | ~i.asked.dephase)):
                            m.d.sync += value.eq(i.total[n] << (f - 3))
                m.next = "EMIT"
            with m.State("EMIT"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [second.eq(0), steps.eq(0), self._saturated.eq(0)]
                    m.next = "WEIGH"
                    with m.If(~second):
                        m.d.comb += self.i.ready.eq(1)
                        m.next = "IDLE"
        m.d.comb += weighed.eq(~self._products(m, platform, fsm.ongoing("WEIGH"), steps))
        observing = ~(evolving | interfering | updating)
        m.d.comb += [
            *(o.n[n].eq(value) for n, value in enumerate(self._n)),
            # The denominator of an OBSERVE has a top bit, so that it is not 0.
            o.d.eq(self._weight | (observing << (2 * f + 6))),
            o.saturated.eq(self._saturated),
            o.carry.weight.eq(self._weight),
            o.squarings.eq(i.asked.squarings),
            o.carry.command.eq(i.command),
            o.carry.tag.eq(i.tag),
            o.carry.place.eq(Mux(second, i.other_place, i.own_place)),
            o.carry.writes.eq(~observing & ~vanished),
            o.carry.answers.eq(~second),
            o.carry.vanished.eq(vanished),
            o.carry.z.eq(i.own[2]),
        ]
        return m

    def _products(self, m: Module, platform: Any, weighing: Any, steps: Any) -> Any:
        """A coefficient a step: k and j, the components of other and own that it belongs to, and
        the row; whether there is more to do."""
        i, f = self.i.payload, self.config.f
        evolving, interfering, second = self._evolving, self._interfering, self._second
        tag = data.StructLayout({"k": 2, "j": 2, "row": 2, "valid": 1})
        issued = Signal(tag)
        m.d.comb += [
            Cat(issued.k, issued.j, issued.row).eq(steps),
            issued.valid.eq(weighing),
            # Rows of an operator: x, y, z of the first, of the second, their weights.
            self.address.eq(
                Cat(
                    steps[:4],
                    Mux(
                        issued.row == 3,
                        6 + second,
                        issued.row + Mux(second, 3, 0),
                    )[:3],
                    i.asked.operator,
                )
            ),
        ]
        moving, adding = 4 + MULTIPLY_LATENCY, 7 + 2 * MULTIPLY_LATENCY
        tags = [issued] + [Signal(tag, name=f"stage{n}") for n in range(1, adding)]
        m.d.sync += [after.eq(before) for before, after in itertools.pairwise(tags)]

        # The coefficient comes two cycles after its address.
        names = ("own", "other", "left", "right", "mine", "its", "fine", "by")
        own, other, left, right, mine, its, fine, by = (
            Signal(signed(f + 2), name=name, reset_less=True) for name in names
        )
        one = 1 << f
        with m.If(tags[1].valid):
            k = tags[1].k
            m.d.sync += [
                own.eq(Array([one, *i.own])[k]),
                other.eq(Array([one, *i.other])[k]),
            ]
        with m.If(tags[2].valid):
            m.d.sync += [
                left.eq(Mux(evolving, self.coefficient, Mux(tags[2].k == 0, 0, own))),
                right.eq(Mux(second, own, other)),
            ]
        product = multiply(m, left, right, platform)
        here, moved = tags[moving - 1], self._moved
        with m.If(here.valid):
            start = Mux(interfering, 3 << (2 * f), 0)
            m.d.sync += moved.eq(Mux(here.k == 0, start, moved) + product)

        # Σ_k is complete after the last k.
        here = tags[moving]
        rounded = Signal(signed(f + 8), reset_less=True)
        base = Signal(signed(2 * f + 8), reset_less=True)
        with m.If(here.valid & (here.k == 3)):
            m.d.sync += [
                rounded.eq(round_shift(moved, f - 1)),
                mine.eq(Array([0, *i.own])[here.j]),
                its.eq(Array([0, *i.other])[here.j]),
            ]
            with m.If(here.j == 0):
                m.d.sync += base.eq(moved << 1)
        here = tags[moving + 1]
        clipped, beyond = saturate(rounded, f + 2, pauli.SLACK)
        outside, matters = Signal(), Signal()
        m.d.sync += matters.eq(here.valid & (here.k == 3) & (here.j != 0))
        with m.If(here.valid):
            m.d.sync += [fine.eq(clipped), outside.eq(beyond), by.eq(Mux(second, its, mine))]
        with m.If(matters & outside):
            m.d.sync += self._saturated.eq(1)
        product = multiply(m, fine, by, platform)
        here = tags[adding - 1]
        with m.If(evolving & here.valid & (here.k == 3) & (here.j != 0)):
            m.d.sync += self._total.eq(Mux(here.j == 1, base, self._total) + product)
        complete = evolving & here.valid & (here.k == 3) & (here.j == 3)
        for n in range(3):
            whole = Signal(name=f"whole{n}")
            m.d.sync += whole.eq(complete & (here.row == n))
            with m.If(whole):
                m.d.sync += self._n[n].eq(self._total)
        # In the cycle after, the awaited sum is complete.
        inner, outer = tags[: moving - 1], tags[moving - 1 : adding - 1]
        valid = (Cat(stage.valid for stage in stages).any() for stages in (inner, outer))
        return next(valid) | (evolving & next(valid))
