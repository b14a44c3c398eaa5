"""The interlock: proven not to let a read pass a write; the engine's tests hold its results.

Proven in two parts: that `Lookback` sees every conflict, and that no bundle is issued too early by
anything that it may then say.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth import Cat, ClockDomain, Module, Mux, Signal
from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Elaboratable
from amaranth.lib import wiring
from amaranth.sim import Simulator
from tmesh_hw.blocks import BlockMemory
from tmesh_hw.engine import Interlock, Lookback, interlock, lookback
from tmesh_hw.synthesis import Ecp5

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
    """Asserts of `Lookback`, for any bundles that may come, in any timing: it gives each as it
    came, never says that there are more between than there are, and is busy while it has one.
    forgets: so does its memory."""

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
        between, bundle = true_between(m, watched, dut.i, ~still, dut.span), dut.i
        for _ in range(dut.latency):
            between_later, bundle_later = Signal.like(between), Signal.like(bundle)
            with m.If(~still):
                m.d.sync += [between_later.eq(between), bundle_later.eq(bundle)]
            between, bundle = between_later, bundle_later
            m.d.comb += Assert(dut.busy | ~Cat(slot.valid for slot in bundle).any())
        m.d.comb += [Assert(dut.o == bundle), Assert(dut.between <= between)]
        return m


class Claimed(wiring.Component):
    """A `Lookback` that takes no time, and says any number that is not more than the true one."""

    def __init__(self, watched: Watched, **parameters: int) -> None:
        real = Lookback(**parameters)
        self._watched, self.span = watched, real.span
        super().__init__(dict(real.signature.members.items()))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        still = Signal()
        m.d.sync += still.eq(self.holding)
        true = true_between(m, self._watched, self.i, ~still, self.span)
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
    # With the copies that a device has of what waits and of what decides.
    assert proven(Issuing(lanes, distance, distance), tmp_path, Ecp5())
    # The proof would notice results that come a cycle later.
    assert not proven(Issuing(lanes, distance, distance + 1), tmp_path)


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_nothing_waits_for_nothing(lanes: int) -> None:
    """`Lookback` says what a list of who last wrote says, of random bundles with gaps and holds."""
    dut = Lookback(lanes=lanes, row=2, span=9)
    rng = np.random.default_rng(lanes)
    names = ("own", "other", "bank", "second", "double", "valid", "repeat")
    most = {"own": 4, "other": 4, "bank": lanes}
    last: dict[tuple[int, int], int] = {}
    expected, found = [], []
    bundles = []
    for number in range(400):
        slots = [
            {name: int(rng.integers(most.get(name, 2))) for name in names} for _ in range(lanes)
        ]
        bundles.append(slots)
        reads = [
            last.get(place, -dut.span - 1)
            for lane, slot in enumerate(slots)
            if slot["valid"] and not slot["repeat"]
            for place in ((lane, slot["own"]), (slot["bank"], slot["other"]))
        ]
        expected.append(min([number - 1 - at for at in reads] + [dut.span]))
        last |= {(lane, slot["own"]): number for lane, slot in enumerate(slots) if slot["valid"]}

    async def bench(ctx: Any) -> None:
        still, sent, moves = False, 0, 0
        # What was never written looks at first as if it were.
        await ctx.tick().repeat(2 * dut.span)
        while len(found) < len(bundles):
            holding = bool(rng.integers(2))
            ctx.set(dut.holding, holding)
            ctx.set(dut.i, bundles[sent] if sent < len(bundles) else [{}] * lanes)
            if not still:
                if moves >= dut.latency:
                    found.append(ctx.get(dut.between))
                sent, moves = sent + 1, moves + 1
            still = holding
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    assert found == expected
    assert len(set(found)) == dut.span + 1
