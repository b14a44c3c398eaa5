"""Bundles of events, issued so that none reads what an earlier one has still to write."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tmesh_hw.engine.bundle import issued_layout, slot_layout
from tmesh_hw.engine.lookback import Lookback


class Interlock(wiring.Component):
    """The bundles of `i`, one a cycle, held back while what they read is still to be written.

    All reads of a bundle come before its writes; bundles have the effect of one after another. The
    writes of a bundle are there for the bundle that is issued `distance` cycles later. A double
    writes its second agent in the next bundle whose slot in its lane is free, or in a bundle of its
    own if a bundle may need it earlier. Well ahead of the decision, `Lookback` says how many are
    between a bundle and the last one that it conflicts with; it waits while more are in flight. The
    decision stands in a register itself.

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

    def __init__(self, *, lanes: int, row: int, distance: int) -> None:
        if distance < 4:
            raise ValueError(f"distance must be at least 4, not {distance!r}")
        self.lanes, self.row, self.distance = lanes, row, distance
        self._lookback = Lookback(lanes=lanes, row=row, span=distance - 1)
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
        m.submodules.lookback = lookback = self._lookback
        advance, between = ~self.held, lookback.between
        # Copies of `held`, since it drives many registers.
        asks, enters, issues = (
            Signal(name=f"held_{name}", attrs={"keep": 1}) for name in ("asks", "enters", "issues")
        )
        waiting = self._enter(m, lookback.i, asks, ~enters)

        # In flight: bundles issued in the last distance − 1 cycles. A bundle waits while they are
        # more than those between it and the last one that it conflicts with: beyond > 0; `ahead`
        # is the same of the bundle behind it. Whether the next one is held is decided in the cycle
        # before.
        span = lookback.span
        issued, in_flight = Signal(span), Signal(range(span + 1))
        one_more = Signal(range(span + 2), init=1)  # in_flight + 1
        ahead, beyond = (
            Signal(signed(len(between) + 1), name=name, init=-span) for name in ("ahead", "beyond")
        )
        ends = issued[-1]
        again = ~beyond[-1] & Mux(ends, beyond[1:-1], beyond[:-1]).any()  # beyond > ends
        holding = Mux(self.held, again, ~ahead[-1] & (~ends | ahead[:-1].any()))
        m.d.sync += [
            issued.eq(Cat(advance, issued)),
            *(held.eq(holding) for held in (self.held, asks, enters, issues)),
        ]
        m.d.comb += lookback.holding.eq(holding)
        with m.If(advance & ~ends):
            m.d.sync += [in_flight.eq(in_flight + 1), one_more.eq(one_more + 1)]
        with m.Elif(~advance & ends):
            m.d.sync += [in_flight.eq(in_flight - 1), one_more.eq(in_flight)]
        with m.If(advance):
            m.d.sync += [
                ahead.eq(Mux(ends, in_flight - between, one_more - between)),
                beyond.eq(Mux(ends, ahead, ahead + 1)),
            ]
        with m.Elif(ends):
            m.d.sync += [ahead.eq(ahead - 1), beyond.eq(beyond - 1)]
        measured, issuing = (Signal.like(lookback.o, name=n) for n in ("measured", "issuing"))
        with m.If(~issues):
            m.d.sync += [measured.eq(lookback.o), issuing.eq(measured)]

        quiet = Signal(range(self.distance + 1))
        late = Cat(slot.valid for stage in (measured, issuing) for slot in stage).any()
        busy = waiting | lookback.busy | late
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

    def _enter(self, m: Module, entering: Any, asks: Any, advance: Any) -> Any:
        """The next bundle, with what doubles before it left to do; whether there is anything."""
        pending = [
            Signal(data.StructLayout({"row": self.row, "valid": 1}), name=f"pending{lane}")
            for lane in range(self.lanes)
        ]
        # Two bundles wait here, `behind` and before it `slots`.
        waiting = [
            Signal.like(self.i.payload, name=n, reset_less=True) for n in ("behind", "slots")
        ]
        there = Signal(len(waiting))
        behind, slots = waiting
        # What may be pending when the bundle that comes is in `slots`: a slot that is free between
        # would be used for it.
        may_be = []
        for lane, left in enumerate(pending):
            after, last = slots[lane], behind[lane]
            full = [~there[n] | (slot.valid & ~slot.double) for n, slot in enumerate((last, after))]
            doubles = [there[n] & slot.valid & slot.double for n, slot in enumerate((last, after))]
            may_be.append(
                [
                    (left.valid & full[1] & full[0], left.row),
                    (doubles[1] & full[0], after.other),
                    (doubles[0], last.other),
                ]
            )
        hits, coming = [], self.i.payload
        for lane, row in ((lane, row) for lane, rows in enumerate(may_be) for row in rows):
            reads = [slot.valid & (slot.bank == lane) & (slot.other == row[1]) for slot in coming]
            again = coming[lane].valid & (coming[lane].double | (coming[lane].own == row[1]))
            hits += [row[0] & hit for hit in (*reads, again)]
        # A bundle that clashes waits while all that is pending leaves.
        hit, clash = Signal(len(hits)), Signal()
        takes = there[1] & ~clash
        m.d.comb += self.i.ready.eq(~there[1] | (~asks & ~clash))
        with m.If(~there[1] | (advance & ~clash)):
            m.d.sync += [
                behind.eq(coming),
                slots.eq(behind),
                there.eq(Cat(self.i.valid, there)),
                hit.eq(Cat(hits)),
                clash.eq(hit.any()),
            ]
        with m.Elif(advance):
            m.d.sync += clash.eq(0)
        for lane, left in enumerate(pending):
            slot, into = slots[lane], entering[lane]
            uses = takes & slot.valid
            m.d.comb += [
                *(into[name].eq(slot[name]) for name, _ in slot.shape()),
                into.valid.eq(uses | left.valid),
                into.repeat.eq(~uses & left.valid),
            ]
            with m.If(into.repeat):
                m.d.comb += [into.own.eq(left.row), into.second.eq(1)]
            with m.If(advance):
                m.d.sync += left.valid.eq(uses & (slot.double | left.valid))
                with m.If(uses & slot.double):
                    m.d.sync += left.row.eq(slot.other)
        return Cat(there, (left.valid for left in pending)).any()
