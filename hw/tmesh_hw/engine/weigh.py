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
    """What becomes of the vector of a fraction.

    place: it is written there, if `writes`; `answers`: a reply follows. weight: the denominator, or
    the squared length of what is observed; z: of what is observed. vanished: the weight is too
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
    with the own state: 78 cycles for each state that an EVOLVE writes. INTERFERE and OBSERVE take
    their inner product through the first of them, in 20 cycles; UPDATE takes 2.

    Parameters
    ----------
    config: the core configuration.

    Members
    -------
    i: stream of rounds, see `round_layout`
    address, coefficient: of the operator memory, a cycle later
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
        self._d, self._weight = (
            Signal(2 * f + 7, name=n, reset_less=True) for n in ("d", "weight")
        )
        self._saturated = Signal()
        self._total = Signal(signed(2 * f + 8))  # in the end of the weight, the last row
        x, y, z = self._n
        #: The second agent's turn; its weight was too small.
        second, vanished = Signal(), Signal()
        steps, weighed = Signal(range(64)), Signal()
        evolving = i.command == Command.EVOLVE
        both = evolving & i.asked.both
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.sync += [second.eq(both), steps.eq(0), vanished.eq(0)]
                with m.If(self.i.valid):
                    m.next = "WEIGH"
                    with m.If(i.command == Command.UPDATE):
                        m.next = "AVERAGE"
            with m.State("AVERAGE"):
                m.d.sync += [
                    x.eq(Mux(i.asked.dephase, 0, i.total[0])),
                    y.eq(Mux(i.asked.dephase, 0, i.total[1])),
                    z.eq(i.total[2]),
                    self._d.eq((i.asked.others + 1) << f),
                    self._saturated.eq(0),
                ]
                m.next = "EMIT"
            with m.State("WEIGH"):
                m.d.sync += steps.eq(steps + 1)
                with m.If(steps == 0):
                    m.d.sync += self._saturated.eq(0)
                with m.If(steps == Mux(evolving, 63, 3)):
                    m.next = "FINISH"
            with m.State("FINISH"), m.If(weighed):
                m.next = "CHECK"
            with m.State("CHECK"):
                with m.If(evolving):
                    least = rounds.least_weight(f)
                    small = self._total < least
                    weight = Mux(small, least, self._total)
                    m.d.sync += [
                        self._d.eq(weight),
                        self._weight.eq(weight),
                        # Both agents' weights are the same, but for roundings.
                        vanished.eq(vanished | (small & (second | ~both))),
                    ]
                m.next = "EMIT"
            with m.State("EMIT"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [second.eq(0), steps.eq(0)]
                    m.next = "WEIGH"
                    with m.If(~second):
                        m.d.comb += self.i.ready.eq(1)
                        m.next = "IDLE"
        self._products(m, platform, fsm.ongoing("WEIGH"), steps, second, weighed)
        m.d.comb += [
            *(o.n[n].eq(value) for n, value in enumerate(self._n)),
            o.d.eq(self._d),
            o.saturated.eq(self._saturated),
            o.carry.weight.eq(self._weight),
            o.squarings.eq(i.asked.squarings),
            o.carry.command.eq(i.command),
            o.carry.tag.eq(i.tag),
            o.carry.place.eq(Mux(second, i.other_place, i.own_place)),
            o.carry.writes.eq((i.command != Command.OBSERVE) & ~vanished),
            o.carry.answers.eq(~second),
            o.carry.vanished.eq(vanished),
            o.carry.z.eq(i.own[2]),
        ]
        return m

    def _products(
        self, m: Module, platform: Any, weighing: Any, steps: Any, second: Any, weighed: Any
    ) -> None:
        """A coefficient a step: k and j, the components of other and own that it belongs to, and
        the row."""
        i, f = self.i.payload, self.config.f
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
        stages = 2 * MULTIPLY_LATENCY + 5
        tags = [issued] + [Signal(tag, name=f"stage{n}") for n in range(stages)]
        m.d.sync += [after.eq(before) for before, after in itertools.pairwise(tags)]
        evolving = i.command == Command.EVOLVE

        # The coefficient comes a cycle after its address.
        here = tags[1]
        own = [Mux(second, b, a) for a, b in zip(i.own, i.other, strict=True)]
        other = [Mux(second, a, b) for a, b in zip(i.own, i.other, strict=True)]
        one = 1 << f
        left = Mux(evolving, self.coefficient, Array([0, *i.own])[here.k])
        right = Array([one, *other])[here.k]
        operands = [Signal(signed(f + 2), name=name) for name in ("left", "right")]
        m.d.sync += [operands[0].eq(left), operands[1].eq(right)]
        product = multiply(m, operands[0], operands[1], platform)
        here = tags[2 + MULTIPLY_LATENCY]
        moved = Signal(signed(2 * f + 7))
        with m.If(here.valid):
            m.d.sync += moved.eq(Mux(here.k == 0, 0, moved) + product)

        # Σ_k is complete after the last k.
        here = tags[3 + MULTIPLY_LATENCY]
        complete, three = here.valid & (here.k == 3), 3 << (2 * f)
        rounded = Signal(signed(f + 8))
        base = Signal(signed(2 * f + 8))
        m.d.sync += rounded.eq(round_shift(moved, f - 1))
        with m.If(complete & (here.j == 0)):
            m.d.sync += base.eq(moved << 1)
            with m.If(i.command == Command.INTERFERE):
                # Of vectors no longer than 1 it is 2 at least.
                least = 2 << (2 * f)
                denominator = Mux(moved + three < least, least, moved + three)
                m.d.sync += [self._weight.eq(denominator), self._d.eq(denominator)]
            with m.Elif(i.command == Command.OBSERVE):
                m.d.sync += [self._weight.eq(moved), self._d.eq(1)]
        here = tags[4 + MULTIPLY_LATENCY]
        fine, beyond = saturate(rounded, f + 2, pauli.SLACK)
        with m.If(here.valid & (here.k == 3) & (here.j != 0)):
            m.d.sync += self._saturated.eq(self._saturated | beyond)
        product = multiply(m, fine, Array([0, *own])[here.j], platform)
        here = tags[4 + 2 * MULTIPLY_LATENCY]
        with m.If(here.valid & (here.k == 3) & (here.j != 0)):
            result = Mux(here.j == 1, base, self._total) + product
            m.d.sync += self._total.eq(result)
            for n in range(3):
                with m.If(evolving & (here.j == 3) & (here.row == n)):
                    m.d.sync += self._n[n].eq(result)
        with m.If(weighing & ~evolving):
            for n in range(3):
                value = (i.own[n] + i.other[n]) << (f + 1)
                m.d.sync += self._n[n].eq(Mux(i.command == Command.OBSERVE, 0, value))
        m.d.comb += weighed.eq(~Cat(stage.valid for stage in tags).any())
