"""The interlock: proven not to let a read pass a write; the engine's tests hold its results.

Proven in two parts: that `Lookback` sees every conflict, and that no bundle is issued too early by
anything that it may then say.
"""

import functools
from pathlib import Path
from typing import Any

import pytest
from amaranth import Cat, ClockDomain, Module, Mux, Signal
from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Elaboratable
from amaranth.lib import wiring
from tmesh_hw.blocks import BlockMemory
from tmesh_hw.engine import Interlock, Lookback, interlock, lookback

from .solver import proven


class Watched:
    """Any row of any bank, and what a slot in a lane does to it."""

    def __init__(self, row: int) -> None:
        self.row, self.bank = AnyConst(row), AnyConst(2)

    def own(self, slot: Any, lane: int) -> Any:
        return slot.valid & (slot.own == self.row) & (self.bank == lane)

    def reads(self, slot: Any, lane: int) -> Any:
        other = slot.valid & (slot.other == self.row) & (slot.bank == self.bank)
        return (self.own(slot, lane) | other) & ~slot.repeat

    def read_by(self, bundle: Any) -> Any:
        return Cat(self.reads(slot, lane) for lane, slot in enumerate(bundle)).any()

    def written_by(self, bundle: Any) -> Any:
        return Cat(self.own(slot, lane) for lane, slot in enumerate(bundle)).any()


def true_between(m: Module, watched: Watched, bundle: Any, moves: Any, span: int) -> Any:
    """How many bundles are between `bundle` and the last one before it that writes what it reads:
    `span` at most, and of the watched row alone."""
    written = Signal(span)
    with m.If(moves):
        m.d.sync += written.eq(Cat(watched.written_by(bundle), written))
    between = Signal(range(span + 1), init=span)
    m.d.comb += between.eq(span)
    for distance in reversed(range(span)):
        with m.If(watched.read_by(bundle) & written[distance]):
            m.d.comb += between.eq(distance)
    return between


class OneRow(wiring.Component):
    """A `BlockMemory` of which the word at `row` is known; any other is anything, and so is what is
    read while it is written. It may forget what is written."""

    def __init__(self, row: Any, forgets: bool, *, width: int, depth: int) -> None:
        super().__init__(dict(BlockMemory(width=width, depth=depth).signature.members.items()))
        self._row, self._forgets = row, forgets

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        word, read, value = (Signal(self.value.shape()) for _ in range(3))
        writes = self.write.valid & (self.write.address == self._row)
        with m.If(writes & ~(self._forgets & AnySeq(1))):
            m.d.sync += word.eq(self.write.value)
        known = (self.address == self._row) & ~writes
        with m.If(self.enable):
            m.d.sync += [read.eq(Mux(known, word, AnySeq(len(word)))), value.eq(read)]
        m.d.comb += self.value.eq(value)
        return m


class Looking(Elaboratable):
    """Asserts that `Lookback` never says that there are more between than there are, of any bundles
    that may come, in any timing. forgets: so does its memory."""

    def __init__(self, lanes: int, span: int, *, forgets: bool = False) -> None:
        self.dut = Lookback(lanes=lanes, row=1, span=span, stamp=span.bit_length())
        self.forgets = forgets

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True)  # starts as after a reset
        watched, dut = Watched(self.dut.row), self.dut
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                lookback, "BlockMemory", functools.partial(OneRow, watched.row, self.forgets)
            )
            m.submodules.dut = dut.elaborate(None)
        still = Signal()
        m.d.sync += still.eq(dut.holding)
        m.d.comb += [dut.i.eq(AnySeq(dut.i.as_value().shape().width)), dut.holding.eq(AnySeq(1))]
        between = true_between(m, watched, dut.i, ~still, dut.span)
        for _ in range(dut.latency):
            later = Signal.like(between)
            with m.If(~still):
                m.d.sync += later.eq(between)
            between = later
        m.d.comb += Assert(dut.between <= between)
        return m


class Claimed(wiring.Component):
    """A `Lookback` that takes no time, and says any number that is not more than the true one."""

    def __init__(self, watched: Watched, **parameters: int) -> None:
        real = Lookback(**parameters)
        self._watched, self._span = watched, real.span
        super().__init__(dict(real.signature.members.items()))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        still = Signal()
        m.d.sync += still.eq(self.holding)
        true = true_between(m, self._watched, self.i, ~still, self._span)
        any_number = AnySeq(len(true))
        with m.If(~still):
            m.d.sync += [
                self.o.eq(self.i),
                self.between.eq(Mux(any_number < true, any_number, true)),
            ]
        m.d.comb += self.busy.eq(Cat(slot.valid for slot in self.o).any())
        return m


class Issuing(Elaboratable):
    """Asserts, for any bundles that may come, of every bundle that is issued and any row: it does
    not read the row if it was issued to be written less than `claimed` cycles ago. While it is
    idle, it was not."""

    def __init__(self, lanes: int, distance: int, claimed: int) -> None:
        self.lanes, self.distance, self.claimed = lanes, distance, claimed

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True)  # starts as after a reset
        watched = Watched(1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(interlock, "Lookback", functools.partial(Claimed, watched))
            dut = m.submodules.dut = Interlock(lanes=self.lanes, row=1, distance=self.distance)
        bundle, issues = dut.o.payload, dut.o.valid
        m.d.comb += [
            dut.i.payload.eq(AnySeq(dut.i.payload.as_value().shape().width)),
            dut.i.valid.eq(AnySeq(1)),
        ]
        written = Signal(self.claimed - 1)
        m.d.sync += written.eq(Cat(issues & watched.written_by(bundle), written))
        m.d.comb += [
            Assert(~(issues & watched.read_by(bundle) & written.any())),
            Assert(~(dut.idle & written.any())),
        ]
        return m


@pytest.mark.parametrize(("lanes", "span"), [(1, 7), (2, 3)])
def test_no_conflict_is_overlooked(lanes: int, span: int, tmp_path: Path) -> None:
    assert proven(Looking(lanes, span), tmp_path)
    # The proof would notice a number that is not kept.
    assert not proven(Looking(lanes, span, forgets=True), tmp_path)


@pytest.mark.parametrize(("lanes", "distance"), [(1, 8), (2, 4), (3, 6)])
def test_no_read_passes_a_write(lanes: int, distance: int, tmp_path: Path) -> None:
    assert proven(Issuing(lanes, distance, distance), tmp_path)
    # The proof would notice results that come a cycle later.
    assert not proven(Issuing(lanes, distance, distance + 1), tmp_path)
