"""The microcoded engine's datapath: one multiplier, one accumulator, one memory."""

from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from tmesh.errors import InvalidInput
from tmesh.golden import pauli

from tmesh_hw.engine.microcode.instruction import (
    DEPTH,
    LAYOUT,
    PAGE,
    Access,
    Flow,
    Operand,
    Operation,
    Register,
)
from tmesh_hw.engine.microcode.memory import WIDTH, SinglePortMemory
from tmesh_hw.engine.words import word_layout
from tmesh_hw.numbers import round_shift, saturate

#: Bits of the words that the sequencer reads and writes.
LINK = 32

#: Bits of accumulator and divisor, and of a quotient.
ACCUMULATOR, QUOTIENT = 40, 24


class Sequencer(wiring.Component):
    """Runs a program of `tmesh_hw.engine.microcode.instruction`, one instruction a cycle.

    The next instruction is read while this one is executed; jumps test the accumulator before this
    one, or, for zero, before the last one. So nothing has to wait, and the engine has no delay
    slots.

    Parameters
    ----------
    f: fraction bits, at most 14. program: its words. table: constants, 16 bits each.
    depth: words of memory. operator: words of an operator.

    Members
    -------
    i, o: streams of ``{data: 32, last: 1}``
    """

    def __init__(
        self, *, f: int, program: list[int], table: list[int], depth: int, operator: int
    ) -> None:
        if not 8 <= f <= WIDTH - 2:
            raise InvalidInput(f"f must be from 8 to {WIDTH - 2}, not {f!r}")
        if depth > 1 << WIDTH:
            raise InvalidInput(f"depth must be at most {1 << WIDTH}, not {depth!r}")
        self.f, self.operator = f, operator
        self._program = Memory(shape=LAYOUT.size, depth=_power(len(program)), init=program)
        self._table = Memory(shape=signed(WIDTH), depth=_power(len(table)), init=table)
        self._memory = SinglePortMemory(depth=depth)
        word = stream.Signature(word_layout(LINK))
        super().__init__({"i": In(word), "o": Out(word)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.program = self._program
        self._fetched = self._program.read_port()
        #: The instruction that is executed, unless it has to wait.
        self._now = Signal(LAYOUT)
        self._advance = Signal()
        self._a = Signal(signed(ACCUMULATOR), reset_less=True)
        self._l = Signal(WIDTH, reset_less=True)
        self._p = Signal(range(self._memory.depth), reset_less=True)
        self._word = Signal(self.i.payload.shape(), reset_less=True)
        #: Something was clipped.
        self._clipped = Signal()
        m.d.comb += self._now.eq(self._fetched.data)
        self._access(m)
        self._accumulate(m)
        self._flow(m)
        return m

    def _access(self, m: Module) -> None:
        """Memory and table."""
        m.submodules.memory = memory = self._memory
        m.submodules.table = self._table
        self._constant = self._table.read_port()
        access, bits = self._now.access, (PAGE - 1).bit_length()
        page = Cat(self._now.immediate[:bits], Const(-1, len(self._p) - bits))
        direct = (access == Access.READ_AT) | (access == Access.WRITE_AT)
        writes = (access == Access.WRITE_NEXT) | (access == Access.WRITE_AT)
        m.d.comb += [
            memory.address.eq(Mux(direct, page, self._p)),
            memory.write.eq(writes),
            memory.enable.eq((access != Access.NONE) & self._advance),
            memory.data.eq(self._a),
            self._constant.addr.eq(self._p),
            self._constant.en.eq((access == Access.READ_NEXT) & self._advance),
        ]
        with m.If(self._advance):
            with m.If((access == Access.READ_NEXT) | (access == Access.WRITE_NEXT)):
                m.d.sync += self._p.eq(self._p + 1)
            with m.Elif(self._now.operation == Operation.POINT):
                m.d.sync += self._p.eq(self._a)

    def _product(self, m: Module) -> Any:
        """Operand times register, of the last word."""
        now, a = self._now, self._a
        constants = {
            Register.ONE: 1,
            Register.UNIT: 1 << self.f,
            Register.OPERATOR: self.operator,
        }
        registers = [
            Const(constants[r], signed(WIDTH))
            if r in constants
            else Signal(signed(WIDTH), name=f"register_{r.name.lower()}", reset_less=True)
            for r in Register
        ]
        store = self._advance & (now.operation == Operation.STORE)
        for r in Register:
            if r not in constants:
                with m.If(store & (now.register == r)):
                    m.d.sync += registers[r].eq(a)
        sources = {
            Operand.MEMORY: self._memory.q,
            Operand.IMMEDIATE: now.immediate.as_signed(),
            Operand.LOW: self._word.data[:WIDTH],
            Operand.HIGH: self._word.data[WIDTH:],
            Operand.TABLE: self._constant.data,
            Operand.POINTER: self._p,
            Operand.UNIT: Const(1 << self.f, WIDTH),
        }
        left, right = (Signal(signed(WIDTH), name=name) for name in ("left", "right"))
        m.d.comb += right.eq(Array(registers)[now.register])
        with m.Switch(now.operand):
            for operand, source in sources.items():
                with m.Case(operand):
                    m.d.comb += left.eq(source)
        # One register, in the multiplier: logic in there without one is not timed. No word that
        # waits has factors whose product is taken later.
        product = Signal(signed(2 * WIDTH), reset_less=True)
        m.d.sync += product.eq(left * right)
        return product

    def _accumulate(self, m: Module) -> None:
        """Accumulator, divisor and quotient."""
        a, operation = self._a, self._now.operation
        b = Signal(signed(ACCUMULATOR), reset_less=True)
        q, n = Signal(QUOTIENT, reset_less=True), Signal(WIDTH, reset_less=True)
        cycles = Signal(2 * LINK)
        m.d.sync += cycles.eq(cycles + 1)

        def among(*operations: Operation) -> Any:
            return Cat(operation == code for code in operations).any()

        # One adder: to zero, A or −A it adds the product or B, or subtracts them.
        product = self._product(m)
        divides = operation == Operation.DIVIDE
        addend = Signal(signed(ACCUMULATOR))
        with m.If(among(Operation.SET, Operation.ADD, Operation.SUBTRACT)):
            m.d.comb += addend.eq(product)
        with m.Elif(among(Operation.ADD_B, Operation.SUBTRACT_B, Operation.DIVIDE)):
            m.d.comb += addend.eq(b)
        subtracts = among(Operation.SUBTRACT, Operation.SUBTRACT_B, Operation.DIVIDE)
        negates = operation == Operation.NEGATE
        base = Mux(operation == Operation.SET, 0, a) ^ negates.replicate(len(a)).as_signed()
        flipped = addend ^ subtracts.replicate(len(a)).as_signed()
        total = Signal(signed(ACCUMULATOR))
        m.d.comb += total.eq(base + flipped + (subtracts | negates))
        enough = ~total[-1]
        shift = self.f + 1
        exact, beyond = saturate(a, WIDTH)
        _, far_beyond = saturate(a, WIDTH, pauli.SLACK)

        with m.If(self._advance):
            with m.If(divides):
                m.d.sync += q.eq(Cat(enough, q))
            with m.Elif(operation == Operation.CLEAR_Q):
                m.d.sync += q.eq(0)
            with m.If(operation == Operation.SET_N):
                m.d.sync += n.eq(self._memory.q)
            with m.Elif(operation == Operation.ROOT):
                m.d.sync += n.eq(n << 2)
            with m.If(operation == Operation.CLEAR_CYCLES):
                m.d.sync += cycles.eq(0)
            with m.Switch(operation):
                with m.Case(
                    Operation.SET,
                    Operation.ADD,
                    Operation.SUBTRACT,
                    Operation.NEGATE,
                    Operation.ADD_B,
                    Operation.SUBTRACT_B,
                ):
                    m.d.sync += a.eq(total)
                with m.Case(Operation.DOUBLE):
                    m.d.sync += a.eq(a << 1)
                with m.Case(Operation.QUADRUPLE):
                    m.d.sync += a.eq(a << 2)
                with m.Case(Operation.HALVE):
                    m.d.sync += a.eq(a >> 1)
                with m.Case(Operation.FLOOR):
                    m.d.sync += a.eq(a >> shift)
                with m.Case(Operation.ROUND):
                    m.d.sync += a.eq(round_shift(a, shift))
                with m.Case(Operation.SATURATE, Operation.SATURATE_SLACK, Operation.CLIP):
                    m.d.sync += a.eq(exact)
                with m.Case(Operation.DIVIDE):
                    m.d.sync += a.eq(Mux(enough, total, a) << 1)
                with m.Case(Operation.ROOT):
                    m.d.sync += [a.eq((a << 1) | n[-2:]), b.eq((q << 2) | 1)]
                with m.Case(Operation.SET_B):
                    m.d.sync += b.eq(a)
                with m.Case(Operation.FROM_B):
                    m.d.sync += a.eq(b)
                with m.Case(Operation.FROM_Q):
                    m.d.sync += a.eq(q)
                with m.Case(Operation.CYCLES):
                    m.d.sync += [a.eq(cycles[:LINK]), b.eq(cycles[LINK:])]

        clips = Mux(operation == Operation.SATURATE_SLACK, far_beyond, beyond)
        with m.If(self._advance):
            with m.If(among(Operation.SATURATE, Operation.SATURATE_SLACK) & clips):
                m.d.sync += self._clipped.eq(1)
            with m.Elif(self._now.flow == Flow.IF_SATURATED):
                m.d.sync += self._clipped.eq(0)

    def _flow(self, m: Module) -> None:
        """Which instruction is next, and the streams."""
        now, a, i, o = self._now, self._a, self.i, self.o
        address = len(self._fetched.addr)
        target = now.immediate[:address]
        place, following = Signal(address), Signal(address)
        calls = Signal(DEPTH * address, reset_less=True)
        #: The first instruction is being read.
        started = Signal()
        #: The memory has been cleared; a reset does not change that.
        warm = Signal(reset_less=True)
        puts = (now.flow == Flow.PUT) | (now.flow == Flow.PUT_LAST)
        high = self._word.data[WIDTH - 1 :]
        # A word late, since 40 bits take long to compare.
        zero = Signal(reset_less=True)
        m.d.sync += zero.eq(a == 0)
        m.d.comb += [
            i.ready.eq(started & (now.flow == Flow.GET)),
            o.valid.eq(started & puts),
            o.payload.data.eq(Cat(a[:WIDTH], self._memory.q)),
            o.payload.last.eq(now.flow == Flow.PUT_LAST),
            self._advance.eq(started & Mux(now.flow == Flow.GET, i.valid, Mux(puts, o.ready, 1))),
            following.eq(place + 1),
        ]
        conditions = {
            Flow.JUMP: Const(1, 1),
            Flow.IF_NEGATIVE: a[-1],
            Flow.IF_NOT_NEGATIVE: ~a[-1],
            Flow.IF_ZERO: zero,
            Flow.IF_NOT_ZERO: ~zero,
            Flow.IF_ODD: a[0],
            Flow.IF_LAST: self._word.last,
            Flow.IF_NOT_LAST: ~self._word.last,
            Flow.IF_FITS: high.all() | ~high.any(),
            Flow.IF_SATURATED: self._clipped,
            Flow.IF_WARM: warm,
            Flow.LOOP: self._l != 1,
            Flow.CALL: Const(1, 1),
        }
        taken = Signal()
        with m.Switch(now.flow):
            for flow, condition in conditions.items():
                with m.Case(flow):
                    m.d.comb += taken.eq(condition)
        next_place = Signal(address)
        with m.If(~started):
            m.d.comb += next_place.eq(0)
        with m.Elif(~self._advance):
            m.d.comb += next_place.eq(place)
        with m.Elif(now.flow == Flow.RETURN):
            m.d.comb += next_place.eq(calls[:address])
        with m.Elif(taken):
            m.d.comb += next_place.eq(target)
        with m.Else():
            m.d.comb += next_place.eq(following)
        m.d.comb += [self._fetched.addr.eq(next_place), self._fetched.en.eq(1)]
        m.d.sync += [place.eq(next_place), started.eq(1)]
        with m.If(self._advance):
            with m.If(now.operation == Operation.SET_L):
                m.d.sync += self._l.eq(a)
            with m.Elif(now.operation == Operation.REPEAT):
                m.d.sync += self._l.eq(now.immediate)
            with m.Elif(now.flow == Flow.LOOP):
                m.d.sync += self._l.eq(self._l - 1)
            with m.If(now.flow == Flow.CALL):
                m.d.sync += calls.eq(Cat(following, calls))
            with m.Elif(now.flow == Flow.RETURN):
                m.d.sync += calls.eq(calls >> address)
            with m.If(now.flow == Flow.GET):
                m.d.sync += [self._word.eq(i.payload), warm.eq(1)]


def _power(length: int) -> int:
    """The power of two that holds this number of words."""
    return 1 << max(1, (length - 1).bit_length())
