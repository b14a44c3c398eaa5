"""Resident Bloch vectors, and lanes that let them meet."""

from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tmesh_hw.blocks import BlockMemory, PauliLane
from tmesh_hw.engine.bundle import slot_layout
from tmesh_hw.engine.interlock import Interlock
from tmesh_hw.numbers import delayed, one_of


def place_layout(rows: int) -> data.StructLayout:
    """Where the state of an agent is, `rows` of them in a bank."""
    return data.StructLayout({"row": max(1, (rows - 1).bit_length()), "bank": 2})


#: Cycles from a write, while idle, to a read of it; long wires are equally long for both.
WRITE_LATENCY = 2


def far(lanes: int) -> bool:
    """Whether lanes fill a device: wires are long then, and have more registers."""
    return lanes > 1


def read_latency(lanes: int) -> int:
    """Cycles from a place to the vector that it holds."""
    return far(lanes) + _look_up_latency(lanes)


def _look_up_latency(lanes: int) -> int:
    """Cycles from an event to the vectors that it reads."""
    return BlockMemory.latency + 2 * far(lanes)


def distance(lanes: int) -> int:
    """Cycles from an event to one that may read what it wrote: to its lane, there, and back."""
    lane = PauliLane.latency_of(far(lanes))
    return _look_up_latency(lanes) + far(lanes) + lane + WRITE_LATENCY


class Resident(wiring.Component):
    """State memory and `lanes` × `PauliLane` behind an `Interlock`.

    Agent number row·lanes + bank is written by lane `bank` alone. Each bank has lanes + 1 copies:
    one is read as the own state of its lane, the others as the other state of every lane. One new
    vector per lane and cycle.

    Parameters
    ----------
    f: fraction bits of Q(2, f). lanes: 1 to 3. rows: vectors of a bank.

    Members
    -------
    i: stream of bundles, see `Interlock`
    form: ``{value: signed(f+2), valid: 1}`` shifts a coefficient into every lane, while idle
    read: ``{place, valid: 1}``; write: ``{place, r: 3 × signed(f+2), valid: 1}``; while idle;
       a written state can be read `WRITE_LATENCY` cycles later
    r: the vector that was to be read, `read_latency` cycles later
    idle, held: see `Interlock`
    issued, saturations: events of this cycle that were issued, results that saturated
    """

    def __init__(self, *, f: int, lanes: int, rows: int) -> None:
        self.f, self.lanes, self.rows = f, lanes, rows
        self._far = far(lanes)
        self._lanes = [PauliLane(f=f, far=self._far) for _ in range(lanes)]
        row = max(1, (rows - 1).bit_length())
        self._interlock = Interlock(lanes=lanes, row=row, distance=distance(lanes))
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
        read, write, form = (self._arrived(m, x) for x in (self.read, self.write, self.form))
        m.d.comb += [
            self.idle.eq(interlock.idle),
            self.held.eq(interlock.held),
        ]

        bundle = interlock.o
        written = data.StructLayout({"row": len(read.place.row), "r": self._vector, "valid": 1})
        writes = [Signal(written, name=f"write{k}", reset_less=True) for k in range(self.lanes)]
        own_vectors = []
        for k, lane in enumerate(self._lanes):
            m.submodules[f"lane{k}"] = lane
            slot = bundle.payload[k]
            own_row = Mux(read.valid, read.place.row, slot.own)
            own = self._copy(m, f"own{k}", writes[k], own_row)
            others = [
                self._copy(m, f"other{k}_{bank}", writes[bank], slot.other)
                for bank in range(self.lanes)
            ]
            event = Signal(slot.shape(), name=f"event{k}")
            m.d.comb += [event.eq(slot), event.valid.eq(slot.valid & bundle.valid)]
            at_memory = _look_up_latency(self.lanes)
            at_lane = at_memory + self._far
            events = self._pipeline(m, event, at_lane)
            row = delayed(m, events[-1].own, lane.latency, platform)
            other = self._of_bank(m, events[at_memory - 1], others)
            own_vectors.append(own)
            own, other = (self._arrived(m, x, reset_less=True) for x in (own, other))
            form_here = self._arrived(m, form, keep=1)
            self._meet(m, lane, form_here, events[at_lane - 1], events[at_lane], own, other)
            m.d.sync += [
                writes[k].row.eq(row),
                writes[k].r.eq(lane.o.payload.r),
                writes[k].valid.eq(lane.o.valid),
            ]
            here = self._arrived(m, self.write.valid & (self.write.place.bank == k), keep=1)
            with m.If(here):
                m.d.sync += [
                    writes[k].row.eq(write.place.row),
                    writes[k].r.eq(write.r),
                    writes[k].valid.eq(1),
                ]
        vector = own_vectors[0]
        if self.lanes > 1:
            bank = self.read.place.bank
            banks = self._pipeline(m, bank, read_latency(self.lanes), reset_less=True)
            vector = Array(own_vectors)[banks[-1]]
        m.d.comb += [
            self.r.eq(vector),
            self.issued.eq(sum(slot.valid & bundle.valid for slot in bundle.payload)),
            self.saturations.eq(
                sum(lane.o.valid & lane.o.payload.saturated for lane in self._lanes)
            ),
        ]
        return m

    def _meet(
        self,
        m: Module,
        lane: PauliLane,
        form: Any,
        coming: Any,
        event: Any,
        own: Any,
        other: Any,
    ) -> None:
        """Give a lane its operands; a repeat has those of its double. coming: the bundle in `event`
        in the next cycle."""
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
            lane.i.valid.eq(event.valid | form.valid),
            lane.i.payload.second.eq(event.second),
            lane.i.payload.load.eq(form.valid),
            lane.i.payload.value.eq(form.value),
            lane.i.payload.own.eq(Mux(repeats, held_other, own)),
            lane.i.payload.other.eq(Mux(repeats_other, held_own, other)),
        ]

    def _copy(self, m: Module, name: str, write: Any, row: Any) -> Any:
        """A copy of a bank, and its content in `row`, `_look_up_latency` cycles later."""
        m.submodules[name] = memory = BlockMemory(width=self._vector.size, depth=self.rows)
        write, row = (self._arrived(m, x, reset_less=True, keep=1) for x in (write, row))
        m.d.comb += [
            memory.write.address.eq(write.row),
            memory.write.value.eq(write.r),
            memory.write.valid.eq(write.valid),
            memory.address.eq(row),
        ]
        return self._arrived(m, memory.value, reset_less=True)

    def _of_bank(self, m: Module, coming: Any, others: list[Any]) -> Any:
        """The state read in the bank of the event that is `coming`; each component is chosen by a
        separate register."""
        if self.lanes == 1:
            return others[0]
        width, parts = self.f + 2, []
        for n in range(self._vector.length):
            chosen = Signal(self.lanes, attrs={"keep": 1})
            m.d.sync += chosen.eq(Cat(coming.bank == bank for bank in range(self.lanes)))
            parts.append(one_of(chosen, [other.word_select(n, width) for other in others]))
        return Cat(parts)

    def _arrived(self, m: Module, value: Any, **options: Any) -> Any:
        """`value` at the end of a wire, a cycle later if that is long; options: of `_pipeline`."""
        return self._pipeline(m, value, int(self._far), **options)[-1]

    @staticmethod
    def _pipeline(
        m: Module, value: Any, cycles: int, *, reset_less: bool = False, **attributes: int
    ) -> list[Any]:
        """`value`, and its values 1, 2, … `cycles` cycles before."""
        values = [value]
        for _ in range(cycles):
            register = Signal.like(value, reset_less=reset_less, attrs=attributes)
            m.d.sync += register.eq(values[-1])
            values.append(register)
        return values
