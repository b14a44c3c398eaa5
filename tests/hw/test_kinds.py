"""Commands of one kind overlap, others wait for them: proven of the engine, for any packets.

The gateware is that of `Engine`, but for what takes time: lanes and rounds take as many cycles as
the solver likes, and say no more than their ports do.
"""

from pathlib import Path
from typing import Any

import pytest
from amaranth import ClockDomain, Module, Signal
from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Elaboratable
from amaranth.lib import wiring
from tmesh.config import CoreConfig
from tmesh.packets import Status
from tmesh_hw.engine import Engine, engine
from tmesh_hw.engine.resident import Resident
from tmesh_hw.engine.rounds import Rounds

from .solver import proven

CONFIG = CoreConfig(
    f=8, lanes=0, gossip_lanes=1, agents=4, operators=1, rounds=2, link=64, cordics=0
)


class AnyLanes(wiring.Component):
    """A `Resident`, idle some time after its last bundle; `hasty`: as soon as there is no other."""

    def __init__(self, real: Any, hasty: bool) -> None:
        super().__init__(dict(real.signature.members.items()))
        self.flying, self._hasty = Signal(), hasty

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        here = Signal()
        m.d.comb += [
            self.i.ready.eq(AnySeq(1)),
            self.flying.eq(here | self.i.valid),
            self.idle.eq(~self.i.valid if self._hasty else ~self.flying),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += here.eq(1)
        with m.Elif(AnySeq(1)):
            m.d.sync += here.eq(0)
        return m


class AnyRounds(wiring.Component):
    """`Rounds`, of which one is gathered at a time, and then some are under way; `hasty`: it is
    idle even then."""

    def __init__(self, real: Any, hasty: bool) -> None:
        super().__init__(dict(real.signature.members.items()))
        self.going, self._hasty = Signal(), hasty

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        gathering, ways, ends = Signal(), Signal(2), Signal()
        m.d.comb += [
            self.going.eq(gathering | self.start.valid | (ways != 0)),
            self.done.eq(gathering & (ways != 3) & AnySeq(1)),
            self.ended.eq(AnySeq(1)),
            self.i.ready.eq(gathering & AnySeq(1)),
            ends.eq((ways != 0) & AnySeq(1)),
            self.read.eq(AnySeq(self.read.shape().size)),
            self.read.valid.eq(gathering & AnySeq(1)),
            self.write.eq(AnySeq(self.write.shape().size)),
            self.write.valid.eq((ways != 0) & AnySeq(1)),
            self.o.valid.eq((ways != 0) & AnySeq(1)),
            self.idle.eq((ways == 0) | self._hasty),
        ]
        with m.If(AnySeq(1)):
            m.d.comb += self.status.eq(Status.BAD_LENGTH)
        with m.If(self.start.valid):
            m.d.sync += gathering.eq(1)
        with m.Elif(self.done):
            m.d.sync += gathering.eq(0)
        m.d.sync += ways.eq(ways + (self.done & (self.status == Status.OK)) - ends)
        return m


class Proof(Elaboratable):
    """Any words, and replies taken in any cycle."""

    def __init__(self, dut: Engine, lanes: AnyLanes, rounds: AnyRounds) -> None:
        self.dut, self.lanes, self.rounds = dut, lanes, rounds

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True)  # starts as after a reset
        m.submodules.dut = dut = self.dut
        lanes, rounds = self.lanes, self.rounds
        m.d.comb += [
            dut.i.valid.eq(AnySeq(1)),
            dut.i.payload.eq(AnySeq(dut.i.payload.shape().size)),
            dut.o.ready.eq(AnySeq(1)),
            Assert(~(rounds.going & lanes.flying)),
            # What a round reads and writes is what it asked for.
            Assert(~rounds.read.valid | (lanes.read == rounds.read)),
            Assert(~rounds.write.valid | (lanes.write == rounds.write)),
            # An operator is loaded while nothing is under way.
            Assert(~(lanes.form.valid & lanes.flying)),
            # What else is written is written while nothing is going on.
            Assert(~(lanes.write.valid & ~rounds.write.valid & (rounds.going | lanes.flying))),
        ]
        return m


def check(folder: Path, hasty_lanes: bool = False, hasty_rounds: bool = False) -> bool:
    """Whether lanes, rounds and single states keep apart."""
    real = Resident(f=CONFIG.f, lanes=CONFIG.gossip_lanes, rows=CONFIG.rows)
    lanes, rounds = AnyLanes(real, hasty_lanes), AnyRounds(Rounds(config=CONFIG), hasty_rounds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "Resident", lambda **parameters: lanes)
        patch.setattr(engine, "Rounds", lambda **parameters: rounds)
        return proven(Proof(Engine(config=CONFIG), lanes, rounds), folder)


def test_commands_of_other_kinds_wait(tmp_path: Path) -> None:
    assert check(tmp_path)
    # The proof would notice lanes and rounds that are not waited for.
    assert not check(tmp_path, hasty_lanes=True)
    assert not check(tmp_path, hasty_rounds=True)
