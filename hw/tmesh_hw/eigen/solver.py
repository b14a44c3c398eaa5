"""Eigenvalues and eigenvectors of Hermitian matrices by cyclic Jacobi."""

import itertools
from typing import Any

from amaranth import Array, C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from tmesh.errors import InvalidInput
from tmesh.golden import jacobi
from tmesh.golden.cordic import CordicFormat
from tmesh.numbers import IntArray

from tmesh_hw.blocks.checks import check_choice
from tmesh_hw.eigen.ring import JacobiRing
from tmesh_hw.eigen.schedule import Schedule
from tmesh_hw.eigen.sort import LEVEL, sorted_pairs
from tmesh_hw.numbers import copies, matrix, one_of, round_shift


class HermitianJacobi(wiring.Component):
    """``o.values, o.vectors`` of Hermitian ``i.x``; equals ``numpy.linalg.eigh(x)``, eigenvalues
    ascending, eigenvectors in columns with an arbitrary phase.

    Cyclic Jacobi in parallel order: n−1 steps bring every two indices together. It takes 1, 10, 49
    steps for n = 2, 4, 8, and with eigenvectors 1, 12, 56. A step of a 4×4 matrix is 11 CORDIC
    operations, 35 with eigenvectors. Matrices follow each other around rings of up to four units
    each, on a schedule fixed at generation. Nothing is arbitrated, and four units are busy in 11 of
    12 cycles. With ``i.small`` only the leading 2×2 counts: one step. Matrices of different numbers
    of steps do not share a ring at a time; results keep the order.

    Format: x is Q(2, f), ‖x‖₂ < 2, of which the upper triangle counts. Values have f+6 fraction
    bits and are not rounded; vectors are Q(2, f), rounded half to even. If a diagonal value
    reaches ±3 on the way, `saturated` is set and everything is zero. The unused values of a
    small matrix are the largest number.

    Parameters
    ----------
    f: fraction bits of Q(2, f). n: 2, 4 or 8. cordics: CORDIC units: 1, 2, 4 or 8.
    iterative: one iterative CORDIC, one matrix at a time. vectors: whether there are eigenvectors.
    carry: shape of data forwarded with the result.

    Members
    -------
    i: stream of ``{x: n×n Complex(f+2), small: 1, vectors: 1, carry}``; an iterative solver skips
       the eigenvectors when ``vectors`` is low
    o: stream of ``{values: n × signed(f+10), vectors: n×n Complex(f+2), saturated: 1, carry}``,
       without ``vectors`` if there are none
    """

    def __init__(
        self,
        *,
        f: int,
        n: int,
        cordics: int,
        iterative: bool = False,
        vectors: bool = False,
        carry: Any = 0,
    ) -> None:
        self.format = CordicFormat(f)
        self.n = check_choice("n", n, jacobi.STEPS)
        self.cordics = check_choice("cordics", cordics, (1, 2, 4, 8))
        if iterative and cordics != 1:
            raise InvalidInput(f"an iterative solver has one cordic, not {cordics!r}")
        units = min(cordics, 2 if n == 2 and not vectors else 4)
        self._lanes = [
            _Lane(f=f, n=n, units=units, iterative=iterative, vectors=vectors, carry=carry)
            for _ in range(cordics // units)
        ]
        self.iterative, self.vectors = iterative, vectors
        super().__init__(dict(self._lanes[0].signature.members.items()))

    @property
    def schedule(self) -> Schedule:
        """Where each operation of a step is done: see `tmesh_hw.eigen.schedule`."""
        return self._lanes[0].ring.schedule

    def interval(self, small: bool = False, vectors: bool = False) -> float:
        """Cycles between matrices, when enough of them come."""
        ring = self._lanes[0].ring
        vectors = vectors and self.vectors
        steps = ring.steps(small, vectors)
        if ring.iterative:
            return steps * ring.shortest(small, vectors)
        # There is one input for all rings.
        return max(1, steps * ring.schedule.interval / len(self._lanes))

    def latency(self, small: bool = False, vectors: bool = False) -> int:
        """From acceptance: the steps, n levels of sorting, pairs of an eigenvalue and its vector
        one by one if there are any, the queue of results."""
        return self._lanes[0].latency(small, vectors and self.vectors)

    def model(self, x: IntArray, vectors: bool = True) -> jacobi.Spectrum:
        """Integers (..., n, n, 2) in, exact results out, with eigenvectors if there are any and
        they are wanted; of a small matrix, give the 2×2."""
        return jacobi.eigh(x, self.format.f, vectors=vectors and self.vectors)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for k, lane in enumerate(self._lanes):
            m.submodules[f"lane{k}"] = lane
        count = len(self._lanes)
        if count == 1:
            wiring.connect(m, wiring.flipped(self.i), self._lanes[0].i)
            wiring.connect(m, self._lanes[0].o, wiring.flipped(self.o))
            return m
        # Commands and results take turns.
        into, out_of = Signal(range(count)), Signal(range(count))
        for turn, port in ((into, self.i), (out_of, self.o)):
            with m.If(port.valid & port.ready):
                m.d.sync += turn.eq(Mux(turn == count - 1, 0, turn + 1))
        for k, lane in enumerate(self._lanes):
            m.d.comb += lane.i.payload.eq(self.i.payload)
            with m.If(into == k):
                m.d.comb += [lane.i.valid.eq(self.i.valid), self.i.ready.eq(lane.i.ready)]
            with m.If(out_of == k):
                m.d.comb += [
                    self.o.payload.eq(lane.o.payload),
                    self.o.valid.eq(lane.o.valid),
                    lane.o.ready.eq(self.o.ready),
                ]
        return m


class _Lane(wiring.Component):
    """A ring, sorting behind it, and a queue that has room for all that is in the ring."""

    def __init__(
        self, *, f: int, n: int, units: int, iterative: bool, vectors: bool, carry: Any
    ) -> None:
        self.ring = JacobiRing(f=f, n=n, units=units, iterative=iterative, vectors=vectors)
        self.n, self.format, self.vectors = n, self.ring.format, vectors
        self._carry = carry
        #: One register before the sorting.
        self._sorting = 1 + LEVEL * n
        #: With eigenvectors, results leave the sorting, and its queue, pair by pair: one behind
        #: the other, through three registers and a fourth at the end.
        self._columns = n + 3 if vectors else 0
        behind = (self._sorting + self._columns + 4) // self.ring.schedule.interval
        self._room = self.ring.in_flight + behind + 3
        command = {"x": matrix(n, f + 2), "small": 1, "vectors": 1, "carry": carry}
        result = {"values": data.ArrayLayout(signed(self.format.width), n)}
        if vectors:
            result["vectors"] = matrix(n, f + 2)
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(command))),
                "o": Out(
                    stream.Signature(data.StructLayout({**result, "saturated": 1, "carry": carry}))
                ),
            }
        )

    def latency(self, small: bool, vectors: bool) -> int:
        """The ring, the sorting, the pairs, the queue."""
        return self.ring.latency(small, vectors) + self._sorting + self._columns + 2

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.ring = ring = self.ring
        # Nothing enters the ring without a place in the queue, so its writing needs no gates.
        places = Signal(range(self._room + 1), init=self._room)
        enters, leaves, left, room = Signal(), Signal(), Signal(), Signal()
        m.d.sync += room.eq(places > 1)  # one may have entered in this cycle
        m.d.comb += [
            ring.i.valid.eq(self.i.valid & room),
            self.i.ready.eq(ring.i.ready),
            ring.i.payload.x.eq(self.i.payload.x),
            ring.i.payload.small.eq(self.i.payload.small),
            ring.i.payload.vectors.eq(self.i.payload.vectors),
            enters.eq(ring.i.ready),
            leaves.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += [left.eq(leaves), places.eq(places - enters + left)]

        depth = 1 << self._room.bit_length()
        pairs, arrived, saturated = self._sorted(m)
        valid = arrived[self._sorting - 1 :]
        carry, o, valids = Value.cast(self.i.payload.carry), self.o.payload, []
        # A queue for each value, with its control: shared control would need wires everywhere.
        if self.vectors:
            valids.append(self._pairs(m, platform, depth, pairs, arrived, saturated))
        else:
            for k, (value, _) in enumerate(pairs):
                ending = _place(m, depth, valid[0])
                of = o["values"][k]
                valids.append(_queue(m, ending, ending, value, Value.cast(of), self.o.ready))
        ending = _place(m, depth, valid[0])
        leaves_too = self.o.ready & valids[0]
        valids.append(_queue(m, ending, ending, saturated, Value.cast(o.saturated), leaves_too))
        if len(carry):
            entering, ending = _place(m, depth, enters), _place(m, depth, valid[0])
            _queue(m, entering, ending, carry, Value.cast(o.carry), leaves_too)
        m.d.comb += self.o.valid.eq(valids[0])
        return m

    def _sorted(self, m: Module) -> tuple[Any, Any, Any]:
        """Eigenvalues in order, each with the position that it came from; whether any arrived, from
        the cycle after the ring on; whether these saturated."""
        n, delay, o = self.n, self._sorting, self.ring.o
        largest = (1 << (self.format.width - 1)) - 1
        order = jacobi.order(n)
        unused = [order.index(i) for i in range(2, n)]
        values = []
        for k in range(n):
            value = Signal(signed(self.format.width), name=f"unsorted{k}", reset_less=True)
            small = o.small if k in unused else C(0)
            m.d.sync += value.eq(Mux(o.saturated, 0, Mux(small, largest, o["values"][k])))
            values.append(value)
        pairs = sorted_pairs(m, values)
        valid, saturated = Signal(delay + n), Signal(delay)
        m.d.sync += [
            valid.eq(Cat(self.ring.o_valid, valid)),
            saturated.eq(Cat(o.saturated, saturated)),
        ]
        return pairs, valid, saturated[-1]

    def _pairs(
        self, m: Module, platform: Any, depth: int, pairs: Any, arrived: Any, saturated: Any
    ) -> Any:
        """Eigenvalues with their eigenvectors, one pair after the other through one queue into the
        output; whether those of a matrix are complete."""
        n, f, interval = self.n, self.format.f, self.ring.schedule.interval
        vectors = self.ring.o.vectors
        # The ring's own register may change before the last column is read.
        for level in range(1, -(-(self._sorting + 1 + n) // interval)):
            register = Signal.like(vectors, name=f"vectors{level}", reset_less=True)
            with m.If(arrived[level * interval - 2]):
                m.d.sync += register.eq(vectors)
            vectors = register

        turns = list(arrived[self._sorting - 1 :][:n])
        # For each part of a column, since it chooses all bits of that.
        origin = one_of(turns, [position for _, position in pairs])
        origins = zip(
            *(copies(m, bit, 2 * n, platform, name=f"origin{k}_") for k, bit in enumerate(origin)),
            strict=True,
        )
        value = Signal(signed(self.format.width), reset_less=True)
        following = Signal.like(value)
        is_zero, is_pair = Signal(2, reset_less=True), Signal(3)
        m.d.sync += [
            value.eq(one_of(turns, [v for v, _ in pairs])),
            following.eq(value),
            is_zero.eq(Cat(saturated, is_zero)),
            is_pair.eq(Cat(Cat(turns).any(), is_pair)),
        ]
        shift, column = self.format.fraction - f, []
        parts = itertools.product(range(n), ("re", "im"))
        for (i, part), bits in zip(parts, origins, strict=True):
            chosen = Signal(signed(self.format.width), name=f"column_{part}{i}", reset_less=True)
            m.d.sync += chosen.eq(Array(vectors[i][j][part] for j in range(n))[Cat(bits)])
            rounded = round_shift(chosen, shift)[: f + 2]
            column.append(rounded & ~is_zero[1].replicate(f + 2))

        whole = Cat(following, *column)
        pair = Signal(len(whole), reset_less=True)
        m.d.sync += pair.eq(whole)
        memory = Memory(
            shape=len(pair), depth=n * depth, init=[], attrs={"ram_style": "distributed"}
        )
        m.submodules.pairs = memory
        write, read = memory.write_port(), memory.read_port(domain="comb")
        entering, ending = (_place(m, n * depth, is_pair[2]) for _ in range(2))
        leaving = Signal(range(n * depth))
        m.d.comb += [
            write.addr.eq(entering),
            write.data.eq(pair),
            write.en.eq(1),
            read.addr.eq(leaving),
        ]
        # Whose turn it is to come out; the first one's also when all leave.
        turn, there, waiting = Signal(n, init=1, attrs={"keep": 1}), Signal(), Signal()
        begins = there & self.o.ready
        now = Cat(turn[0] | begins, turn[1:])
        moves = waiting & now.any()
        leaves = leaving + 1
        m.d.sync += [
            leaving.eq(Mux(moves, leaves, leaving)),
            waiting.eq(Mux(moves, ending != leaves[: len(ending)], ending != leaving)),
        ]
        with m.If(moves):
            m.d.sync += [turn.eq(Cat(C(0, 1), now)), there.eq(now[-1])]
        with m.Elif(begins):
            m.d.sync += [turn.eq(1), there.eq(0)]
        o, width = Signal.like(self.o.payload, reset_less=True), self.format.width
        m.d.comb += [self.o.payload[name].eq(o[name]) for name in ("values", "vectors")]
        for k in range(n):
            with m.If(now[k]):
                m.d.sync += o["values"][k].eq(read.data[:width])
                for place, (i, part) in enumerate(itertools.product(range(n), ("re", "im"))):
                    entry = read.data[width:].word_select(place, f + 2)
                    m.d.sync += o.vectors[i][k][part].eq(entry)
        return there


def _place(m: Module, depth: int, moves: Any) -> Any:
    """A place in a queue, the next one after each cycle in which it `moves`."""
    place = Signal(range(depth), attrs={"keep": 1})
    m.d.sync += place.eq(place + moves)
    return place


def _queue(m: Module, entering: Any, ending: Any, value: Any, of: Any, ready: Any) -> Any:
    """A queue from `value` to a register that is `of`, and whether that is valid.

    `value` is written to `entering` in every cycle, and stays once that moves on. Words before
    `ending` are complete: they go to `of` in turn, and leave when `ready`. In distributed memory: a
    block memory would be slower. Kept apart from queues that do the same.
    """
    depth = 1 << len(ending)
    memory = Memory(shape=len(value), depth=depth, init=[], attrs={"ram_style": "distributed"})
    m.submodules += memory
    write, read = memory.write_port(), memory.read_port(domain="comb")
    leaving, valid = Signal(range(depth), attrs={"keep": 1}), Signal(attrs={"keep": 1})
    register = Signal.like(of, reset_less=True)
    m.d.comb += [write.addr.eq(entering), write.data.eq(value), write.en.eq(1)]
    m.d.comb += [read.addr.eq(leaving), of.eq(register)]
    with m.If(~valid | ready):
        waiting = ending != leaving
        m.d.sync += [valid.eq(waiting), leaving.eq(leaving + waiting), register.eq(read.data)]
    return valid
