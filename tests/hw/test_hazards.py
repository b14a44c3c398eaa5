"""Rounds have the effect of one after another: proven of any rounds, of any agent, in any timing.

The gateware is that of `Rounds`, but for its arithmetic: instead of a vector there is the number of
the write, counted per agent, after as many cycles as the solver likes.
"""

from pathlib import Path
from typing import Any

import pytest
from amaranth import ClockDomain, Module, Mux, Signal
from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Elaboratable
from amaranth.lib import data, wiring
from amaranth.sim import Simulator
from tmesh.config import CoreConfig
from tmesh.packets import Command
from tmesh_hw.engine import rounds
from tmesh_hw.engine.gather import Gather
from tmesh_hw.engine.resident import WRITE_LATENCY, Resident, place_layout, read_latency
from tmesh_hw.engine.rounds import Rounds
from tmesh_hw.engine.weigh import Weigh

from .solver import proven

#: With several lanes, memory takes longer.
CONFIGS = [
    CoreConfig(
        f=8, lanes=0, gossip_lanes=lanes, agents=4, operators=2, rounds=2, link=128, cordics=0
    )
    for lanes in (1, 2)
]

#: Bits of the number of a write: fewer than four are under way.
NUMBER = 2


class Timeless(wiring.Component):
    """The ports of a block, one transaction at a time, taken and done in any cycle."""

    def __init__(self, block: Any) -> None:
        super().__init__({name: block.signature.members[name] for name in ("i", "o")})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        full = Signal()
        m.d.comb += [
            self.i.ready.eq(~full & AnySeq(1)),
            self.o.valid.eq(full & AnySeq(1)),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += full.eq(1)
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += full.eq(0)
        return m


class Bearer(wiring.Component):
    """A `Quotient` that bears the numbers of writes, and what becomes of them; as many at once, in
    order."""

    def __init__(self, block: Any) -> None:
        super().__init__({name: block.signature.members[name] for name in ("i", "o")})
        self._most = block.vectors

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        i, o = self.i.payload, self.o.payload
        kept = data.StructLayout({"number": NUMBER, "carry": i.carry.shape()})
        queue, count = Signal(data.ArrayLayout(kept, self._most)), Signal(range(self._most + 1))
        enters, leaves = (s.valid & s.ready for s in (self.i, self.o))
        m.d.comb += [
            self.i.ready.eq((count != self._most) & AnySeq(1)),
            self.o.valid.eq((count != 0) & AnySeq(1)),
            o.r[0].eq(queue[0].number),
            o.carry.eq(queue[0].carry),
        ]
        m.d.sync += count.eq(count + enters - leaves)
        with m.If(leaves):
            m.d.sync += [queue[n].eq(queue[n + 1]) for n in range(self._most - 1)]
        with m.If(enters):
            into = queue[(count - leaves)[: count.shape().width]]
            m.d.sync += [into.number.eq(i.n[0]), into.carry.eq(i.carry)]
        return m


class Numbering(wiring.Component):
    """A `Weigh` that numbers the writes of the agent at `place`, `expected` being the last one of
    rounds so far; any weight may vanish."""

    def __init__(self, config: CoreConfig, place: Any) -> None:
        self._place = place
        super().__init__(dict(Weigh(config=config).signature.members.items()))
        self.expected = Signal(NUMBER)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        i, o = self.i.payload, self.o.payload
        second = Signal()
        both = (i.command == Command.EVOLVE) & i.asked.both & ~second
        sent = self.o.valid & self.o.ready
        m.d.comb += [
            self.o.valid.eq(self.i.valid & AnySeq(1)),
            self.i.ready.eq(sent & ~both),
            o.n[0].eq(self.expected + 1),
            o.carry.command.eq(i.command),
            o.carry.place.eq(Mux(both, i.other_place, i.own_place)),
            o.carry.writes.eq((i.command != Command.OBSERVE) & AnySeq(1)),
            o.carry.answers.eq(~both),
        ]
        with m.If(sent):
            m.d.sync += second.eq(both)
            with m.If(o.carry.writes & (o.carry.place == self._place)):
                m.d.sync += self.expected.eq(self.expected + 1)
        # The first component of what is read says that it is out of date.
        with m.If(self.i.valid & ~second):
            m.d.comb += Assert(i.total[0] == 0)
        return m


class Forgetful(Gather):
    """Does not see one of the writes that are pending."""

    def elaborate(self, platform: Any) -> Module:
        self.pending = [self.pending[0]]
        return super().elaborate(platform)


class Proof(Elaboratable):
    """Rounds over a memory of which one agent is looked at, any; written `late` cycles late."""

    def __init__(self, dut: Rounds, place: Any, expected: Any, late: int) -> None:
        self.dut, self.place, self.expected, self.late = dut, place, expected, late

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True)  # starts as after a reset
        m.submodules.dut = dut = self.dut
        started, place = Signal(), Signal.like(self.place)
        m.d.sync += [started.eq(1), place.eq(self.place)]
        m.d.comb += self.place.eq(Mux(started, place, AnySeq(len(self.place.as_value()))))

        # The engine starts a round when the one before it is gathered.
        gathering = Signal()
        with m.If(dut.start.valid):
            m.d.sync += gathering.eq(1)
        with m.Elif(dut.done):
            m.d.sync += gathering.eq(0)
        start = dut.start.shape()(AnySeq(dut.start.shape().size))
        m.d.comb += [
            dut.start.eq(start),
            dut.start.valid.eq(start.valid & ~gathering),
            dut.i.valid.eq(AnySeq(1)),
            dut.i.payload.eq(AnySeq(dut.i.payload.shape().size)),
            dut.o.ready.eq(AnySeq(1)),
        ]

        lanes = dut.config.gossip_lanes
        memory, write, writes = Signal(NUMBER), dut.write.r[0][:NUMBER], Signal()
        m.d.comb += writes.eq(dut.write.valid & (dut.write.place == self.place))
        for _ in range(WRITE_LATENCY - 1 + self.late):
            m.d.sync += [(later := Signal.like(write)).eq(write), (valid := Signal()).eq(writes)]
            write, writes = later, valid
        with m.If(writes):
            m.d.sync += memory.eq(write)
        # A word that is written while it is read is any.
        stale = (dut.read.place == self.place) & (writes | (memory != self.expected))
        for _ in range(read_latency(lanes)):
            m.d.sync += (later := Signal()).eq(stale)
            stale = later
        m.d.comb += dut.r[0].eq(stale)
        with m.If(dut.idle & ~gathering):
            m.d.comb += Assert(memory == self.expected)
        return m


def check(config: CoreConfig, late: int, gather: type[Gather], folder: Path) -> bool:
    """Whether no read passes a write, and the last write is what stays."""
    place = Signal(place_layout(config.rows))
    numbering = Numbering(config, place)
    with pytest.MonkeyPatch.context() as patch:
        for name, block in (("Entropy", Timeless), ("SquareRoot", Timeless), ("Quotient", Bearer)):
            real = getattr(rounds, name)
            patch.setattr(rounds, name, lambda block=block, real=real, **kw: block(real(**kw)))
        patch.setattr(rounds, "Weigh", lambda config: numbering)
        patch.setattr(rounds, "Gather", gather)
        return proven(Proof(Rounds(config=config), place, numbering.expected, late), folder)


@pytest.mark.parametrize("config", CONFIGS, ids=["one lane", "two lanes"])
def test_no_round_reads_what_is_still_to_be_written(config: CoreConfig, tmp_path: Path) -> None:
    assert check(config, 0, Gather, tmp_path)
    # The proof would notice a write that comes a cycle later, and one that is forgotten.
    assert not check(config, 1, Gather, tmp_path)
    assert not check(config, 0, Forgetful, tmp_path)


@pytest.mark.parametrize("lanes", [1, 2])
def test_memory_takes_as_long_as_the_proof_has_it(lanes: int) -> None:
    """Read in the first cycle in which what is written can be, and in the one before."""
    seen = []
    for wait in (WRITE_LATENCY - 1, WRITE_LATENCY):
        dut = Resident(f=8, lanes=lanes, rows=2)

        async def bench(ctx: Any, dut: Resident = dut, wait: int = wait) -> None:
            place = {"row": 1, "bank": 0}
            ctx.set(dut.write, {"place": place, "r": [7, 0, 0], "valid": 1})
            for cycle in range(wait + 1):
                ctx.set(dut.read, {"place": place, "valid": cycle == wait})
                await ctx.tick()
                ctx.set(dut.write.valid, 0)
            ctx.set(dut.read.valid, 0)
            await ctx.tick().repeat(read_latency(lanes) - 1)
            seen.append(ctx.get(dut.r[0]))

        simulator = Simulator(dut)
        simulator.add_clock(1e-8)
        simulator.add_testbench(bench)
        simulator.run()
    assert seen == [0, 7]
