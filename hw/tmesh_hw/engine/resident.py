"""Resident Bloch vectors, and lanes that let them meet."""

from typing import Any

from amaranth import Array, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tmesh_hw.blocks import BlockMemory, PauliLane
from tmesh_hw.engine.interlock import Interlock, slot_layout

#: From an issued event to its lane.
READ_LATENCY = BlockMemory.latency

#: From a write, while idle, to a read of it.
WRITE_LATENCY = 2

#: From an event to one that may read what it wrote: written in the cycle after that in which the
#: lane answers, readable in the next.
DISTANCE = READ_LATENCY + PauliLane.latency + 2


def place_layout(rows: int) -> data.StructLayout:
    """Where the state of an agent is, `rows` of them in a bank."""
    return data.StructLayout({"row": max(1, (rows - 1).bit_length()), "bank": 2})


class Resident(wiring.Component):
    """State memory and `lanes` × `PauliLane` behind an `Interlock`.

    Agent number row·lanes + bank is written by lane `bank` alone. Each bank is there lanes + 1
    times: to be read as the own state of its lane, and as the other state of every lane. One new
    vector per lane and cycle.

    Parameters
    ----------
    f: fraction bits of Q(2, f). lanes: 1 to 3. rows: vectors of a bank.

    Members
    -------
    i: stream of bundles, see `Interlock`
    form: ``{value: signed(f+2), valid: 1}`` shifts a coefficient into every lane, while idle
    read: ``{place, valid: 1}``; write: ``{place, r: 3 × signed(f+2), valid: 1}``; while idle; what
       is written can be read `WRITE_LATENCY` cycles later
    r: the vector that was to be read, `READ_LATENCY` cycles later
    idle, held: see `Interlock`
    issued, saturations: events of this cycle that were issued, results that saturated
    """

    def __init__(self, *, f: int, lanes: int, rows: int) -> None:
        self.f, self.lanes, self.rows = f, lanes, rows
        self._lanes = [PauliLane(f=f) for _ in range(lanes)]
        row = max(1, (rows - 1).bit_length())
        self._interlock = Interlock(lanes=lanes, row=row, distance=DISTANCE)
        vector = data.ArrayLayout(signed(f + 2), 3)
        self._vector = vector
        place = place_layout(rows)
        super().__init__(
            {
                "i": In(stream.Signature(data.ArrayLayout(slot_layout(row), lanes))),
                "form": In(data.StructLayout({"value": signed(f + 2), "valid": 1})),
                "read": In(data.StructLayout({"place": place, "valid": 1})),
                "write": In(data.StructLayout({"place": place, "r": vector, "valid": 1})),
                "r": Out(vector),
                "idle": Out(1),
                "held": Out(1),
                "issued": Out(range(lanes + 1)),
                "saturations": Out(range(lanes + 1)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.interlock = interlock = self._interlock
        wiring.connect(m, wiring.flipped(self.i), interlock.i)
        m.d.comb += [self.idle.eq(interlock.idle), self.held.eq(interlock.held)]

        bundle = interlock.o
        write = data.StructLayout({"row": len(self.read.place.row), "r": self._vector, "valid": 1})
        writes = [Signal(write, name=f"write{k}", reset_less=True) for k in range(self.lanes)]
        own_vectors = []
        for k, lane in enumerate(self._lanes):
            m.submodules[f"lane{k}"] = lane
            slot = bundle.payload[k]
            own_row = Mux(self.read.valid, self.read.place.row, slot.own)
            own = self._copy(m, f"own{k}", writes[k], own_row)
            others = [
                self._copy(m, f"other{k}_{bank}", writes[bank], slot.other)
                for bank in range(self.lanes)
            ]
            event = Signal(slot.shape(), name=f"event{k}")
            m.d.comb += [event.eq(slot), event.valid.eq(slot.valid & bundle.valid)]
            coming = self._later(m, event, READ_LATENCY - 1)
            event = self._later(m, coming, 1)
            self._meet(m, lane, coming, event, own, others)
            done = self._later(m, event, PauliLane.latency)
            m.d.sync += [
                writes[k].row.eq(done.own),
                writes[k].r.eq(lane.o.payload.r),
                writes[k].valid.eq(lane.o.valid),
            ]
            with m.If(self.write.valid & (self.write.place.bank == k)):
                m.d.sync += [
                    writes[k].row.eq(self.write.place.row),
                    writes[k].r.eq(self.write.r),
                    writes[k].valid.eq(1),
                ]
            own_vectors.append(own)
        bank = self.read.place.bank
        for n in range(READ_LATENCY):
            later = Signal.like(bank, name=f"bank{n}", reset_less=True)
            m.d.sync += later.eq(bank)
            bank = later
        m.d.comb += [
            self.r.eq(Array(own_vectors)[bank]),
            self.issued.eq(sum(slot.valid & bundle.valid for slot in bundle.payload)),
            self.saturations.eq(
                sum(lane.o.valid & lane.o.payload.saturated for lane in self._lanes)
            ),
        ]
        return m

    def _meet(
        self, m: Module, lane: PauliLane, coming: Any, event: Any, own: Any, others: list[Any]
    ) -> None:
        """Give a lane its operands; a repeat has those of its double. coming: what is `event` in
        the next cycle."""
        other = Array(others)[event.bank]
        held_own, held_other = (Signal.like(own, reset_less=True) for _ in range(2))
        # They drive what is wide.
        holds, repeats, repeats_other = (Signal(attrs={"keep": 1}) for _ in range(3))
        m.d.sync += [
            holds.eq(coming.valid & coming.double & ~coming.repeat),
            *(signal.eq(coming.repeat) for signal in (repeats, repeats_other)),
        ]
        with m.If(holds):
            m.d.sync += [held_own.eq(own), held_other.eq(other)]
        m.d.comb += [
            lane.i.valid.eq(event.valid | self.form.valid),
            lane.i.payload.second.eq(event.second),
            lane.i.payload.load.eq(self.form.valid),
            lane.i.payload.value.eq(self.form.value),
            lane.i.payload.own.eq(Mux(repeats, held_other, own)),
            lane.i.payload.other.eq(Mux(repeats_other, held_own, other)),
        ]

    def _copy(self, m: Module, name: str, write: Any, row: Any) -> Any:
        """A copy of a bank, and what it holds in `row`, `READ_LATENCY` cycles later."""
        m.submodules[name] = memory = BlockMemory(width=self._vector.size, depth=self.rows)
        m.d.comb += [
            memory.write.address.eq(write.row),
            memory.write.value.eq(write.r),
            memory.write.valid.eq(write.valid),
            memory.address.eq(row),
        ]
        return memory.value

    @staticmethod
    def _later(m: Module, event: Any, cycles: int) -> Any:
        """`event`, `cycles` cycles later; its valid bit is reset."""
        for _ in range(cycles):
            register = Signal.like(event)
            m.d.sync += register.eq(event)
            event = register
        return event
