"""The 4×4 operator MAC, entry by entry."""

import itertools
from typing import Any

from amaranth import Array, C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from tmesh.golden import fixed
from tmesh.numbers import BoolArray, IntArray

from tmesh_hw.blocks.checks import check_choice, check_fraction
from tmesh_hw.blocks.complex_multiply import ComplexMultiply
from tmesh_hw.numbers import Complex, round_shift, saturate

#: Order in which outputs are computed: the upper triangle first, so that a Hermitian result can
#: stop after it.
UPPER = [(i, j) for i in range(4) for j in range(i, 4)]
LOWER = [(i, j) for i in range(4) for j in range(i)]
ORDER = UPPER + LOWER


class EntrywiseMac(wiring.Component):
    """``o.y = left @ x @ right.conj().T`` on 4×4 complex matrices, entry by entry.

    Two phases share `lanes` complex multipliers. The first is T = L X (64 products). The second is
    Y = T R†, 64 products or, with ``hermitian``, the 40 of the upper triangle (the rest is its
    mirror for L = R and Hermitian X). Phase 2 of a transaction goes before phase 1 of those after
    it. All operands are in distributed memory, each entry with the multiplier that needs it.

    Nothing stalls: a transaction begins when there is room for its operands, and phase 2 when the
    owner has a place for its result.

    Format: left, right Q(2, f); x any format of f+2 bits. T is rounded half to even to the format
    of x and clips with a flag. Y has f more fraction bits than x and is never rounded. Throughput:
    one transaction per ``interval(hermitian)`` cycles; 4·lanes multipliers.

    Parameters
    ----------
    f: fraction bits of Q(2, f).
    lanes: complex multipliers: 1, 2, 4, 8 or 16.
    carry: shape of data forwarded with the result.

    Members
    -------
    room: a transaction may begin
    begin: ``{hermitian: 1, carry, valid: 1}``
    operators: ``{left, right: loads × Complex(f+2), valid: 1}``, row by row
    x: ``{x: loads × Complex(f+2), saturated: 1, valid: 1}``, column by column; the last one not
       before that of the operators
    next: stream of the carry of a result that begins when it is taken
    o: ``{y: units × Complex(2f+7), step, last: 1, hermitian: 1, saturated: 1, carry, valid: 1}``,
       entries of Y in `ORDER`
    """

    #: From an address to the total: the multiplier, pairs of products, the total.
    _TOTAL = ComplexMultiply.latency + 2

    def __init__(self, *, f: int, lanes: int, carry: Any = 0) -> None:
        self.f = check_fraction(f)
        self.lanes = check_choice("lanes", lanes, (1, 2, 4, 8, 16))
        self.units = max(1, lanes // 4)  # inner products at a time
        self._terms = 4 // min(lanes, 4)  # cycles per inner product
        #: Entries of each operand that are loaded at a time; a command costs a cycle or two more.
        self.loads = next(n for n in (1, 2, 4) if 16 // n + 2 <= self.interval(True))
        self._slots = 8 if lanes == 16 else 4
        self._carry = carry
        entries = data.ArrayLayout(Complex(f + 2), self.loads)
        result = {
            "y": data.ArrayLayout(Complex(2 * f + 7), self.units),
            "step": range(16 // self.units),
            "last": 1,
            "hermitian": 1,
            "saturated": 1,
            "carry": carry,
            "valid": 1,
        }
        operators = {"left": entries, "right": entries, "valid": 1}
        super().__init__(
            {
                "room": Out(1),
                "begin": In(data.StructLayout({"hermitian": 1, "carry": carry, "valid": 1})),
                "operators": In(data.StructLayout(operators)),
                "x": In(data.StructLayout({"x": entries, "saturated": 1, "valid": 1})),
                "next": Out(stream.Signature(data.StructLayout({"carry": carry}))),
                "o": Out(data.StructLayout(result)),
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
        """From the last entry of x to that of Y: both phases, each with an address and its total.
        Between them are the grant, and two cycles in which T is rounded."""
        return self.interval(hermitian) + 2 * (self._TOTAL + 1) + 1

    def model(
        self, left: IntArray, x: IntArray, right: IntArray, hermitian: bool
    ) -> tuple[IntArray, BoolArray]:
        """Integers (..., 4, 4, 2) in; full-width Y and the saturation flag out."""
        return fixed.operator_mac(left, x, right, self.f, hermitian)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        slots, steps = self._slots, 16 // self.units
        tag = data.StructLayout(
            {
                "valid": 1,
                "phase2": 1,
                "slot": range(slots),
                "step": range(steps),
                "hermitian": 1,
                "first": 1,
                "last": 1,
                "finish": 1,
            }
        )
        self._tags = [Signal(tag, name=f"tag{n}") for n in range(self._TOTAL + 3)]
        m.d.sync += [after.eq(before) for before, after in itertools.pairwise(self._tags)]
        self._flags = Signal(slots)  # that saturated
        self._carries = Array(
            Signal(Value.cast(self.begin.carry).shape(), name=f"carry{n}") for n in range(slots)
        )
        self._memories(m)
        loaded = self._load(m)
        self._issue(m, loaded)
        self._collect(m, self._multiply(m))
        return m

    def _memories(self, m: Module) -> None:
        """Operands of every multiplier: a quarter, a half or all of the columns of L, R and T, or
        of the rows of X; `slots` of each."""
        group, width = 4 // self._terms, 2 * (self.f + 2)
        depth = 16 * self._slots // group
        self._write: dict[Any, Any] = {}
        self._read: dict[Any, Any] = {}
        for unit, lane, name in itertools.product(
            range(self.units), range(group), ("left", "x", "t", "right")
        ):
            memory = Memory(shape=width, depth=depth, init=[], attrs={"ram_style": "distributed"})
            m.submodules[f"{name}{unit}_{lane}"] = memory
            self._write[name, unit, lane] = memory.write_port()
            self._read[name, unit, lane] = memory.read_port(domain="comb")

    def _store(self, m: Module, name: str, entries: list[Any], place: Any, valid: Any) -> None:
        """Entries, one a lane in turn, from `place` on: in the memories of all units."""
        group, count = 4 // self._terms, len(entries)
        at = Cat(C(0, (count - 1).bit_length()), place) if count > 1 else place
        bits = (group - 1).bit_length()
        for (which, _, lane), port in self._write.items():
            if which == name:
                mine = at[(count - 1).bit_length() : bits] == lane // count
                m.d.comb += [
                    port.addr.eq(at[bits:]),
                    port.data.eq(entries[lane % count]),
                    port.en.eq(valid & mine if count < group else valid),
                ]

    def _load(self, m: Module) -> Any:
        """Operands into their memories; whether those of a transaction are complete."""
        beats, slots = 16 // self.loads, self._slots
        places = {}
        for port in ("operators", "x"):
            places[port] = place = Signal(range(slots * beats), name=f"{port}_place")
            with m.If(getattr(self, port).valid):
                m.d.sync += place.eq(place + 1)
        for name, port in (("left", "operators"), ("right", "operators"), ("x", "x")):
            source = getattr(self, port)
            values = [source[name][e].as_value() for e in range(self.loads)]
            self._store(m, name, values, places[port], source.valid)
        bits = (beats - 1).bit_length()
        begun = Signal(range(slots))
        with m.If(self.begin.valid):
            m.d.sync += [begun.eq(begun + 1), self._flags.bit_select(begun, 1).eq(0)]
            m.d.sync += self._carries[begun].eq(Value.cast(self.begin.carry))
        with m.If(self.x.valid & self.x.saturated):
            m.d.sync += self._flags.bit_select(places["x"][bits:], 1).eq(1)
        self._hermitian = Signal(slots)
        with m.If(self.begin.valid):
            m.d.sync += self._hermitian.bit_select(begun, 1).eq(self.begin.hermitian)
        return self.x.valid & places["x"][:bits].all()

    def _issue(self, m: Module, loaded: Any) -> None:
        """The phase of the multipliers: phase 2 if possible, after whole inner products."""
        units, terms, slots = self.units, self._terms, self._slots
        steps, hermitian_steps = 16 // units, -(-len(UPPER) // units)
        used, ready1, ready2 = (Signal(range(slots + 1), name=n) for n in ("used", "one", "two"))
        run1, run2, there2, held = Signal(), Signal(), Signal(), Signal()
        slot1, slot2 = Signal(range(slots)), Signal(range(slots))
        step1, step2, term = Signal(range(steps)), Signal(range(steps)), Signal(range(terms))
        room, hermitian2 = Signal(init=1), Signal()
        self._phase2 = phase2 = Signal()
        last, last1, last2 = Signal(), Signal(), Signal()
        finish1, finish2, granted = Signal(), Signal(), Signal()
        complete = self._tags[self._TOTAL]  # of T: it can be read once it can be granted
        turned = complete.valid & complete.finish & ~complete.phase2
        m.d.comb += [
            self.room.eq(room),
            phase2.eq(Mux(term == 0, run2, held)),
            last.eq(term == terms - 1),
            last1.eq(step1 == steps - 1),
            last2.eq(step2 == Mux(hermitian2, hermitian_steps - 1, steps - 1)),
            finish1.eq(run1 & ~phase2 & last & last1),
            finish2.eq(phase2 & last & last2),
            self.next.valid.eq(there2 & ~run2),
            Value.cast(self.next.payload.carry).eq(self._carries[slot2]),
            granted.eq(self.next.valid & self.next.ready),
        ]
        m.d.sync += held.eq(phase2)
        with m.If(phase2 | run1):
            m.d.sync += term.eq(Mux(last, 0, term + 1))
        with m.If(run1 & ~phase2 & last):
            m.d.sync += step1.eq(step1 + 1)
        with m.If(phase2 & last):
            m.d.sync += step2.eq(Mux(last2, 0, step2 + 1))
        with m.If(granted):
            m.d.sync += [run2.eq(1), hermitian2.eq(self._hermitian.bit_select(slot2, 1))]
        with m.If(finish2):
            m.d.sync += run2.eq(0)
        m.d.sync += [slot1.eq(slot1 + finish1), slot2.eq(slot2 + finish2)]
        for count, more, less, is_one, limit in (
            (ready1, loaded, finish1, run1, 0),
            (ready2, turned, granted, there2, 0),
            (used, self.begin.valid, finish2, room, slots),
        ):
            following = Signal.like(count, name=f"{count.name}_following")
            m.d.comb += following.eq(count + more - less)
            m.d.sync += [count.eq(following), is_one.eq(following != limit)]

        tag = self._tags[0]
        m.d.sync += [
            tag.valid.eq(phase2 | run1),
            tag.phase2.eq(phase2),
            tag.slot.eq(Mux(phase2, slot2, slot1)),
            tag.step.eq(Mux(phase2, step2, step1)),
            tag.hermitian.eq(hermitian2),
            tag.first.eq(term == 0),
            tag.last.eq(last),
            tag.finish.eq(last & Mux(phase2, last2, last1)),
        ]
        part = term if terms > 1 else C(0, 0)
        for unit in range(units):
            entries = [divmod(s * units + unit, 4) for s in range(steps)]
            outputs = [ORDER[s * units + unit] for s in range(steps)]
            for name, rows, step, slot in (
                ("left", [i for i, _ in entries], step1, slot1),
                ("x", [j for _, j in entries], step1, slot1),
                ("t", [p for p, _ in outputs], step2, slot2),
                ("right", [q for _, q in outputs], step2, slot2),
            ):
                row = Signal(2, name=f"{name}{unit}_row")
                m.d.comb += row.eq(Array(rows)[step])
                now = Cat(part, row, slot)
                address = Signal(len(now), name=f"{name}{unit}_address", reset_less=True)
                m.d.sync += address.eq(now)
                for (which, u, _), port in self._read.items():
                    if (which, u) == (name, unit):
                        m.d.comb += port.addr.eq(address)

    def _multiply(self, m: Module) -> list[Any]:
        """Totals of inner products, one a unit."""
        group, width = 4 // self._terms, self.f + 2
        totals = []
        for unit in range(self.units):
            products = []
            for lane in range(group):
                m.submodules[f"multiply{unit}_{lane}"] = mul = ComplexMultiply(width=width)
                # One for each multiplier, kept apart.
                phase2 = Signal(name=f"phase2_{unit}_{lane}", attrs={"keep": 1}, reset_less=True)
                m.d.sync += phase2.eq(self._phase2)
                read = {n: self._read[n, unit, lane].data for n in ("left", "x", "t", "right")}
                m.d.comb += [
                    mul.i.valid.eq(1),
                    mul.o.ready.eq(1),
                    mul.i.payload.a.eq(Mux(phase2, read["t"], read["left"])),
                    mul.i.payload.b.eq(Mux(phase2, read["right"], read["x"])),
                    mul.i.payload.conjugate.eq(phase2),
                ]
                products.append(mul.o.payload.p)
            total = Signal(Complex(2 * width + 3), name=f"total{unit}", reset_less=True)
            for part in ("re", "im"):
                pairs = []
                for n in range(0, group, 2):
                    pair = Signal(signed(2 * width + 2), name=f"pair{unit}_{n}", reset_less=True)
                    m.d.sync += pair.eq(sum(p[part] for p in products[n : n + 2]))
                    pairs.append(pair)
                if self._terms > 1:
                    pairs.append(Mux(self._tags[self._TOTAL - 1].first, 0, total[part]))
                m.d.sync += total[part].eq(sum(pairs))
            totals.append(total)
        return totals

    def _collect(self, m: Module, totals: list[Any]) -> None:
        """T into its memory, Y to the output."""
        f, width, tags = self.f, self.f + 2, self._tags
        out, total = self.o, self._TOTAL
        before = tags[total - 1]
        # A slot is free once phase 2 has been issued: the data for its result travel with it.
        kept = data.StructLayout({"saturated": 1, "carry": self._carry})
        behind = [Signal(kept, name=f"kept{n}", reset_less=True) for n in range(total + 1)]
        m.d.comb += [
            behind[0].saturated.eq(self._flags.bit_select(tags[0].slot, 1)),
            Value.cast(behind[0].carry).eq(self._carries[tags[0].slot]),
            out.saturated.eq(behind[total].saturated),
            out.carry.eq(behind[total].carry),
        ]
        m.d.sync += [after.eq(b) for b, after in itertools.pairwise(behind)]
        valid = Signal()
        m.d.sync += valid.eq(before.valid & before.phase2 & before.last)
        m.d.comb += [
            out.valid.eq(valid),
            out.step.eq(tags[total].step),
            out.last.eq(tags[total].finish),
            out.hermitian.eq(tags[total].hermitian),
            *(out.y[unit].eq(value) for unit, value in enumerate(totals)),
        ]
        entries, flags = [], []
        for unit, value in enumerate(totals):
            entry = Signal(Complex(width), name=f"entry{unit}", reset_less=True)
            for part in ("re", "im"):
                rounded = Signal(
                    signed(len(value[part]) + 1 - f), name=f"rounded{unit}_{part}", reset_less=True
                )
                clipped, flag = saturate(rounded, width, fixed.SLACK)
                m.d.sync += [rounded.eq(round_shift(value[part], f)), entry[part].eq(clipped)]
                flags.append(flag)
            entries.append(entry.as_value())
        rounded_tag, written = tags[total + 1], tags[total + 2]
        writes, overflow = Signal(), Signal()
        m.d.sync += [
            writes.eq(rounded_tag.valid & rounded_tag.last & ~rounded_tag.phase2),
            overflow.eq(Cat(flags).any()),
        ]
        self._store(m, "t", entries, Cat(written.step, written.slot), writes)
        with m.If(writes & overflow):
            m.d.sync += self._flags.bit_select(written.slot, 1).eq(1)
