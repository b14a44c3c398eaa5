"""Resident Bloch vectors, and lanes that let them meet."""

from typing import Any

from amaranth import Array, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tmesh_hw.blocks import PauliLane
from tmesh_hw.engine.interlock import Interlock, slot_layout

#: From an issued event to its lane: the memory, and a register behind it.
READ_LATENCY = 2

#: From a write, while idle, to a read of it.
WRITE_LATENCY = 2

#: From an event to one that may read what it wrote: written in the cycle in which the lane answers,
#: readable in the next.
DISTANCE = READ_LATENCY + PauliLane.latency + 1


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
       is written can be read two cycles later
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
        writes = [Signal(write, name=f"write{k}") for k in range(self.lanes)]
        own_vectors = []
        other_write = Signal.like(self.write)
        m.d.sync += other_write.eq(self.write)
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
            self._meet(m, lane, self._later(m, event, READ_LATENCY), own, others)
            done = self._later(m, event, READ_LATENCY + PauliLane.latency)
            m.d.comb += [
                writes[k].row.eq(done.own),
                writes[k].r.eq(lane.o.payload.r),
                writes[k].valid.eq(lane.o.valid),
            ]
            with m.If(other_write.valid & (other_write.place.bank == k)):
                m.d.comb += [
                    writes[k].row.eq(other_write.place.row),
                    writes[k].r.eq(other_write.r),
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

    def _meet(self, m: Module, lane: PauliLane, event: Any, own: Any, others: list[Any]) -> None:
        """Give a lane its operands; a repeat has those of its double."""
        other = Array(others)[event.bank]
        held_own, held_other = (Signal.like(own, reset_less=True) for _ in range(2))
        with m.If(event.valid & event.double & ~event.repeat):
            m.d.sync += [held_own.eq(own), held_other.eq(other)]
        m.d.comb += [
            lane.i.valid.eq(event.valid | self.form.valid),
            lane.i.payload.second.eq(event.second),
            lane.i.payload.load.eq(self.form.valid),
            lane.i.payload.value.eq(self.form.value),
            lane.i.payload.own.eq(Mux(event.repeat, held_other, own)),
            lane.i.payload.other.eq(Mux(event.repeat, held_own, other)),
        ]

    def _copy(self, m: Module, name: str, write: Any, row: Any) -> Any:
        """A copy of a bank, and what it holds in `row`, `READ_LATENCY` cycles later."""
        memory = Memory(shape=self._vector.size, depth=self.rows, init=[])
        m.submodules[name] = memory
        into, port = memory.write_port(), memory.read_port()
        vector = Signal(self._vector.size, name=f"{name}_vector", reset_less=True)
        m.d.comb += [
            into.addr.eq(write.row),
            into.data.eq(write.r),
            into.en.eq(write.valid),
            port.addr.eq(row),
        ]
        m.d.sync += vector.eq(port.data)
        return vector

    @staticmethod
    def _later(m: Module, event: Any, cycles: int) -> Any:
        """`event`, `cycles` cycles later; its valid bit is reset."""
        for _ in range(cycles):
            register = Signal.like(event)
            m.d.sync += register.eq(event)
            event = register
        return event
