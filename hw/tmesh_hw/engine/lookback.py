"""How far before a bundle the last one is that writes what it reads."""

import math
from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tmesh_hw.blocks import BlockMemory
from tmesh_hw.engine.bundle import issued_layout

#: Bits of the number of a bundle, which counts all cycles in which bundles move. What was written
#: a multiple of 2^STAMP of them before looks as if it were new, and so does at first what was never
#: written: a bundle may wait for nothing, and that is all.
STAMP = 16


class Lookback(wiring.Component):
    """Bundles, and how many are between each and the last one before it that writes what it reads.

    A memory has the number of the bundle that last wrote a row, copied for every read as the
    states are. What the bundle just before writes is compared, since its number is on its way.

    Parameters
    ----------
    lanes: slots of a bundle, each with a memory bank of its own. row: bits of a row. span: the most
    that `between` says, also where no bundle conflicts; less than 2^stamp.
    stamp: bits of the number of a bundle.

    Members
    -------
    i: ``lanes × issued_layout(row)``, a bundle, which may have no valid slot
    holding: nothing moves in the next cycle
    o: the bundle of `latency` moves before; between: of that bundle
    busy: a slot of a bundle inside is valid
    """

    def __init__(self, *, lanes: int, row: int, span: int, stamp: int = STAMP) -> None:
        if not 1 <= span < 1 << stamp:
            raise ValueError(f"span must be from 1 to 2^{stamp} - 1, not {span!r}")
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
        # Nothing moves; a copy for each stage, since it enables many registers.
        still, *stills = (
            Signal(name=f"still{n}", attrs={"keep": 1}) for n in range(1 + self.latency)
        )
        m.d.sync += [copy.eq(self.holding) for copy in (still, *stills)]
        stages = [Signal.like(self.i, name=f"stage{n}") for n in range(self.latency)]
        for copy, before, after in zip(stills, [self.i, *stages], stages, strict=False):
            with m.If(~copy):
                m.d.sync += after.eq(before)
        asking, asked, answered, _, apart, *_ = stages
        # Of the bundle that is asked for; and 3 less.
        number, earlier = Signal(self.stamp), Signal(self.stamp, init=(1 << self.stamp) - 3)
        numbers = []
        for lane, slot in enumerate(asking):
            own = self._last(m, f"own{lane}", asked[lane], number, slot.own, ~still)
            others = [
                self._last(m, f"other{lane}_{bank}", wrote, number, slot.other, ~still)
                for bank, wrote in enumerate(asked)
            ]
            other = Array(others)[answered[lane].bank]
            own_hits = [asked[lane].valid & (slot.own == asked[lane].own)]
            other_hits = [
                wrote.valid & (slot.bank == bank) & (slot.other == wrote.own)
                for bank, wrote in enumerate(asked)
            ]
            reads = apart[lane].valid & ~apart[lane].repeat
            for which, last, hits in (("own", own, own_hits), ("other", other, other_hits)):
                name = f"{which}{lane}"
                widths = {"hit": len(hits), "just": 3, "chosen": self.stamp, "away": self.stamp}
                hit, just, chosen, away = (
                    Signal(width, name=f"{name}_{what}", reset_less=True)
                    for what, width in widths.items()
                )
                bounded = Signal(self.between.shape(), init=self.span, name=f"{name}_bounded")
                with m.If(~still):
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
        with m.If(~still):
            m.d.sync += [number.eq(number + 1), earlier.eq(earlier + 1)]
        while len(numbers) > 1:
            pairs, numbers = [numbers[n : n + 2] for n in range(0, len(numbers), 2)], []
            for pair in pairs:
                least = Signal.like(self.between, name="least")
                with m.If(~still):
                    m.d.sync += least.eq(Mux(pair[0] < pair[-1], pair[0], pair[-1]))
                numbers.append(least)
        m.d.comb += [
            self.o.eq(stages[-1]),
            self.between.eq(numbers[0]),
            self.busy.eq(Cat(slot.valid for stage in stages for slot in stage).any()),
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
