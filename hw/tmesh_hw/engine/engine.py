"""The engine: commands in, replies out, states resident."""

import operator
from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh import packets
from tmesh.config import CoreConfig
from tmesh.errors import InvalidInput
from tmesh.opcodes import Opcode
from tmesh.packets import INTEGER, Command, Counter, Status

from tmesh_hw.blocks import BlockMemory, Queue
from tmesh_hw.engine.matrices import Matrices
from tmesh_hw.engine.resident import Resident, read_latency
from tmesh_hw.engine.rest import resting
from tmesh_hw.engine.rounds import Rounds
from tmesh_hw.engine.words import BundleReader, ReplyWriter, word_layout
from tmesh_hw.numbers import copies, one_of

#: Bits of the header of a command.
HEADER = 8 * packets.HEADER.itemsize

#: Coefficients of an operator that the lanes take: all but the weights.
COEFFICIENTS = 6 * packets.ROW_LENGTH


class Engine(wiring.Component):
    """Executes the packets of `tmesh.packets` one after another; replies in the same order.

    GOSSIP streams bundles through `Resident`, one a cycle where the link is wide enough. Its reply
    comes when the last result is written. An operator other than the last one used is loaded first,
    in 96 cycles. `Rounds` of agents overlap with those after them, and so do `Matrices`; all other
    commands wait for them, and take a cycle for each of their words and a few more.

    Parameters
    ----------
    config: the core configuration. digest: identifies the build, 128 bits.

    Members
    -------
    i, o: streams of ``{data: link, last: 1}``
    """

    def __init__(self, *, config: CoreConfig, digest: int = 0) -> None:
        if not 0 <= operator.index(digest) < 1 << 128:
            raise InvalidInput(f"digest must have 128 bits, not {digest!r}")
        self.config, self.digest = config, digest
        self._resident = Resident(f=config.f, lanes=config.gossip_lanes, rows=config.rows)
        word = stream.Signature(word_layout(config.link))
        super().__init__({"i": In(word), "o": Out(word)})

    @property
    def interval(self) -> float:
        """Cycles between updated states."""
        return 1 / self.config.gossip_lanes

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        # Whether words are bundles; a register, since it is on the way of every word.
        self._streams = Signal()
        m.submodules.resident = resident = self._resident
        # A state is written a cycle after EXECUTE.
        self._writes = Signal()
        m.d.sync += self._writes.eq(0)
        m.submodules.bundles = bundles = self._bundles = BundleReader(
            link=config.link, lanes=config.gossip_lanes, rows=config.rows
        )
        results = config.f + 2 if config.lanes else 0
        m.submodules.replies = self._replies = ReplyWriter(link=config.link, results=results)
        overlapping: list[tuple[Any, tuple[Command, ...]]] = []
        if config.rounds:
            rounds = self._rounds = Rounds(config=config)
            # None is in progress while bundles are.
            awake = Signal(init=1)
            m.d.sync += awake.eq(~self._streams)
            m.submodules.rounds = resting(rounds, awake, platform)
            overlapping.append((rounds.idle, packets.ROUNDS))
        if config.lanes:
            m.submodules.matrices = matrices = self._matrices = Matrices(config=config)
            self._asks = Signal()
            overlapping.append((matrices.idle, (Command.MATRIX,)))
        wiring.connect(m, bundles.o, resident.i)
        m.d.sync += bundles.start.eq(0)
        m.submodules.into = into = Queue(word_layout(config.link), depth=4)
        wiring.connect(m, wiring.flipped(self.i), into.i)
        wiring.connect(m, self._replies.o, wiring.flipped(self.o))
        self._words = into.o

        header = {n: 8 * packets.HEADER[n].itemsize for n in packets.HEADER.names or ()}
        self._head = Signal(data.StructLayout(header))
        self._body = Signal(
            data.ArrayLayout(signed(config.f + 2), self._body_length), reset_less=True
        )
        self._came = Signal()
        self._shift_body(m, platform)
        answered = (Command.IDENTIFY, Command.COUNTER, Command.READ_STATE)
        self._answers = {
            command: Signal(name=f"answers_{command.name.lower()}", attrs={"keep": 1})
            for command in answered
        }
        self._status = Signal(Status)
        self._follows, self._is_round, self._is_loaded = (
            Signal(name=name) for name in ("follows", "is_round", "is_loaded")
        )
        self._look_up(m)
        self._value = Signal(data.ArrayLayout(signed(INTEGER), 4))  # body of the reply
        self._count, self._ended, self._fits = Signal(8), Signal(), Signal()
        self._fit = Signal(4 * (config.link // INTEGER))
        self._left, self._whole = Signal(range(packets.OPERANDS)), Signal()
        self._operators(m)
        self._counters(m)
        saturated = Signal()
        with m.If(resident.saturations != 0):
            m.d.sync += saturated.eq(1)
        m.d.comb += bundles.i.payload.eq(self._words.payload)
        self._answer(m)
        self._connect_states(m)
        reply = self._replies.i
        answer = reply.payload.reply
        # Commands of a kind overlap; all others wait for them.
        may_start, alone = Const(1), Const(1)
        for idle, commands in overlapping:
            may_start &= idle | self._is_any(*commands)
            alone &= idle
        m.d.comb += [
            answer.status.eq(self._status),
            answer.flags.eq(Mux(saturated, packets.SATURATED, 0)),
            answer.tag.eq(self._head.tag),
            answer.value.eq(Mux(self._is[Command.GOSSIP], bundles.count, 0)),
            answer.body.eq(self._value),
        ]
        with m.FSM():
            with m.State("HEADER"):
                self._receive_header(m)
            with m.State("LOOK_UP"):
                m.next = "DECODE"
            with m.State("DECODE"):
                self._decode(m)
            with m.State("START"):
                m.d.sync += saturated.eq(0)
                with m.If(may_start):
                    self._start(m)
            with m.State("BODY"):
                self._receive_body(m)
            with m.State("CHECK"):
                self._check_body(m)
            with m.State("EXECUTE"):
                self._execute(m)
            with m.State("LOAD"):
                self._load(m)
            with m.State("BUNDLES"), m.If(~self._streams):
                m.next = "DRAIN"
            with m.State("DRAIN"), m.If(bundles.empty & resident.idle):
                m.d.sync += self._status.eq(bundles.status)
                m.next = "REPLY"
            if config.rounds:
                with m.State("ROUND"):
                    m.d.comb += [
                        rounds.i.valid.eq(self._words.valid),
                        self._words.ready.eq(rounds.i.ready),
                    ]
                    with m.If(rounds.done):
                        m.d.sync += [self._status.eq(rounds.status), self._ended.eq(rounds.ended)]
                        m.next = "SKIP"
                        with m.If(rounds.status == Status.OK):
                            m.next = "HEADER"
            with m.State("SKIP"):
                m.d.comb += self._words.ready.eq(~self._ended)
                with m.If(self._ended | (self._words.valid & self._words.payload.last)):
                    m.next = "REPLY"
            with m.State("REPLY"):
                m.d.sync += self._count.eq(0)
                # A refused command is answered in order: wait until earlier commands have finished.
                with m.If(alone):
                    m.d.comb += reply.valid.eq(1)
                    with m.If(reply.ready):
                        m.next = "HEADER"
        m.d.comb += bundles.i.valid.eq(self._words.valid & self._streams)
        with m.If(self._streams):
            m.d.comb += self._words.ready.eq(bundles.i.ready)
            with m.If(self._words.valid & bundles.i.ready & self._words.payload.last):
                m.d.sync += self._streams.eq(0)
        if config.rounds:
            with m.If(~rounds.idle):
                m.d.comb += [
                    answer.eq(rounds.o.payload),
                    reply.valid.eq(rounds.o.valid),
                    rounds.o.ready.eq(reply.ready),
                ]
        if config.lanes:
            command = matrices.i.payload
            m.d.comb += [
                matrices.i.valid.eq(self._asks),
                command.tag.eq(self._head.tag),
                command.command.opcode.eq(self._head.argument),
                Cat(command.command.u, command.command.x).eq(self._body.as_value()),
                reply.payload.results.eq(matrices.o.payload.results),
            ]
            with m.If(~matrices.idle):
                m.d.comb += [
                    answer.eq(matrices.o.payload.reply),
                    reply.payload.long.eq(1),
                    reply.valid.eq(matrices.o.valid),
                    matrices.o.ready.eq(reply.ready),
                ]
        return m

    def _connect_states(self, m: Module) -> None:
        """READ_STATE and WRITE_STATE read and write states, and so do rounds, at other times."""
        resident, argument = self._resident, self._head.argument
        place, reads = Signal(resident.read.place.shape()), self._is[Command.READ_STATE]
        m.d.comb += [
            place.row.eq(argument[: packets.ROW_BITS]),
            place.bank.eq(argument[packets.ROW_BITS :]),
            resident.read.valid.eq(reads),
            resident.read.place.eq(place),
            resident.write.valid.eq(self._writes),
            resident.write.place.eq(place),
            # A state has four integers; the body shifts in from above.
            *(resident.write.r[n].eq(self._body[self._body_length - 4 + n]) for n in range(3)),
        ]
        if self.config.rounds:
            rounds = self._rounds
            m.d.comb += [
                rounds.i.payload.eq(self._words.payload),
                rounds.r.eq(resident.r),
                rounds.start.command.eq(self._head.command),
                rounds.start.tag.eq(self._head.tag),
                rounds.start.place.eq(place),
            ]
            with m.If(~reads):
                m.d.comb += resident.read.eq(rounds.read)
            with m.If(~self._writes):
                m.d.comb += resident.write.eq(rounds.write)

    def _receive_header(self, m: Module) -> None:
        words = max(1, HEADER // self.config.link)
        m.d.comb += self._words.ready.eq(1)
        with m.If(self._words.valid):
            part = self._head.as_value().word_select(self._count[:1], HEADER // words)
            m.d.sync += [
                (part if words > 1 else self._head.as_value()).eq(self._words.payload.data),
                self._ended.eq(self._words.payload.last),
                self._count.eq(self._count + 1),
            ]
            with m.If(self._words.payload.last | (self._count == words - 1)):
                m.next = "LOOK_UP"

    def _look_up(self, m: Module) -> None:
        """The content of a header, a cycle after it: its command, and whether its argument names an
        existing object."""
        config, head = self.config, self._head
        row, bank = head.argument[: packets.ROW_BITS], head.argument[packets.ROW_BITS :]
        agent = (row < config.rows) & (bank < config.gossip_lanes)
        operator_row = head.argument[: packets.OPERATOR_SHIFT]
        number = head.argument[packets.OPERATOR_SHIFT :]
        coefficients = (operator_row < packets.OPERATOR_ROWS) & (number < config.operators)
        named: dict[Command, Any] = {
            Command.IDENTIFY: head.argument < len(self._identity),
            Command.RESET: 1,
            Command.COUNTER: head.argument < len(Counter),
            Command.READ_STATE: agent,
            Command.WRITE_STATE: agent,
            Command.WRITE_OPERATOR: coefficients,
            Command.GOSSIP: head.argument < config.operators,
        }
        if config.rounds:
            named |= dict.fromkeys(packets.ROUNDS, agent)
        if config.lanes:
            known = [code for code in Opcode if config.has(code)]
            named[Command.MATRIX] = Cat(head.argument == code for code in known).any()
        self._is, self._names = (
            {command: Signal(name=f"{verb}_{command.name.lower()}") for command in named}
            for verb in ("is", "names")
        )
        for command, argument in named.items():
            m.d.sync += [
                self._is[command].eq(head.command == command),
                self._names[command].eq(argument),
            ]

    def _decode(self, m: Module) -> None:
        """Find the errors of a header, before any effect."""
        config, head, verdict = self.config, self._head, Signal(Status)
        without_body = {Command.IDENTIFY, Command.RESET, Command.COUNTER}
        without_body |= {Command.READ_STATE, Command.OBSERVE}
        follows = Cat(flag for c, flag in self._is.items() if c not in without_body).any()
        there = Cat(flag & self._names[c] for c, flag in self._is.items()).any()
        complete = self._count == max(1, HEADER // config.link)
        with m.If(~complete):
            m.d.comb += verdict.eq(Status.BAD_LENGTH)
        with m.Elif(head.version != packets.VERSION):
            m.d.comb += verdict.eq(Status.BAD_VERSION)
        with m.Elif(~Cat(self._is.values()).any()):
            m.d.comb += verdict.eq(Status.UNKNOWN_COMMAND)
        with m.Elif(follows == self._ended):
            m.d.comb += verdict.eq(Status.BAD_LENGTH)
        with m.Elif(~there):
            m.d.comb += verdict.eq(Status.BAD_ADDRESS)
        each = config.link // INTEGER
        words = Mux(self._is[Command.WRITE_STATE], 4 // each, packets.ROW_LENGTH // each)
        if config.lanes:
            words = Mux(self._is[Command.MATRIX], packets.OPERANDS // each, words)
        m.d.sync += [
            self._status.eq(verdict),
            self._follows.eq(follows),
            self._is_round.eq(self._is_any(*packets.ROUNDS)),
            self._is_loaded.eq(self._loaded_valid & (self._loaded == head.argument)),
            self._left.eq(words - 1),
        ]
        m.next = "START"

    def _is_any(self, *commands: Command) -> Any:
        """Whether the command is one of these."""
        return Cat(self._is[command] for command in commands if command in self._is).any()

    def _start(self, m: Module) -> None:
        """Execute what is good, once what it must wait for has ended."""
        m.d.sync += [self._bundles.start.eq(1), self._count.eq(0), self._fits.eq(1)]
        m.d.sync += [answers.eq(0) for answers in self._answers.values()]
        with m.If(self._status != Status.OK):
            m.next = "SKIP"
        if self.config.rounds:
            with m.Elif(self._is_round):
                m.d.comb += self._rounds.start.valid.eq(1)
                m.next = "ROUND"
        with m.Elif(self._is[Command.GOSSIP]):
            with m.If(self._is_loaded):
                m.d.sync += self._streams.eq(1)
                m.next = "BUNDLES"
            with m.Else():
                m.next = "LOAD"
        with m.Elif(self._follows):
            m.next = "BODY"
        with m.Else():
            m.next = "EXECUTE"

    def _receive_body(self, m: Module) -> None:
        """Integers, for `_shift_body`, which takes the last one during EXECUTE."""
        word, f = self._words.payload.data, self.config.f
        integers = [word[n : n + INTEGER] for n in range(0, self.config.link, INTEGER)]
        m.d.comb += self._words.ready.eq(1)
        # A word is checked in two cycles, the last one during CHECK: half by half, then all.
        middle = (f + 1 + INTEGER) // 2
        halves = [half for v in integers for half in (v[f + 1 : middle], v[middle:])]
        m.d.sync += self._fit.eq(Cat(bit for half in halves for bit in (half.all(), half.any())))
        with m.If(self._came):
            m.d.sync += self._fits.eq(self._fits & self._word_fits)
        with m.If(self._words.valid):
            m.d.sync += [
                self._came.eq(1),
                self._ended.eq(self._words.payload.last),
                self._left.eq(self._left - 1),
                self._whole.eq(self._left == 0),
            ]
            with m.If(self._words.payload.last | (self._left == 0)):
                m.next = "CHECK"

    @property
    def _word_fits(self) -> Any:
        """Whether all integers of the last word do: all bits above their sign equal it."""
        parts = [self._fit[n : n + 4] for n in range(0, len(self._fit), 4)]
        return Cat((all0 & all1) | ~(any0 | any1) for all0, any0, all1, any1 in parts).all()

    def _shift_body(self, m: Module, platform: Any) -> None:
        """The word of two cycles ago enters the body from above."""
        low = Signal(self.config.link // INTEGER * (self.config.f + 2), reset_less=True)
        late = Signal.like(low)
        word = self._words.payload.data
        integers = [word[n : n + INTEGER] for n in range(0, self.config.link, INTEGER)]
        m.d.sync += [
            self._came.eq(0),
            low.eq(Cat(value[: self.config.f + 2] for value in integers)),
            late.eq(low),
        ]
        bits, above = self._body.as_value(), Cat(self._body, late)[len(late) :]
        # A register for every part: it is a wide one.
        shifts = copies(m, self._came, self._body_length // 8, platform, name="shifts")
        part = -(-len(bits) // len(shifts))
        for n, shift in enumerate(shifts):
            with m.If(shift):
                where = slice(part * n, part * (n + 1))
                m.d.sync += bits[where].eq(above[where])

    @property
    def _body_length(self) -> int:
        """Integers of the longest body that is kept."""
        return packets.OPERANDS if self.config.lanes else packets.ROW_LENGTH

    def _check_body(self, m: Module) -> None:
        m.d.sync += self._count.eq(0)
        with m.If(~(self._ended & self._whole)):
            m.d.sync += self._status.eq(Status.BAD_LENGTH)
            m.next = "SKIP"
        with m.Elif(~(self._fits & self._word_fits)):
            m.d.sync += self._status.eq(Status.BAD_VALUE)
            m.next = "SKIP"
        with m.Else():
            m.next = "EXECUTE"

    def _execute(self, m: Module) -> None:
        """All but GOSSIP and rounds. The packet has ended; a MATRIX is answered later, by
        `Matrices`."""
        count, of = self._count, self._is
        m.d.sync += count.eq(count + 1)
        m.d.sync += [answers.eq(of[command]) for command, answers in self._answers.items()]
        m.d.comb += self._reset.eq(of[Command.RESET])
        m.d.sync += self._writes.eq(of[Command.WRITE_STATE])
        with m.If(
            self._is_any(Command.IDENTIFY, Command.COUNTER, Command.RESET, Command.WRITE_STATE)
        ):
            m.next = "REPLY"
        with m.If(of[Command.READ_STATE] & _reaches(count, read_latency(self.config.gossip_lanes))):
            m.next = "REPLY"
        with m.If(of[Command.WRITE_OPERATOR]):
            m.d.sync += [self._row.eq(1), self._loaded_valid.eq(0)]
            with m.If(_reaches(count, packets.ROW_LENGTH - 1)):
                m.next = "REPLY"
        if self.config.lanes:
            # Asked for a cycle later, when the body is complete.
            with m.If(of[Command.MATRIX]):
                m.d.sync += self._asks.eq(1)
                with m.If(self._asks & self._matrices.i.ready):
                    m.d.sync += [self._asks.eq(0), count.eq(0)]
                    m.next = "HEADER"

    def _answer(self, m: Module) -> None:
        """The body of a reply, two cycles after EXECUTE at the latest: that is when `ReplyWriter`
        takes it at the soonest. The requested value, or zero; by gates, since it is wide."""
        argument, size = self._head.argument, 4 * INTEGER
        chosen = [Signal(name=f"chosen{n}", attrs={"keep": 1}) for n in range(len(self._counts))]
        m.d.sync += [turn.eq(argument[:3] == n) for n, turn in enumerate(chosen)]
        count = Signal(2 * INTEGER, reset_less=True)
        m.d.sync += count.eq(one_of(chosen, self._counts))
        state = data.View(self._value.shape(), Signal(size, name="state", reset_less=True))
        m.d.sync += [state[n].eq(self._resident.r[n]) for n in range(3)]
        known = Signal(size, reset_less=True)
        m.d.sync += known.eq(Array(self._identity)[argument[:2]])
        bodies = {
            Command.IDENTIFY: known,
            Command.COUNTER: count,
            Command.READ_STATE: state.as_value(),
        }
        m.d.sync += self._value.eq(one_of(map(self._answers.__getitem__, bodies), bodies.values()))

    def _operators(self, m: Module) -> None:
        """Memory of the operators' coefficients; which operator the lanes have."""
        config = self.config
        depth = config.operators << 7
        width = config.f + 2
        m.submodules.operators = self._memory = memory = BlockMemory(width=width, depth=depth)
        # A row is written a coefficient a cycle, chosen from sixteen in two cycles.
        write, self._row, chosen = Signal.like(memory.write), Signal(), Signal()
        column, late = Signal(4), Signal(4)
        quarters = [Signal(signed(width), name=f"quarter{n}", reset_less=True) for n in range(4)]
        argument = self._head.argument
        row = [self._body[self._body_length - packets.ROW_LENGTH + n] for n in range(16)]
        m.d.sync += [
            self._row.eq(0),
            chosen.eq(self._row),
            write.valid.eq(chosen),
            column.eq(self._count),
            late.eq(column),
            write.address.eq(Cat(late, argument)),
            *(q.eq(Array(row[4 * n : 4 * n + 4])[column[:2]]) for n, q in enumerate(quarters)),
            write.value.eq(Array(quarters)[late[2:]]),
        ]
        # Rounds read operators too.
        m.d.comb += [memory.write.eq(write), memory.address.eq(Cat(self._count[:7], argument))]
        if config.rounds:
            m.d.comb += self._rounds.coefficient.eq(memory.value)
            with m.If(~self._rounds.idle):
                m.d.comb += memory.address.eq(self._rounds.address)
        self._loaded, self._loaded_valid = Signal(range(max(2, config.operators))), Signal()
        # Coefficients for the lanes that come in as many cycles.
        form, self._asked = self._resident.form, Signal(BlockMemory.latency)
        m.d.sync += self._asked.eq(self._asked << 1)
        m.d.comb += [form.valid.eq(self._asked[-1]), form.value.eq(memory.value)]

    def _load(self, m: Module) -> None:
        """Shift an operator into the lanes: a coefficient a cycle is asked for, and the last ones
        arrive before the first bundle does."""
        m.d.sync += [self._asked[0].eq(1), self._count.eq(self._count + 1)]
        with m.If(_reaches(self._count, COEFFICIENTS - 1)):
            m.d.sync += [self._loaded.eq(self._head.argument), self._loaded_valid.eq(1)]
            m.d.sync += self._streams.eq(1)
            m.next = "BUNDLES"

    def _counters(self, m: Module) -> None:
        resident, none = self._resident, Const(0)
        matrices = self._matrices.saturates if self.config.lanes else none
        rounds, waits, saturates = none, none, none
        if self.config.rounds:
            rounds, waits = self._rounds.write.valid, self._rounds.waits
            saturates = self._rounds.saturates
        self._reset, reset = Signal(), Signal(init=1)
        m.d.sync += reset.eq(self._reset)
        starved = self._bundles.i.ready & ~self._bundles.i.valid & ~resident.idle
        starved &= (resident.issued == 0) & ~resident.held
        steps = {
            Counter.CYCLES: Const(1),
            Counter.EVENTS: resident.issued,
            Counter.HELD: resident.held,
            Counter.STARVED: starved,
            Counter.SATURATIONS: resident.saturations + saturates + matrices,
            Counter.ROUNDS: rounds,
            Counter.WAITED: waits,
        }
        self._counts = []
        for counter in Counter:
            count = Signal(2 * INTEGER, name=counter.name.lower(), reset_less=True)
            # Two registers before a wide sum, since what counts is far from it; a count is read
            # later than that.
            step, late = (
                Signal(Value.cast(steps[counter]).shape(), name=f"{count.name}_{name}")
                for name in ("step", "late")
            )
            m.d.sync += [step.eq(steps[counter]), late.eq(step), count.eq(count + late)]
            with m.If(reset):
                m.d.sync += count.eq(0)
            self._counts.append(count)

    @property
    def _identity(self) -> list[Any]:
        """The answers of IDENTIFY."""
        c = self.config
        groups = [
            (packets.VERSION, c.f, c.gossip_lanes, c.link),
            (c.gossip_lanes * c.rows, c.operators, 0, 0),
        ]
        values = [sum(value << (INTEGER * n) for n, value in enumerate(g)) for g in groups]
        return [Const(value, 4 * INTEGER) for value in (*values, self.digest)]


def _reaches(count: Any, last: int) -> Any:
    """Whether `count`, which counts up from 0, is `last` for the first time: all ones of `last` are
    set."""
    return Cat(count[n] for n in range(last.bit_length()) if last >> n & 1).all()
