"""Matrices that follow each other around a ring of Jacobi steps."""

import functools
import itertools
import operator
from typing import Any

from amaranth import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.golden import jacobi
from tmesh.golden.cordic import CordicFormat

from tmesh_hw.blocks.cordic import Cordic
from tmesh_hw.eigen.schedule import Operation, Schedule
from tmesh_hw.eigen.timeline import Timeline, Word
from tmesh_hw.numbers import copies, matrix

#: Operands of which one is chosen in a cycle, where they are many.
GROUP = 8


class JacobiRing(wiring.Component):
    """All Jacobi steps of Hermitian n×n matrices, unsorted; `tmesh.golden.jacobi` in gates.

    Never stalls once a matrix has entered: the owner must have room for the result. ``i.ready`` is
    high in the one cycle of an interval in which the offered matrix enters; its result is valid for
    one cycle, ``latency(small)`` cycles later. See `HermitianJacobi` for the parameters.

    Members
    -------
    i: stream of ``{x: n×n Complex(f+2), small: 1, vectors: 1}``; `small`: only the leading 2×2;
       `vectors` low lets an iterative ring skip them
    o: ``{values: n signed, vectors: n×n Complex (columns), saturated: 1, small: 1}`` and `o_valid`
    """

    #: Cycles of an interval that leave one for whether a matrix may enter, also where it comes from
    #: a register that takes one every third cycle.
    UNHURRIED = 4

    def __init__(self, *, f: int, n: int, units: int, iterative: bool, vectors: bool) -> None:
        self.n, self.f, self.vectors = n, f, vectors
        self.format = CordicFormat(f)
        self._cordics = [Cordic(f=f, iterative=iterative) for _ in range(units)]
        # A register behind the sums that operands are, then the unit. With eigenvectors the choice
        # is among many, and in two cycles, which the steps of 4×4 have left.
        self._chosen_late = vectors and not iterative
        latency = 1 + self._chosen_late + self._cordics[0].latency
        occupancy = latency if iterative else 1
        self.schedule = Schedule(n, vectors, units, latency, occupancy)
        self.iterative = iterative
        width = self.format.width
        operand = data.StructLayout({"x": matrix(n, f + 2), "small": 1, "vectors": 1})
        result = {"values": data.ArrayLayout(signed(width), n)}
        if vectors:
            result["vectors"] = matrix(n, width)
        self.result = data.StructLayout({**result, "saturated": 1, "small": 1})
        super().__init__(
            {
                "i": In(stream.Signature(operand)),
                "o": Out(self.result),
                "o_valid": Out(1),
            }
        )

    def steps(self, small: bool, vectors: bool) -> int:
        """Steps of a matrix."""
        return 1 if small else jacobi.STEPS[self.n][vectors]

    @property
    def in_flight(self) -> int:
        """Matrices in the ring at a time."""
        return self.schedule.step // self.schedule.interval

    def shortest(self, small: bool, vectors: bool) -> int:
        """Cycles of a step; an iterative ring ends it when all needed results are complete."""
        if not self.iterative:
            return self.schedule.step
        return min(self._enough(small, vectors) + 2, self.schedule.interval)

    def latency(self, small: bool, vectors: bool) -> int:
        """Cycles from acceptance to the valid result."""
        decided = 0 if self.iterative else 1
        return decided + self.shortest(small, vectors) * self.steps(small, vectors) + 1

    def _enough(self, small: bool, vectors: bool) -> int:
        """The cycle of a step in which all operations that are needed have their results."""
        kinds = ["phase", "angle"]
        if not small:
            kinds += ["turn", "even", "odd"]
        if vectors:
            kinds += ["vector_turn", "vector_plane"]
        return self.schedule.finished(*kinds)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self._line = Timeline(m, self.schedule.interval, self.in_flight + 1, jumps=self.iterative)
        for u, unit in enumerate(self._cordics):
            m.submodules[f"cordic{u}"] = unit
        self._control(m)
        self._start(m)
        self._operate(m, platform)
        self._finish(m)
        return m

    def _control(self, m: Module) -> None:
        """Which matrix enters, stays, or leaves at the end of a step."""
        steps = self.steps(False, self.vectors)
        token = data.StructLayout(
            {"valid": 1, "step": range(steps), "small": 1, "vectors": 1, "saturated": 1}
        )
        line, last = self._line, self.schedule.step - 1
        self._token = Signal(token)
        self._tokens = around = line.word(self._token.as_value(), 0, reset=True)
        self._ending = ending = data.View(token, around.at(last))
        self._saturated = Signal()  # in this step; set by `_finish`
        self._command = Signal(self.i.payload.shape(), reset_less=True)
        self._entering, goes_on, leaves, accepted = (Signal() for _ in range(4))
        self._accepted = accepted

        def fate(token: Any) -> tuple[Any, Any]:
            done = token.small | (token.step == steps - 1)
            if self.vectors:
                done |= ~token.vectors & (token.step == self.steps(False, False) - 1)
            return token.valid & ~done, token.valid & done

        if self.iterative:
            stays, ends = fate(ending)
            m.d.comb += [
                goes_on.eq(stays),
                leaves.eq(ends & line.end),
                self._command.eq(self.i.payload),
                self._entering.eq(accepted),
            ]
            gate, occupied = line.end, goes_on
        else:
            # The same, decided two cycles ahead, so that registers drive what decisions drive.
            stays, ends = fate(data.View(token, around.at(last - 2)))
            occupied, ended = Signal(), Signal()
            m.d.sync += [
                occupied.eq(stays),
                ended.eq(ends),
                goes_on.eq(occupied),
                leaves.eq(ended & line.at(last - 1)),
                self._command.eq(self.i.payload),
                self._entering.eq(accepted),
            ]
            # Kept apart from the cycle itself, which drives the whole ring.
            gate = Signal(attrs={"keep": 1})
            m.d.sync += gate.eq(line.at(last - 2))

        # One that needs fewer steps must not follow one that needs more.
        command = self.i.payload
        wanted = Cat(command.small, command.vectors) if self.vectors else Cat(command.small)
        running, kind = Signal(range(self.in_flight + 2)), Signal.like(wanted)
        empty = Signal(init=1)
        may = self.i.valid & (empty | (wanted == kind))
        if not self.iterative and self.schedule.interval >= self.UNHURRIED:
            # Decided in the cycle before: this signal drives the whole ring.
            decided = Signal()
            m.d.sync += decided.eq(may & ~accepted)
            may = decided
        m.d.comb += [
            accepted.eq(gate & ~occupied & may),
            self.i.ready.eq(accepted),
        ]
        m.d.sync += [
            running.eq(running + accepted - leaves),
            empty.eq((running == 0) & ~accepted),
            self.o_valid.eq(leaves),
        ]
        with m.If(accepted):
            m.d.sync += kind.eq(wanted)
        command = self._command
        with m.If(line.end):
            m.d.sync += [
                self._token.valid.eq(self._entering | goes_on),
                self._token.step.eq(Mux(self._entering, 0, ending.step + 1)),
                self._token.small.eq(Mux(self._entering, command.small, ending.small)),
                self._token.vectors.eq(Mux(self._entering, command.vectors, ending.vectors)),
                self._token.saturated.eq(~self._entering & (ending.saturated | self._saturated)),
            ]
        self._issuing = Signal(init=1)
        if self.iterative:
            self._skip(m)
        else:
            m.d.comb += self._issuing.eq(1)

    def _skip(self, m: Module) -> None:
        """One matrix in flight: the phase jumps over operations that are not needed."""
        token, phase, skip = self._token, self._line.phase, Signal()
        last = self.schedule.interval - 1
        for small, vectors in itertools.product((0, 1), (0, 1) if self.vectors else (0,)):
            enough = self._enough(bool(small), bool(vectors))
            wanted = (token.small == small) & ((token.vectors & self.vectors) == vectors)
            if enough < last:
                with m.If(wanted & (phase == enough)):
                    m.d.comb += skip.eq(1)
        m.d.comb += self._issuing.eq(token.valid & ~skip)
        with m.If(skip | (~token.valid & (phase == 0))):
            m.d.sync += phase.eq(last)

    def _start(self, m: Module) -> None:
        """The words of a matrix at the start of a step, from the input or from around."""
        n, scale = self.n, self.format.fraction - self.f
        one = 1 << self.format.fraction
        x = self._command.x
        self._around: dict[Any, Any] = {}
        self._words: dict[Any, Word] = {}
        entries: dict[Any, Any] = {("re", i, i): x[i][i].re for i in range(n)}
        for i, j in itertools.combinations(range(n), 2):
            entries["re", i, j], entries["im", i, j] = x[i][j].re, x[i][j].im
        for key, entry in entries.items():
            self._register(m, key, (entry << scale).as_signed())
        if self.vectors:
            for i, j in itertools.product(range(n), range(n)):
                self._register(m, ("vector_re", i, j), one if i == j else 0)
                self._register(m, ("vector_im", i, j), 0)

    def _chooses(self, m: Module) -> Any:
        """`entering` for a register; one bit for a few of them, kept apart."""
        if self.iterative:
            return self._entering
        if len(self._around) % self._line.SHARED == 0:
            self._enters = Signal(name="enters", attrs={"keep": 1})
            m.d.sync += self._enters.eq(self._accepted)
        return self._enters

    def _register(self, m: Module, key: Any, entering: Any) -> None:
        width = self.format.width
        register = Signal(signed(width), name="_".join(map(str, key)), reset_less=True)
        around = Signal(signed(width), name="around_" + "_".join(map(str, key)))
        chooses = self._chooses(m)
        with m.If(self._line.end):
            m.d.sync += register.eq(Mux(chooses, entering, around))
        self._around[key] = around
        self._words[key] = self._line.word(register, 0)

    def _operate(self, m: Module, platform: Any) -> None:
        """Operands to the units, results to words."""
        schedule, line = self.schedule, self._line
        self._results: dict[Operation, dict[str, Word]] = {}
        self._spared: dict[int, Word] = {}
        issues: list[dict[int, Any]] = [{} for _ in self._cordics]
        for operation, (u, time) in schedule.places.items():
            x, y, z = self._operands(operation, time)
            vectoring = operation.kind in ("phase", "angle")
            issues[u][time % schedule.interval] = x, y, z, vectoring
            o, ready = self._cordics[u].o.payload, time + schedule.latency
            self._results[operation] = {w: line.word(o[w], ready) for w in ("x", "y", "z")}
            if operation.kind == "phase" and jacobi.SPARED[self.n]:
                self._spared[operation.index[0]] = self._spares(self._results[operation]["x"])
        for u, (unit, cases) in enumerate(zip(self._cordics, issues, strict=True)):
            # For each of the three words, since one chooses all bits of it.
            now = [
                copies(m, line.at(p) & self._issuing, 3, platform, name=f"now{u}_{p}_")
                for p in cases
            ]
            for k, name in enumerate(("x", "y", "z", "vectoring")):
                word, prepared = unit.i.payload[name], []
                for case in cases.values():
                    register = Signal(word.shape(), reset_less=True)
                    m.d.sync += register.eq(case[k])
                    prepared.append(register)
                turns = [(of[k % 3], value) for of, value in zip(now, prepared, strict=True)]
                chosen = self._in_groups(m, turns) if self._chosen_late else _one_of(turns, word)
                m.d.comb += word.eq(chosen)
            m.d["sync" if self._chosen_late else "comb"] += unit.i.valid.eq(
                Cat(of[0] for of in now).any()
            )
            m.d.comb += unit.o.ready.eq(1)

    @staticmethod
    def _in_groups(m: Module, turns: list[tuple[Any, Any]]) -> Any:
        """The same as `_one_of` a cycle later: registers of a group each are zero but for one."""
        registers = []
        for first in range(0, len(turns), GROUP):
            register = Signal.like(turns[first][1])
            m.d.sync += register.eq(_one_of(turns[first : first + GROUP], register))
            registers.append(register)
        return functools.reduce(operator.or_, registers)

    def _spares(self, pivot: Word) -> Word:
        """Whether the step spares `pivot`: see `tmesh.golden.jacobi.SPARED`."""
        step = data.View(self._token.shape(), self._tokens.at(pivot.time)).step
        alone: Any = C(0)
        for first, bits in jacobi.spared_bits(self.n, self.format):
            high = pivot.at(pivot.time)[bits:]
            alone = Mux(step >= first, high.all() | ~high.any(), alone)
        return self._line.word(alone, pivot.time)

    def _operands(self, operation: Operation, time: int) -> tuple[Any, Any, Any]:
        """x, y and z of an operation that is issued in cycle `time`."""
        words, results, kind, index = self._words, self._results, operation.kind, operation.index

        def angle(kind: str, k: int) -> Any:
            z = results[self._find(kind, k)]["z"].at(time)
            return Mux(self._spared[k].at(time), 0, z) if kind == "angle" and self._spared else z

        if kind == "phase":
            p, q = 2 * index[0], 2 * index[0] + 1
            return words["re", p, q].at(time), words["im", p, q].at(time), 0
        if kind == "angle":
            p, q = 2 * index[0], 2 * index[0] + 1
            a, b = words["re", p, p].at(time), words["re", q, q].at(time)
            return (a - b) >> 1, results[operation.needs[0]]["x"].at(time), 0
        if kind == "turn":
            i, j = index
            x, y = words["re", i, j].at(time), words["im", i, j].at(time)
            if i % 2 and j % 2:
                return x, y, angle("phase", i // 2) - angle("phase", j // 2)
            return x, y, angle("phase", i // 2) if i % 2 else ~angle("phase", j // 2)
        if kind in ("even", "odd"):
            a, b, c, d = (entry.at(time) for entry in self._block(*index))
            s, t = angle("angle", index[0]), angle("angle", index[1])
            if kind == "even":
                return (a + d) >> 1, (c - b) >> 1, (t - s) >> 1
            return (a - d) >> 1, (b + c) >> 1, ~((s + t) >> 1)
        i, k = index[:2]
        if kind == "vector_turn":
            x, y = (words[part, i, 2 * k + 1].at(time) for part in ("vector_re", "vector_im"))
            return x, y, ~angle("phase", k)
        name, word = (("vector_re", "x"), ("vector_im", "y"))[index[2]]
        turned = results[operation.needs[0]][word]
        return words[name, i, 2 * k].at(time), turned.at(time), ~(angle("angle", k) >> 1)

    def _find(self, kind: str, *index: int) -> Operation:
        """The scheduled operation with this kind and index."""
        return next(o for o in self._results if o.kind == kind and o.index == index)

    def _block(self, j: int, k: int, part: int) -> list[Word]:
        """Real or imaginary parts of the turned block between pairs j and k, row by row."""
        p, q = 2 * j, 2 * k
        name, word = (("re", "x"), ("im", "y"))[part]
        entries = ((p, q + 1), (p + 1, q), (p + 1, q + 1))
        turned = [self._results[self._find("turn", *entry)][word] for entry in entries]
        return [self._words[name, p, q], *turned]

    def _finish(self, m: Module) -> None:
        """The matrix after the step, permuted for the next one, and the result of the last."""
        after = {**self._diagonals(m), **self._blocks(), **self._turned_vectors()}
        places = jacobi.order(self.n)
        for (name, i, j), around in self._around.items():
            if name.startswith("vector"):
                m.d.comb += around.eq(after[name, i, places[j]])
            else:
                a, b = places[i], places[j]
                value = after[name, min(a, b), max(a, b)]
                m.d.comb += around.eq(~value if name == "im" and a > b else value)

        result = Signal(self.result, reset_less=True)
        m.d.comb += self.o.eq(result)
        with m.If(self._line.end):
            m.d.sync += [
                result.saturated.eq(self._ending.saturated | self._saturated),
                result.small.eq(self._ending.small),
            ]
            for (name, i, j), around in self._around.items():
                if name == "re" and i == j:
                    m.d.sync += result["values"][i].eq(around)
                elif name.startswith("vector"):
                    m.d.sync += result.vectors[i][j][name.removeprefix("vector_")].eq(around)

    def _diagonals(self, m: Module) -> dict[Any, Any]:
        """Mean ± half the distance of the eigenvalues of each pair, and a pivot of zero; a spared
        pair keeps its values and its pivot."""
        line, width, last = self._line, self.format.width, self.schedule.step - 1
        after: dict[Any, Any] = {}
        flags = []
        for k in range(self.n // 2):
            p, q = 2 * k, 2 * k + 1
            angle = self._find("angle", k)
            issued, distance = self.schedule.places[angle][1], self._results[angle]["x"]
            ready = distance.time
            total = self._words["re", p, p].at(issued) + self._words["re", q, q].at(issued)
            # In a register first: two sums in one cycle would be too slow.
            total = line.word(total, issued).at(issued + 1)
            low, high = (line.word((total + n) >> 1, issued + 1) for n in (0, 1))
            upper = low.at(ready) + distance.at(ready)
            lower = high.at(ready) - distance.at(ready)
            for i, value in ((p, upper), (q, lower)):
                value = value[:width].as_signed()
                if self._spared:
                    value = Mux(self._spared[k].at(ready), self._words["re", i, i].at(ready), value)
                kept = line.word(value, ready).at(last)
                after["re", i, i] = kept
                # Of a 2×2 only the first pair counts.
                whole = kept[self.format.fraction :].as_signed()
                outside = (whole < -jacobi.RANGE) | (whole >= jacobi.RANGE)
                flags.append(outside if k == 0 else outside & ~self._ending.small)
            after["re", p, q] = after["im", p, q] = C(0, signed(width))
            if self._spared:
                pivot = self._results[self._find("phase", k)]["x"].at(last)
                after["re", p, q] = Mux(self._spared[k].at(last), pivot, after["re", p, q])
        m.d.comb += self._saturated.eq(Cat(*flags).any())
        return after

    def _blocks(self) -> dict[Any, Any]:
        """The blocks between pairs, put together from their even and odd halves."""
        line, width, last = self._line, self.format.width, self.schedule.step - 1
        after: dict[Any, Any] = {}
        for j, k in itertools.combinations(range(self.n // 2), 2):
            p, q = 2 * j, 2 * k
            for part, name in enumerate(("re", "im")):
                even, odd = (self._results[self._find(w, j, k, part)] for w in ("even", "odd"))
                ready = max(even["x"].time, odd["x"].time)
                alpha, beta = even["x"].at(ready), even["y"].at(ready)
                gamma, delta = odd["x"].at(ready), odd["y"].at(ready)
                for row, column, value in (
                    (p, q, alpha + gamma),
                    (p + 1, q + 1, alpha - gamma),
                    (p, q + 1, delta - beta),
                    (p + 1, q, delta + beta),
                ):
                    fitted = value[:width].as_signed()
                    after[name, row, column] = line.word(fitted, ready).at(last)
        return after

    def _turned_vectors(self) -> dict[Any, Any]:
        """The columns of the eigenvectors."""
        after: dict[Any, Any] = {}
        if self.vectors:
            for i, k, part in itertools.product(range(self.n), range(self.n // 2), (0, 1)):
                plane = self._results[self._find("vector_plane", i, k, part)]
                name = ("vector_re", "vector_im")[part]
                after[name, i, 2 * k] = plane["x"].at(self.schedule.step - 1)
                after[name, i, 2 * k + 1] = plane["y"].at(self.schedule.step - 1)
        return after


def _one_of(choices: list[tuple[Any, Any]], like: Any) -> Any:
    """The value whose condition holds, in the shape of `like`; at most one does."""
    result: Any = C(0, len(Value.cast(like)))
    width = len(Value.cast(like))
    for condition, value in choices:
        wide = Value.cast(value)
        fitted = (
            wide[:width] if len(wide) >= width else Cat(wide, wide[-1].replicate(width - len(wide)))
        )
        result = result | (fitted & Value.cast(condition).replicate(width))
    return result
