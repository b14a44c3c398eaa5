"""How far before a bundle the last one is that writes what it reads."""

import itertools
import math
from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from tmesh.errors import InvalidInput

from tmesh_hw.blocks import BlockMemory
from tmesh_hw.engine.bundle import issued_layout
from tmesh_hw.numbers import copies, delayed

#: Bits of the number of a bundle, which counts all cycles in which bundles move. A row written a
#: multiple of 2^STAMP of them before looks new, and so does at first a row that was never written.
#: A wrapped stamp can only cause an unnecessary stall, never a missed hazard.
STAMP = 16


class Lookback(wiring.Component):
    """Bundles, and the number of bundles between each and the last one before it that writes a
    state that it reads.

    A memory has the number of the bundle that last wrote a row, copied for every read as the states
    are. The writes of the bundle just before are compared, since its number has not arrived yet.

    Parameters
    ----------
    lanes: slots of a bundle, each with a separate memory bank. row: bits of a row. span: the most
    that `between` says, also where no bundle conflicts; less than 2^stamp. stamp: bits of the
    number of a bundle.

    Members
    -------
    i: ``lanes × issued_layout(row)``, a bundle, which may have no valid slot
    holding: nothing moves in the next cycle
    o: the bundle of `latency` moves before; between: of that bundle
    busy: a slot of a bundle inside is valid
    """

    def __init__(self, *, lanes: int, row: int, span: int, stamp: int = STAMP) -> None:
        if not 1 <= span < 1 << stamp:
            raise InvalidInput(f"span must be from 1 to 2^{stamp} - 1, not {span!r}")
        self.lanes, self.row, self.span, self.stamp = lanes, row, span, stamp
        bundle = data.ArrayLayout(issued_layout(row), lanes)
        between = Out(range(span + 1), init=span)
        super().__init__(
            {
                "i": In(bundle),
                "holding": In(1),
                "o": Out(bundle),
                "between": between,
                "busy": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """The look-up, its answer in two, a bank, a difference, its bound; then a tree of minima of
        two numbers a lane."""
        return 6 + math.ceil(math.log2(2 * self.lanes))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # Nothing moves; copies, since it enables many registers.
        still, counting, *stills = copies(
            m, self.holding, 2 + 4 * self.lanes, platform, name="still"
        )
        by_lane = [stills[n :: self.lanes] for n in range(self.lanes)]
        asking, asked, answered = (
            Signal.like(self.i, name=name) for name in ("asking", "asked", "answered")
        )
        for before, after in itertools.pairwise([self.i, asking, asked, answered]):
            for lane, (stays, *_) in enumerate(by_lane):
                with m.If(~stays):
                    m.d.sync += after[lane].eq(before[lane])
        # Behind these a bundle only waits, except for its flags: it has slots, it has reads.
        further = range(3, self.latency)
        there, reading = (
            [Signal(self.lanes, name=f"{name}{n}") for n in further] for name in ("there", "reads")
        )
        valid = Cat(slot.valid for slot in answered)
        reads = Cat(slot.valid & ~slot.repeat for slot in answered)
        with m.If(~still):
            m.d.sync += [
                after.eq(before)
                for line in ([valid, *there], [reads, *reading])
                for before, after in itertools.pairwise(line)
            ]
        for lane, (*_, stays) in enumerate(by_lane):
            slot = delayed(m, answered[lane], len(further), platform, moves=~stays)
            m.d.comb += [self.o[lane].eq(slot), self.o[lane].valid.eq(there[-1][lane])]
        # Of the bundle that is asked for; and 3 less.
        number, earlier = Signal(self.stamp), Signal(self.stamp, init=(1 << self.stamp) - 3)
        numbers = []
        for lane, (slot, (_, stays, waits, _)) in enumerate(zip(asking, by_lane, strict=True)):
            own = self._last(m, f"own{lane}", asked[lane], number, slot.own, ~waits)
            others = [
                self._last(m, f"other{lane}_{bank}", wrote, number, slot.other, ~waits)
                for bank, wrote in enumerate(asked)
            ]
            other = Array(others)[answered[lane].bank]
            own_hits = [asked[lane].valid & (slot.own == asked[lane].own)]
            other_hits = [
                wrote.valid & (slot.bank == bank) & (slot.other == wrote.own)
                for bank, wrote in enumerate(asked)
            ]
            reads = reading[1][lane]
            for which, last, hits in (("own", own, own_hits), ("other", other, other_hits)):
                name = f"{which}{lane}"
                widths = {"hit": len(hits), "just": 3, "chosen": self.stamp, "away": self.stamp}
                hit, just, chosen, away = (
                    Signal(width, name=f"{name}_{what}", reset_less=True)
                    for what, width in widths.items()
                )
                bounded = Signal(self.between.shape(), init=self.span, name=f"{name}_bounded")
                with m.If(~stays):
                    m.d.sync += [
                        hit.eq(Cat(hits)),
                        just.eq(Cat(hit.any(), just)),
                        chosen.eq(last),
                        away.eq(earlier - chosen),
                        bounded.eq(Mux(reads & (away < self.span), away, self.span)),
                    ]
                    with m.If(reads & just[-1]):
                        m.d.sync += bounded.eq(0)
                numbers.append(bounded)
        with m.If(~counting):
            m.d.sync += [number.eq(number + 1), earlier.eq(earlier + 1)]
        while len(numbers) > 1:
            pairs, numbers = [numbers[n : n + 2] for n in range(0, len(numbers), 2)], []
            for pair in pairs:
                least = Signal.like(self.between, name="least")
                with m.If(~counting):
                    m.d.sync += least.eq(Mux(pair[0] < pair[-1], pair[0], pair[-1]))
                numbers.append(least)
        m.d.comb += [
            self.between.eq(numbers[0]),
            self.busy.eq(
                Cat(slot.valid for stage in (asking, asked, answered) for slot in stage).any()
                | Cat(there).any()
            ),
        ]
        return m

    def _last(self, m: Module, name: str, wrote: Any, number: Any, row: Any, moves: Any) -> Any:
        """The number of the bundle that last wrote `row`, but for the bundle just before, two
        moves later; `wrote` is written by bundle `number`."""
        m.submodules[name] = memory = BlockMemory(width=self.stamp, depth=1 << self.row)
        m.d.comb += [
            memory.write.address.eq(wrote.own),
            memory.write.value.eq(number),
            memory.write.valid.eq(wrote.valid),
            memory.address.eq(row),
            memory.enable.eq(moves),
        ]
        return memory.value
