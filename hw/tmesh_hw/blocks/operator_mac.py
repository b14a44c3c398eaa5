"""The 4×4 operator MAC: Y = L X R†."""

import itertools
from typing import Any

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.golden import fixed
from tmesh.numbers import BoolArray, IntArray

from tmesh_hw.blocks.checks import check_choice, check_fraction
from tmesh_hw.blocks.complex_multiply import ComplexMultiply
from tmesh_hw.numbers import Complex, matrix, round_shift, saturate

#: Order in which outputs are computed: the upper triangle first, so that a Hermitian result can
#: stop after it.
UPPER = [(i, j) for i in range(4) for j in range(i, 4)]
LOWER = [(i, j) for i in range(4) for j in range(i)]


class OperatorMac(wiring.Component):
    """``o.y = i.left @ i.x @ i.right.conj().T`` on 4×4 complex matrices.

    Two phases share `lanes` complex multipliers: T = L X (64 products), then Y = T R†, 64 products
    or, with ``i.hermitian``, the 40 of the upper triangle; the rest is mirrored and the diagonal
    is real (exact for L = R and Hermitian X). While T of one transaction drains through the
    pipeline, the other phase of its neighbours uses the multipliers: two are in flight.

    Format: left, right Q(2, f); x any format of f+2 bits. T is rounded half to even to the format
    of x and clips with a flag; Y has f more fraction bits than x and is never rounded.
    Throughput: one transaction per ``interval(hermitian)`` cycles; 4·lanes multipliers.

    Parameters
    ----------
    f: fraction bits of Q(2, f).
    lanes: complex multipliers: 1, 2, 4, 8 or 16.
    carry: shape of data forwarded with the result.

    Members
    -------
    i: stream of ``{left, x, right: 4×4 Complex(f+2), hermitian: 1, carry}``
    o: stream of ``{y: 4×4 Complex(2f+7), saturated: 1, carry}``
    """

    def __init__(self, *, f: int, lanes: int, carry: Any = 0) -> None:
        self.f = check_fraction(f)
        self.lanes = check_choice("lanes", lanes, (1, 2, 4, 8, 16))
        self._units = max(1, lanes // 4)  # inner products at a time
        self._terms = 4 // min(lanes, 4)  # cycles per inner product
        operand, result = matrix(4, f + 2), matrix(4, 2 * f + 7)
        command = {"left": operand, "x": operand, "right": operand, "hermitian": 1, "carry": carry}
        reply = {"y": result, "saturated": 1, "carry": carry}
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(command))),
                "o": Out(stream.Signature(data.StructLayout(reply))),
            }
        )

    @staticmethod
    def cycles(lanes: int, hermitian: bool) -> int:
        """Cycles that both phases occupy `lanes` multipliers: the least possible but for the idle
        slots of the last step (104 products Hermitian, 128 general)."""
        units, terms = max(1, lanes // 4), 4 // min(lanes, 4)
        outputs = len(UPPER) if hermitian else 16
        return (16 // units + -(-outputs // units)) * terms

    def interval(self, hermitian: bool) -> int:
        """Cycles between transactions."""
        return self.cycles(self.lanes, hermitian)

    def latency(self, hermitian: bool) -> int:
        """Operand register and both phases, each with the multiplier, adder and rounding."""
        return self.interval(hermitian) + 2 * (ComplexMultiply.latency + 1) + 1

    def model(
        self, left: IntArray, x: IntArray, right: IntArray, hermitian: bool
    ) -> tuple[IntArray, BoolArray]:
        """Integers (..., 4, 4, 2) in; full-width Y and the saturation flag out."""
        return fixed.operator_mac(left, x, right, self.f, hermitian)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        f, width, units, terms = self.f, self.f + 2, self._units, self._terms
        width_sum = 2 * width + 3
        steps = 16 // units
        group = 4 // terms
        hermitian_steps = -(-len(UPPER) // units)

        # One transaction is in phase 1; up to two own a slot, from acceptance to the last issue
        # of phase 2.
        left = Signal(matrix(4, width), reset_less=True)
        x = Signal(matrix(4, width), reset_less=True)
        t = [Signal(matrix(4, width), name=f"t{n}", reset_less=True) for n in (0, 1)]
        right = [Signal(matrix(4, width), name=f"right{n}", reset_less=True) for n in (0, 1)]
        hermitian, saturated, full = (Signal(2, name=n) for n in ("hermitian", "saturated", "full"))
        carry_shape = self.i.payload.shape()["carry"].shape
        carry = [Signal(carry_shape, name=f"carry{n}", reset_less=True) for n in (0, 1)]
        next_slot, slot1 = Signal(), Signal()
        busy1 = Signal()
        step1, step2 = Signal(range(steps)), Signal(range(steps))
        last1, last2 = Signal(), Signal()  # they are the last
        term = Signal(range(terms))
        # Of phase 2: its slot, which slots are ready for it, whether the inner product under way is
        # of it; and all again, to select operands: these stand where those are.
        states = [("slot2", 1), ("t_ready", 2), ("held", 1)]
        slot2, t_ready, held, operand_slot2, operand_t_ready, operand_held = (
            Signal(n, name=prefix + name, attrs={"keep": 1})
            for prefix in ("", "operand_")
            for name, n in states
        )

        tag = data.StructLayout(
            {
                "valid": 1,
                "phase2": 1,
                "slot": 1,
                "step": range(steps),
                "hermitian": 1,
                "first": 1,
                "last": 1,
                "finish": 1,
            }
        )
        tags = [Signal(tag, name=f"tag{n}") for n in range(ComplexMultiply.latency + 2)]
        issue, summing, arriving = tags[0], tags[-2], tags[-1]
        advance, finish1, finish2 = Signal(), Signal(), Signal()
        # Stall as a whole rather than overwrite a result that was not taken yet. Decided a cycle
        # ahead, since it drives everything: a register for each multiplier, and one for the rest.
        stalled = [Signal(name=f"stalled{n}", attrs={"keep": 1}) for n in range(units * group + 1)]
        full_next, arriving_next = Signal(), Mux(advance, summing.as_value(), arriving.as_value())
        arriving_next = data.View(tag, arriving_next)
        m.d.sync += self.o.valid.eq(full_next)
        m.d.sync += [
            copy.eq(arriving_next.valid & arriving_next.phase2 & full_next) for copy in stalled
        ]
        m.d.comb += full_next.eq(
            (self.o.valid & ~self.o.ready)
            | (advance & arriving.valid & arriving.phase2 & arriving.finish)
        )
        phase2, last = Signal(), Signal()
        following1, following2, following_slot2 = (
            Signal.like(now, name=name)
            for name, now in (("following1", step1), ("following2", step2), ("following", slot2))
        )
        m.d.comb += [
            phase2.eq(Mux(term == 0, t_ready.bit_select(slot2, 1), held)),
            last.eq(term == terms - 1),
            advance.eq(~stalled[-1]),
            issue.phase2.eq(
                Mux(term == 0, operand_t_ready.bit_select(operand_slot2, 1), operand_held)
            ),
            issue.valid.eq(phase2 | busy1),
            issue.slot.eq(Mux(issue.phase2, operand_slot2, slot1)),
            issue.step.eq(Mux(issue.phase2, step2, step1)),
            issue.hermitian.eq(hermitian.bit_select(issue.slot, 1)),
            issue.first.eq(term == 0),
            issue.last.eq(last),
            issue.finish.eq(last & Mux(phase2, last2, last1)),
            finish1.eq(busy1 & ~phase2 & last & last1),
            finish2.eq(phase2 & last & last2),
            self.i.ready.eq(
                advance
                & (~busy1 | finish1)
                & (~full.bit_select(next_slot, 1) | (finish2 & (slot2 == next_slot)))
            ),
        ]
        with m.If(advance):
            m.d.sync += [after.eq(before) for before, after in itertools.pairwise(tags)]
            with m.If(phase2 | busy1):
                m.d.sync += [
                    held.eq(phase2),
                    operand_held.eq(phase2),
                    term.eq(Mux(last, 0, term + 1)),
                ]
            with m.If(finish1):
                m.d.sync += busy1.eq(0)
            with m.If(finish2):
                m.d.sync += [
                    full.bit_select(slot2, 1).eq(0),
                    t_ready.bit_select(slot2, 1).eq(0),
                    operand_t_ready.bit_select(slot2, 1).eq(0),
                ]
        m.d.comb += [following1.eq(step1), following2.eq(step2), following_slot2.eq(slot2)]
        with m.If(advance & last & phase2):
            m.d.comb += following2.eq(Mux(last2, 0, step2 + 1))
        with m.If(advance & last & ~phase2 & busy1):
            m.d.comb += following1.eq(Mux(last1, 0, step1 + 1))
        with m.If(advance & finish2):
            m.d.comb += following_slot2.eq(~slot2)
        # Of two transactions under way, the second is known before the first one ends.
        end2 = Mux(hermitian.bit_select(following_slot2, 1), hermitian_steps - 1, steps - 1)
        m.d.sync += [
            step1.eq(following1),
            step2.eq(following2),
            slot2.eq(following_slot2),
            operand_slot2.eq(following_slot2),
            last1.eq(following1 == steps - 1),
            last2.eq(following2 == end2),
        ]
        for slot in (0, 1):
            # Whatever is there, while there is room for it: that need not wait for `valid`.
            with m.If(~full[slot] | (advance & finish2 & (slot2 == slot))):
                m.d.sync += [
                    right[slot].eq(self.i.payload.right),
                    carry[slot].eq(self.i.payload.carry),
                ]
            with m.If(self.i.valid & self.i.ready & (next_slot == slot)):
                m.d.sync += [
                    hermitian[slot].eq(self.i.payload.hermitian),
                    saturated[slot].eq(0),
                    full[slot].eq(1),
                ]
        with m.If(~busy1 | (advance & finish1)):
            m.d.sync += [left.eq(self.i.payload.left), x.eq(self.i.payload.x)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                busy1.eq(1),
                slot1.eq(next_slot),
                next_slot.eq(~next_slot),
            ]

        # Inner product `step * units + unit`, terms `term * group + (0 .. group-1)`.
        position1 = step1 * terms + term
        position2 = step2 * terms + term
        totals = []
        for unit in range(units):
            products = []
            for lane in range(group):
                m.submodules[f"multiply{unit}_{lane}"] = mul = ComplexMultiply(width=width)
                rows, columns, rows2, columns2 = [], [], [], []
                for s in range(steps):
                    i, j = divmod(s * units + unit, 4)
                    p, q = (UPPER + LOWER)[s * units + unit]
                    for k in range(lane, 4, group):
                        rows.append(left[i][k])
                        columns.append(x[k][j])
                        rows2.append((p, k))
                        columns2.append((q, k))
                t_slots = [Array(s[i][k] for i, k in rows2)[position2] for s in t]
                right_slots = [Array(s[i][k] for i, k in columns2)[position2] for s in right]
                a2 = Mux(operand_slot2, t_slots[1].as_value(), t_slots[0].as_value())
                b2 = Mux(operand_slot2, right_slots[1].as_value(), right_slots[0].as_value())
                a1 = Array(rows)[position1].as_value()
                b1 = Array(columns)[position1].as_value()
                m.d.comb += [
                    mul.i.valid.eq(1),
                    mul.o.ready.eq(~stalled[unit * group + lane]),
                    mul.i.payload.a.eq(Mux(issue.phase2, a2, a1)),
                    mul.i.payload.b.eq(Mux(issue.phase2, b2, b1)),
                    mul.i.payload.conjugate.eq(issue.phase2),
                ]
                products.append(mul.o.payload.p)
            total = Signal(Complex(width_sum), name=f"total{unit}", reset_less=True)
            for part in ("re", "im"):
                with m.If(advance):
                    m.d.sync += total[part].eq(
                        sum((p[part] for p in products), Mux(summing.first, 0, total[part]))
                    )
            totals.append(total)

        y = Signal.like(self.o.payload.y, reset_less=True)
        m.d.comb += self.o.payload.y.eq(y)
        for unit, total in enumerate(totals):
            parts = {
                p: saturate(round_shift(total[p], f), width, fixed.SLACK) for p in ("re", "im")
            }
            for s in range(steps):
                i, j = divmod(s * units + unit, 4)
                here = advance & arriving.valid & arriving.last & (arriving.step == s)
                for slot in (0, 1):
                    with m.If(here & ~arriving.phase2 & (arriving.slot == slot)):
                        m.d.sync += [t[slot][i][j][p].eq(value) for p, (value, _) in parts.items()]
                p, q = (UPPER + LOWER)[s * units + unit]
                with m.If(here & arriving.phase2 & (1 if p <= q else ~arriving.hermitian)):
                    m.d.sync += y[p][q].re.eq(total.re)
                    m.d.sync += y[p][q].im.eq(Mux(arriving.hermitian & (p == q), 0, total.im))
                    if p < q:
                        with m.If(arriving.hermitian):
                            m.d.sync += [y[q][p].re.eq(total.re), y[q][p].im.eq(-total.im)]
            overflow = parts["re"][1] | parts["im"][1]
            for slot in (0, 1):
                with m.If(
                    advance
                    & arriving.valid
                    & arriving.last
                    & ~arriving.phase2
                    & (arriving.slot == slot)
                    & overflow
                ):
                    m.d.sync += saturated[slot].eq(1)
        with m.If(advance & arriving.valid & arriving.finish & ~arriving.phase2):
            m.d.sync += [
                t_ready.bit_select(arriving.slot, 1).eq(1),
                operand_t_ready.bit_select(arriving.slot, 1).eq(1),
            ]
        # A slot is free again once phase 2 has been *issued*, so what its reply needs is kept from
        # then on in registers of its own, one a slot because two may be on their way.
        for slot in (0, 1):
            leaving_carry = Signal(carry_shape, name=f"leaving_carry{slot}", reset_less=True)
            leaving_saturated = Signal(name=f"leaving_saturated{slot}")
            with m.If(advance & finish2 & (slot2 == slot)):
                m.d.sync += [
                    leaving_carry.eq(carry[slot]),
                    leaving_saturated.eq(saturated[slot]),
                ]
            with m.If(
                advance
                & arriving.valid
                & arriving.phase2
                & arriving.finish
                & (arriving.slot == slot)
            ):
                m.d.sync += [
                    self.o.payload.carry.eq(leaving_carry),
                    self.o.payload.saturated.eq(leaving_saturated),
                ]
        return m
