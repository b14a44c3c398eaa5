"""Packets, and the commands that are no arithmetic."""

from tmesh import packets
from tmesh.packets import Command, Counter, Status

from tmesh_hw.engine.microcode import layout
from tmesh_hw.engine.microcode.instruction import Access, Flow, Operand, Operation, Register
from tmesh_hw.engine.microcode.layout import Page
from tmesh_hw.engine.microcode.pieces import OTHER, READ, WRITE, Pieces, reading


class Commands(Pieces):
    """Packets, and the commands that are no arithmetic."""

    def _start(self) -> None:
        """All states and operators are 0 in the beginning, and stay what they are in a reset."""
        p = self._p
        p.branch(Flow.IF_WARM, "restart")
        self._constant(self._layout.used)
        p.do(Operation.SET_L)
        p.set(0)
        p.do(Operation.POINT)
        p.label("clear")
        p.emit(flow=Flow.LOOP, to="clear", **WRITE)
        p.label("restart")
        p.branch(Flow.CALL, "clear counters")
        p.branch(Flow.JUMP, "receive")
        p.label("reset")
        p.branch(Flow.IF_NOT_LAST, "bad length")
        p.branch(Flow.CALL, "clear counters")
        p.branch(Flow.JUMP, "reply")
        p.label("clear counters")
        self._point(Page.COUNTERS)
        p.emit(Operation.REPEAT, repeat=layout.COUNTERS)
        p.set(0)
        p.label("clear counter")
        p.emit(flow=Flow.LOOP, to="clear counter", **WRITE)
        p.emit(Operation.CLEAR_CYCLES, flow=Flow.RETURN)

    def _receive(self) -> None:
        """The header; then what the command says."""
        p = self._p
        p.label("receive")
        self._point(Page.STATUS)
        p.emit(Operation.REPEAT, repeat=layout.REPLY + 1)  # and the flags
        p.set(0)
        p.label("empty")
        p.emit(flow=Flow.LOOP, to="empty", **WRITE)
        # Whatever was clipped before is forgotten.
        p.branch(Flow.IF_SATURATED, "header")
        p.label("header")
        p.branch(Flow.GET)
        p.set(Operand.HIGH)
        p.write(Page.TAG)
        p.set(Operand.LOW, Register.OPERATOR)
        p.do(Operation.FLOOR)
        p.store(Register.COUNT)  # the version
        p.set(256, Register.COUNT)
        p.do(Operation.NEGATE)
        p.add(Operand.LOW)
        p.store(Register.COMMAND)
        p.branch(Flow.IF_LAST, "bad length")
        p.branch(Flow.GET)
        p.load(Register.COUNT)
        p.subtract(packets.VERSION)
        p.branch(Flow.IF_NOT_ZERO, "bad version")
        self._dispatch(
            {
                Command.IDENTIFY: "identify",
                Command.RESET: "reset",
                Command.COUNTER: "counter",
                Command.READ_STATE: "read state",
                Command.WRITE_STATE: "write state",
                Command.WRITE_OPERATOR: "write operator",
                Command.GOSSIP: "gossip",
                Command.UPDATE: "round",
                Command.INTERFERE: "round",
                Command.EVOLVE: "round",
                Command.OBSERVE: "observe",
            }
        )
        for status in (
            Status.UNKNOWN_COMMAND,
            Status.BAD_VERSION,
            Status.BAD_LENGTH,
            Status.BAD_ADDRESS,
            Status.BAD_VALUE,
        ):
            p.label(status.name.lower().replace("_", " "))
            p.set(status)
            p.branch(Flow.JUMP, "refuse")
        p.label("refuse")
        p.write(Page.STATUS)
        p.label("skip")
        p.branch(Flow.IF_LAST, "reply")
        p.branch(Flow.GET)
        p.branch(Flow.JUMP, "skip")

    def _reply(self) -> None:
        p = self._p
        p.label("reply")
        p.read(Page.FLAGS)
        p.set(Operand.MEMORY, Register.OPERATOR)
        p.emit(Operation.DOUBLE, **reading(Page.STATUS))
        p.add(Operand.MEMORY)
        p.write(Page.STATUS)
        self._point(Page.STATUS)
        p.emit(**READ)
        words = layout.REPLY // layout.INTEGER
        for n in range(words):
            p.set(Operand.MEMORY, **READ)
            last = n == words - 1
            p.emit(flow=Flow.PUT_LAST if last else Flow.PUT, **({} if last else READ))
        p.branch(Flow.JUMP, "receive")

        p.label("identify")
        p.branch(Flow.IF_NOT_LAST, "bad length")
        self._argument_below(3)
        p.set(Operand.LOW)
        self._shift(3)
        p.add(layout.identity(self._config.f))
        p.do(Operation.POINT)
        for n in range(layout.REPLY - layout.BODY):
            p.emit(**READ)
            p.set(Operand.TABLE)
            p.write(Page.BODY + n)
        p.branch(Flow.JUMP, "reply")

        p.label("counter")
        p.branch(Flow.IF_NOT_LAST, "bad length")
        self._argument_below(len(Counter))
        p.set(Operand.LOW)
        p.branch(Flow.IF_ZERO, "cycles")
        self._constant(self._layout.page(Page.COUNTERS))
        for _ in range(layout.COUNTER):
            p.add(Operand.LOW)
        p.do(Operation.POINT)
        for n in range(layout.COUNTER):
            p.emit(**READ)
            p.set(Operand.MEMORY)
            p.write(Page.BODY + n)
        p.branch(Flow.JUMP, "reply")
        p.label("cycles")
        p.do(Operation.CYCLES)
        self._put(self._body(0))
        p.do(Operation.FROM_B)
        self._put(self._body(1))
        p.branch(Flow.JUMP, "reply")

        # One more in the counter at P: four words, of which the lowest is the first.
        p.label("count")
        p.emit(access=Access.READ)
        p.set(Operand.MEMORY)
        p.add(1)
        p.emit(**WRITE)
        p.branch(Flow.IF_ZERO, "count")
        p.branch(Flow.RETURN)

        # A clipped value is counted, and flagged in the reply.
        p.label("note")
        p.branch(Flow.IF_SATURATED, "saturated")
        p.branch(Flow.RETURN)
        p.label("saturated")
        p.set(packets.SATURATED)
        p.write(Page.FLAGS)
        self._count(Counter.SATURATIONS, Flow.JUMP)

    def _gather(self) -> None:
        """A body of L integers, into the list."""
        p = self._p
        p.label("gather")
        self._point(Page.LIST)
        p.set(0)
        p.store(Register.COUNT)  # whether one does not fit
        p.label("integer")
        p.branch(Flow.GET)
        p.branch(Flow.IF_FITS, "fits")
        p.set(1)
        p.store(Register.COUNT)
        p.label("fits")
        p.set(Operand.LOW)
        p.emit(flow=Flow.IF_LAST, to="gathered", **WRITE)
        p.branch(Flow.LOOP, "integer")
        p.branch(Flow.JUMP, "bad length")
        p.label("gathered")
        p.branch(Flow.LOOP, "bad length")
        p.load(Register.COUNT)
        p.branch(Flow.IF_NOT_ZERO, "bad value")
        p.branch(Flow.RETURN)

        # A = where the state of the agent in W is.
        p.label("agent")
        self._argument_below(self._config.rows)
        p.set(Operand.LOW)
        p.emit(Operation.QUADRUPLE, flow=Flow.RETURN)

    def _states(self) -> None:
        p = self._p
        p.label("read state")
        p.branch(Flow.IF_NOT_LAST, "bad length")
        p.branch(Flow.CALL, "agent")
        p.do(Operation.POINT)
        for n in range(3):
            p.emit(**READ)
            p.set(Operand.MEMORY)
            self._put(self._body(n))
        p.branch(Flow.JUMP, "reply")

        p.label("write state")
        p.branch(Flow.IF_LAST, "bad length")
        p.branch(Flow.CALL, "agent")
        p.store(Register.PLACE)
        p.emit(Operation.REPEAT, repeat=4)
        p.branch(Flow.CALL, "gather")
        self._keep(Page.LIST, Register.PLACE)
        p.branch(Flow.JUMP, "reply")

        # The states at two places: own into the page, the other one into registers.
        for label, own, other in (
            ("load", Register.PLACE, Register.OTHER_PLACE),
            ("load exchanged", Register.OTHER_PLACE, Register.PLACE),
        ):
            p.label(label)
            p.load(own)
            p.do(Operation.POINT)
            for n in range(3):
                p.emit(**READ)
                p.set(Operand.MEMORY)
                p.write(Page.OWN + n)
            p.load(other)
            p.do(Operation.POINT)
            p.emit(**READ)
            for register in OTHER:
                p.set(Operand.MEMORY, **READ)
                p.store(register)
            p.branch(Flow.RETURN)

    def _write_operator(self) -> None:
        """A row, the coefficients without own last: those are needed last."""
        p = self._p
        p.label("write operator")
        p.branch(Flow.IF_LAST, "bad length")
        self._argument_below(packets.OPERATOR_ROWS * self._config.operators)
        self._constant(self._layout.operators)
        p.store(Register.PLACE)
        p.set(Operand.LOW)
        self._shift(4)
        p.add(1, Register.PLACE)
        p.store(Register.PLACE)
        p.emit(Operation.REPEAT, repeat=layout.ROW)
        p.branch(Flow.CALL, "gather")
        p.load(Register.PLACE)
        p.do(Operation.POINT)
        for n in (*range(4, layout.ROW), *range(4)):
            p.read(Page.LIST + n)
            p.set(Operand.MEMORY)
            p.emit(**WRITE)
        p.branch(Flow.JUMP, "reply")
