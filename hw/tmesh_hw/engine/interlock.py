"""Bundles of events, issued so that none reads a state that an earlier one still has to write."""

import itertools
from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.errors import InvalidInput

from tmesh_hw.engine.bundle import issued_layout, slot_layout
from tmesh_hw.engine.lookback import Lookback
from tmesh_hw.numbers import copies
from tmesh_hw.vendor import is_ecp5


class Interlock(wiring.Component):
    """The bundles of `i`, one a cycle, held back while a state that they read is still to be
    written.

    All reads of a bundle come before its writes; bundles have the effect of one after another. A
    bundle that is issued `distance` cycles later can read the writes of a bundle. A double writes
    its second agent in the next bundle with a free slot in its lane. If a bundle may need that
    agent earlier, the double takes a separate bundle. Well ahead of the decision, `Lookback` counts
    the bundles between a bundle and the last one that it conflicts with. A bundle waits while more
    are in flight. The decision is in a register.

    Parameters
    ----------
    lanes: slots of a bundle, each with a separate memory bank. row: bits of a row. distance: cycles
    from reading to the written value being readable, at least 4.

    Members
    -------
    i: stream of ``lanes × slot_layout(row)``
    o: stream of ``lanes × issued_layout(row)``, always ready; no slot valid if no bundle came
    idle: nothing was waiting or in flight in the cycle before
    held: a bundle waits for a result
    """

    #: Stages in which bundles wait until the doubles before them are done.
    _STAGES = ("arrived", "coming", "behind", "slots")

    def __init__(self, *, lanes: int, row: int, distance: int) -> None:
        if distance < 4:
            raise InvalidInput(f"distance must be at least 4, not {distance!r}")
        self.lanes, self.row, self.distance = lanes, row, distance
        self._lookback = Lookback(lanes=lanes, row=row, span=distance - 1)
        super().__init__(
            {
                "i": In(stream.Signature(data.ArrayLayout(slot_layout(row), lanes))),
                "o": Out(
                    stream.Signature(data.ArrayLayout(issued_layout(row), lanes), always_ready=True)
                ),
                "idle": Out(1, init=1),
                "held": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.lookback = lookback = self._lookback
        advance, between, holding = ~self.held, lookback.between, Signal()
        count = self._lines(platform) * len(self._STAGES) * self.lanes
        leaves = copies(m, holding, 2 * self.lanes, platform, name="leaves")
        waits = copies(m, holding, 1 + self.lanes + count, platform, name="waits")
        waiting = self._enter(m, platform, lookback.i, waits)

        # In flight: bundles issued in the last distance − 1 cycles. A bundle waits while more are
        # in flight than lie between it and the last one that it conflicts with: beyond > 0; `ahead`
        # is the same of the bundle behind it. Whether the next one is held is decided in the cycle
        # before. The inputs of that decision are ready another cycle before: a bundle would be held
        # that is held now (beyond > ends), or the one behind it (ahead ≥ ends).
        span = lookback.span
        issued, in_flight = Signal(span), Signal(range(span + 1))
        one_more = Signal(range(span + 2), init=1)  # in_flight + 1
        ahead, beyond = (
            Signal(signed(len(between) + 1), name=name, init=-span) for name in ("ahead", "beyond")
        )
        ends, will_end = issued[-1], Cat(advance, issued)[-2]
        again, following = Signal(), Signal()
        m.d.comb += [
            holding.eq(Mux(self.held, again, following)),
            lookback.holding.eq(holding),
        ]
        m.d.sync += [issued.eq(Cat(advance, issued)), self.held.eq(holding)]
        # Whether they are more than `between`, or at least that.
        more, equal_too = in_flight > between, in_flight >= between
        in_flight_is, one_more_is = (more, equal_too), (equal_too, one_more >= between)
        with m.If(advance & ~ends):
            m.d.sync += [in_flight.eq(in_flight + 1), one_more.eq(one_more + 1)]
        with m.Elif(~advance & ends):
            m.d.sync += [in_flight.eq(in_flight - 1), one_more.eq(in_flight)]
        with m.If(advance):
            m.d.sync += [
                ahead.eq(Mux(ends, in_flight, one_more) - between),
                beyond.eq(Mux(ends, ahead, ahead + 1)),
                following.eq(Mux(ends, Mux(will_end, *in_flight_is), Mux(will_end, *one_more_is))),
                again.eq(_at_least(ahead, ends + will_end)),
            ]
        with m.Else():
            m.d.sync += [
                following.eq(_at_least(ahead, ends + will_end)),
                again.eq(_at_least(beyond, 1 + ends + will_end)),
            ]
            with m.If(ends):
                m.d.sync += [ahead.eq(ahead - 1), beyond.eq(beyond - 1)]
        measured, issuing = (Signal.like(lookback.o, name=n) for n in ("measured", "issuing"))
        for lane in range(self.lanes):
            for stays, before, after in zip(
                leaves[lane :: self.lanes], (lookback.o, measured), (measured, issuing), strict=True
            ):
                with m.If(~stays):
                    m.d.sync += after[lane].eq(before[lane])

        quiet = Signal(range(self.distance + 1))
        late = Cat(slot.valid for stage in (measured, issuing) for slot in stage).any()
        busy = waiting | lookback.busy | late
        with m.If(busy):
            m.d.sync += quiet.eq(self.distance)
        with m.Elif(quiet != 0):
            m.d.sync += quiet.eq(quiet - 1)
        m.d.sync += self.idle.eq(~busy & (quiet == 0) & ~self.i.valid)
        m.d.comb += [
            self.o.valid.eq(advance),
            self.o.payload.eq(issuing),
        ]
        return m

    @staticmethod
    def _lines(platform: Any) -> int:
        """Copies of the waiting bundles."""
        return 2 if is_ecp5(platform) else 1

    def _enter(self, m: Module, platform: Any, entering: Any, waits: list[Any]) -> Any:
        """The next bundle, with the open writes of doubles before it; whether one exists. waits:
        copies of `held`."""
        advance = ~waits[0]
        pending = [
            Signal(data.StructLayout({"row": self.row, "valid": 1}), name=f"pending{lane}")
            for lane in range(self.lanes)
        ]
        # Four bundles wait here, the last one in `slots`. A device has them twice: the compared
        # copy stands in one place, while the other copy travels to all memories.
        lines = [
            [
                Signal.like(
                    self.i.payload, name=f"{name}{line}", reset_less=True, attrs={"keep": 1}
                )
                for name in self._STAGES
            ]
            for line in range(self._lines(platform))
        ]
        there, slots = Signal(len(lines[0])), lines[0][-1]
        arrived, coming, *before = lines[-1]
        # Writes that may be pending when the coming bundle is in `slots`: a free slot between would
        # be used for them. Rows are compared a move ahead, when it is the one that arrived.
        hits, compared, equal = [], [], []
        for lane, kept in enumerate(pending):
            last, after = (bundle[lane] for bundle in before)
            of_both = list(zip(there[2:], (last, after), strict=True))
            full = [~is_there | (slot.valid & ~slot.double) for is_there, slot in of_both]
            doubles = [is_there & slot.valid & slot.double for is_there, slot in of_both]
            # Rows to be written then: the remaining one, or by now another one; the next two.
            rows = [kept.row, after.other, last.other, coming[lane].other]
            of_slots = [Signal(2 * len(rows), name=f"same{lane}_{n}") for n in range(self.lanes)]
            of_own = Signal(2 * len(rows), name=f"same{lane}")
            equal += [*of_slots, of_own]
            compared += [
                Cat(part for row in rows for part in _halves_same(member, row))
                for member in (*(slot.other for slot in arrived), arrived[lane].own)
            ]
            renewed = Signal(name=f"renewed{lane}")
            equal.append(renewed)
            compared.append(doubles[1])
            may_be = kept.valid & full[1] & full[0], doubles[1] & full[0], doubles[0]
            for same, slot in zip((*of_slots, of_own), (*coming, coming[lane]), strict=True):
                mine = slot.valid & ((slot.bank == lane) if same is not of_own else 1)
                again = slot.double if same is of_own else 0
                left, new, *others = (same.word_select(n, 2).all() for n in range(len(rows)))
                rows_same = Mux(renewed, new, left), *others
                hits += [w & mine & (again | r) for w, r in zip(may_be, rows_same, strict=True)]
        # A bundle that clashes waits while all that is pending leaves.
        hit, moves, clashes = Signal(len(hits)), Signal(), Signal()
        full, clash = (
            copies(m, value, len(waits), platform, name=name)
            for name, value in (("full", Mux(moves, *there[-2:])), ("clash", clashes))
        )
        each_moves = [~f | ~(h | c) for f, h, c in zip(full, waits, clash, strict=True)]
        takes = full[0] & ~clash[0]
        m.d.comb += [
            moves.eq(each_moves[0]),
            clashes.eq(Mux(moves, hit.any(), clash[0] & ~advance)),
            self.i.ready.eq(moves),
        ]
        with m.If(moves):
            m.d.sync += [there.eq(Cat(self.i.valid, there)), hit.eq(Cat(hits))]
        moving = iter(each_moves[1:])
        found = list(zip(equal, compared, strict=True))
        for lane in range(self.lanes):
            with m.If(next(moving)):
                m.d.sync += [after.eq(now) for after, now in found[lane :: self.lanes]]
        for line in lines:
            for now, later in itertools.pairwise((self.i.payload, *line)):
                for slot, later_slot in zip(now, later, strict=True):
                    with m.If(next(moving)):
                        m.d.sync += later_slot.eq(slot)
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


def _halves_same(one: Any, other: Any) -> tuple[Any, Any]:
    """Whether the lower halves of two numbers are the same, and whether the upper ones are."""
    half = len(one) // 2
    return one[:half] == other[:half], one[half:] == other[half:]


def _at_least(number: Any, least: Any) -> Any:
    """Whether a signed number is `least`, from 0 to 3, or more: without a subtraction."""
    low, high = number[:2], number[2:-1]
    few = Array([1, low.any(), low[1], low.all()])[least]
    return ~number[-1] & (high.any() | few)
