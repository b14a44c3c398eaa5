"""Bundles of events, issued so that none reads what an earlier one has still to write."""

import itertools
from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out


def slot_layout(row: int) -> data.StructLayout:
    """One event of a bundle, in the lane of its position.

    own: the row of the agent that is written, in the memory bank of the lane. other, bank: whom it
    meets. second: use the operator's second form. double: afterwards write `other`, which
    must be of the same bank, by the second form from the same old values.
    """
    return data.StructLayout(
        {"own": row, "other": row, "bank": 2, "second": 1, "double": 1, "valid": 1}
    )


def issued_layout(row: int) -> data.StructLayout:
    """One event as it is issued; repeat: the second half of a double, on the values it read."""
    members = dict(slot_layout(row))
    return data.StructLayout({**{n: f.shape for n, f in members.items()}, "repeat": 1})


class Interlock(wiring.Component):
    """The bundles of `i`, one a cycle, held back while what they read is still to be written.

    All reads of a bundle come before its writes; bundles have the effect of one after another. The
    writes of a bundle are there for the bundle that is issued `distance` cycles later. A double
    writes its second agent in the next bundle whose slot in its lane is free, or in a bundle of its
    own if a bundle needs it earlier. Bundles are compared with those before them by position, two
    registers ahead of the decision; at the decision only their number in flight counts, and it
    stands in a register itself.

    Parameters
    ----------
    lanes: slots of a bundle, each with a memory bank of its own. row: bits of a row.
    distance: cycles from reading to the written value being readable, at least 4.

    Members
    -------
    i: stream of ``lanes × slot_layout(row)``
    o: stream of ``lanes × issued_layout(row)``, always ready; no slot valid where nothing came
    idle: nothing is waiting or in flight
    held: a bundle waits for a result
    """

    #: Registers that say `held`, since it drives all that is compared.
    COPIES = 5

    def __init__(self, *, lanes: int, row: int, distance: int) -> None:
        if distance < 4:
            raise ValueError(f"distance must be at least 4, not {distance!r}")
        self.lanes, self.row, self.distance = lanes, row, distance
        super().__init__(
            {
                "i": In(stream.Signature(data.ArrayLayout(slot_layout(row), lanes))),
                "o": Out(
                    stream.Signature(data.ArrayLayout(issued_layout(row), lanes), always_ready=True)
                ),
                "idle": Out(1),
                "held": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bundle = data.ArrayLayout(issued_layout(self.row), self.lanes)
        names = ("entered", "compared", "found", "issuing")
        stages = [Signal(bundle, name=name) for name in names]
        entered, issuing = stages[0], stages[-1]
        advance = ~self.held
        waiting = self._enter(m, entered, advance)
        holds = [Signal(name=f"held{k}", attrs={"keep": 1}) for k in range(self.COPIES)]
        coming = self._conflicts(m, entered, holds)

        # In flight: bundles issued in the last distance − 1 cycles, a unary number. Whether the
        # next one is held is decided in the cycle before, for either end of this one.
        span = self.distance - 1
        conflicts, issued, in_flight = Signal(span), Signal(span), Signal(span)
        more, fewer, ends = Cat(1, in_flight)[:span], in_flight >> 1, issued[-1]
        m.d.sync += issued.eq(Cat(advance, issued))
        with m.If(advance & ~ends):
            m.d.sync += in_flight.eq(more)
        with m.Elif(~advance & ends):
            m.d.sync += in_flight.eq(fewer)
        again = Mux(ends, (conflicts & fewer).any(), (conflicts & in_flight).any())
        following = Mux(ends, (coming & in_flight).any(), (coming & more).any())
        m.d.sync += [held.eq(Mux(self.held, again, following)) for held in (self.held, *holds)]
        with m.If(advance):
            m.d.sync += conflicts.eq(coming)
            m.d.sync += [after.eq(before) for before, after in itertools.pairwise(stages)]

        quiet = Signal(range(self.distance + 1))
        busy = waiting | Cat(_any(stage) for stage in stages).any()
        with m.If(busy):
            m.d.sync += quiet.eq(self.distance)
        with m.Elif(quiet != 0):
            m.d.sync += quiet.eq(quiet - 1)
        m.d.comb += [
            self.idle.eq(~busy & (quiet == 0) & ~self.i.valid),
            self.o.valid.eq(advance),
            self.o.payload.eq(issuing),
        ]
        return m

    def _enter(self, m: Module, entered: Any, advance: Any) -> Any:
        """The next bundle, with what doubles before it left to do; whether they left anything."""
        pending = [
            Signal(data.StructLayout({"row": self.row, "valid": 1}), name=f"pending{lane}")
            for lane in range(self.lanes)
        ]
        slots = self.i.payload
        clashes = []
        for lane, left in enumerate(pending):
            reads = [slot.valid & (slot.bank == lane) & (slot.other == left.row) for slot in slots]
            again = slots[lane].valid & (slots[lane].double | (slots[lane].own == left.row))
            clashes.append(left.valid & (Cat(reads).any() | again))
        takes = Signal()
        m.d.comb += [
            self.i.ready.eq(advance & ~Cat(clashes).any()),
            takes.eq(self.i.valid & self.i.ready),
        ]
        with m.If(advance):
            for lane, left in enumerate(pending):
                slot, into = slots[lane], entered[lane]
                uses = takes & slot.valid
                for name, _ in slot.shape():
                    m.d.sync += into[name].eq(slot[name])
                m.d.sync += into.valid.eq(uses | left.valid)
                m.d.sync += into.repeat.eq(~uses & left.valid)
                with m.If(~uses & left.valid):
                    m.d.sync += [into.own.eq(left.row), into.second.eq(1), left.valid.eq(0)]
                with m.If(uses & slot.double):
                    m.d.sync += [left.row.eq(slot.other), left.valid.eq(1)]
        return Cat(left.valid for left in pending).any()

    def _conflicts(self, m: Module, entered: Any, holds: list[Any]) -> Any:
        """Bit d − 1: the bundle that is issued next reads what the one d before it writes."""
        span = self.distance - 1
        write = data.StructLayout({"row": self.row, "valid": 1})
        before = [
            [Signal(write, name=f"wrote{d}_{k}") for k in range(self.lanes)] for d in range(span)
        ]
        found = Signal(span)
        for d, writes in enumerate(before):
            same = []
            for lane, slot in enumerate(entered):
                reads = slot.valid & ~slot.repeat
                for bank, wrote in enumerate(writes):
                    hits = (slot.bank == bank) & (slot.other == wrote.row)
                    if bank == lane:
                        hits |= slot.own == wrote.row
                    same.append(wrote.valid & reads & hits)
            hit = Signal(len(same), name=f"hit{d}")
            with m.If(~holds[d % len(holds)]):
                m.d.sync += [hit.eq(Cat(same)), found[d].eq(hit.any())]
                for lane, wrote in enumerate(writes):
                    source = entered[lane] if d == 0 else before[d - 1][lane]
                    row = source.own if d == 0 else source.row
                    m.d.sync += [wrote.row.eq(row), wrote.valid.eq(source.valid)]
        return found


def _any(bundle: Any) -> Any:
    return Cat(slot.valid for slot in bundle).any()
