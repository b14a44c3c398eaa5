"""What the microcoded engine runs: the packets of `tmesh.packets`, one after another.

The same integers as `tmesh.golden.engine`. A vector is three words, x, y, z; what is wider than a
word is stashed in two, of which the lower one has a sign.
"""

from typing import Any

from tmesh import packets
from tmesh.config import CoreConfig
from tmesh.golden import pauli, rounds
from tmesh.packets import Command, Counter, Status

from tmesh_hw.engine.microcode import layout
from tmesh_hw.engine.microcode.assembler import Assembler
from tmesh_hw.engine.microcode.instruction import Access, Flow, Operand, Operation, Register
from tmesh_hw.engine.microcode.layout import Layout, Page

_OTHER, _LEFT = (Register.X, Register.Y, Register.Z), (Register.U, Register.V, Register.W)
_READ: dict[str, Any] = {"access": Access.READ_NEXT}
_WRITE: dict[str, Any] = {"access": Access.WRITE_NEXT}


def _read(at: int) -> dict[str, Any]:
    """Reads the page in a word that does something else."""
    return {"access": Access.READ_AT, "at": at}


class Program:
    """The program of a configuration."""

    def __init__(self, config: CoreConfig) -> None:
        self._config, self._layout = config, Layout(config)
        self._p = Assembler()
        self._start()
        self._receive()
        self._reply()
        self._gather()
        self._states()
        self._write_operator()
        self._gossip()
        self._vector()
        self._row()
        self._renormalise()
        self._quotient()
        self._settle()
        self._round()
        self._update()
        self._interfere()
        self._evolve()
        self._observe()
        self._entropy()

    def words(self) -> list[int]:
        """Its words."""
        return self._p.words()

    # Pieces that are repeated.

    def _constant(self, value: int, operation: Operation = Operation.SET) -> None:
        """A = value, or A − value: of up to 16 bits, without sign."""
        high, low = divmod(value, layout.OPERATOR)
        self._p.emit(operation, high, Register.OPERATOR)
        if low:
            then = Operation.ADD if operation == Operation.SET else operation
            self._p.emit(then, low)

    def _point(self, at: int) -> None:
        """P to a word of the page."""
        self._constant(self._layout.page(at))
        self._p.do(Operation.POINT)

    def _put(self, at: int) -> None:
        """A as an integer of a reply."""
        p = self._p
        p.write(at)
        p.do(Operation.HALVE, Operation.FLOOR)
        p.write(at + 1)

    def _body(self, n: int) -> int:
        """An integer of the body of a reply."""
        return Page.BODY + layout.INTEGER * n

    def _stash(self, at: int) -> None:
        """A into two words; A is lost."""
        p = self._p
        p.write(at)
        p.read(at)
        p.subtract(Operand.MEMORY)
        p.do(Operation.HALVE, Operation.FLOOR)
        p.write(at + 1)

    def _unstash(self, at: int) -> None:
        """A from two words."""
        p = self._p
        p.read(at + 1)
        p.set(Operand.MEMORY, Register.UNIT)
        p.emit(Operation.QUADRUPLE, **_read(at))
        p.add(Operand.MEMORY)

    def _shift(self, places: int) -> None:
        """A · 2^places."""
        self._p.do(*[Operation.QUADRUPLE] * (places // 2), *[Operation.DOUBLE] * (places % 2))

    def _keep(self, source: int, place: Register) -> None:
        """A vector of the page becomes a state."""
        p = self._p
        p.load(place)
        p.do(Operation.POINT)
        for n in range(3):
            p.read(source + n)
            p.set(Operand.MEMORY)
            p.emit(**_WRITE)

    def _argument_below(self, limit: int) -> None:
        """A = the argument, less `limit`."""
        p = self._p
        p.set(Operand.HIGH)
        p.branch(Flow.IF_NOT_ZERO, "bad address")
        p.set(Operand.LOW)
        p.branch(Flow.IF_NEGATIVE, "bad address")
        self._constant(limit, Operation.SUBTRACT)
        p.branch(Flow.IF_NOT_NEGATIVE, "bad address")

    # Packets.

    def _start(self) -> None:
        """All states and operators are 0 in the beginning, and stay what they are in a reset."""
        p = self._p
        p.branch(Flow.IF_WARM, "restart")
        self._constant(self._layout.used)
        p.do(Operation.SET_L)
        p.set(0)
        p.do(Operation.POINT)
        p.label("clear")
        p.emit(flow=Flow.LOOP, to="clear", **_WRITE)
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
        p.emit(flow=Flow.LOOP, to="clear counter", **_WRITE)
        p.emit(Operation.CLEAR_CYCLES, flow=Flow.RETURN)

    def _receive(self) -> None:
        """The header; then what the command says."""
        p = self._p
        p.label("receive")
        self._point(Page.STATUS)
        p.emit(Operation.REPEAT, repeat=layout.REPLY + 1)  # and the flags
        p.set(0)
        p.label("empty")
        p.emit(flow=Flow.LOOP, to="empty", **_WRITE)
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

    def _dispatch(self, commands: dict[Command, str]) -> None:
        """To the label of the command; past all of them if it has none."""
        p, before = self._p, 0
        p.load(Register.COMMAND)
        for command, label in commands.items():
            p.subtract(command - before)
            p.branch(Flow.IF_ZERO, label)
            before = command

    def _reply(self) -> None:
        p = self._p
        p.label("reply")
        p.read(Page.FLAGS)
        p.set(Operand.MEMORY, Register.OPERATOR)
        p.emit(Operation.DOUBLE, **_read(Page.STATUS))
        p.add(Operand.MEMORY)
        p.write(Page.STATUS)
        self._point(Page.STATUS)
        p.emit(**_READ)
        words = layout.REPLY // layout.INTEGER
        for n in range(words):
            p.set(Operand.MEMORY, **_READ)
            last = n == words - 1
            p.emit(flow=Flow.PUT_LAST if last else Flow.PUT, **({} if last else _READ))
        p.branch(Flow.JUMP, "receive")

        p.label("identify")
        p.branch(Flow.IF_NOT_LAST, "bad length")
        self._argument_below(3)
        p.set(Operand.LOW)
        self._shift(3)
        p.add(layout.identity(self._config.f))
        p.do(Operation.POINT)
        for n in range(layout.REPLY - layout.BODY):
            p.emit(**_READ)
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
            p.emit(**_READ)
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
        p.emit(**_WRITE)
        p.branch(Flow.IF_ZERO, "count")
        p.branch(Flow.RETURN)

        # What was clipped is counted, and in the reply.
        p.label("note")
        p.branch(Flow.IF_SATURATED, "saturated")
        p.branch(Flow.RETURN)
        p.label("saturated")
        p.set(packets.SATURATED)
        p.write(Page.FLAGS)
        self._count(Counter.SATURATIONS, Flow.JUMP)

    def _count(self, counter: Counter, flow: Flow = Flow.CALL) -> None:
        self._point(Page.COUNTERS + layout.COUNTER * counter)
        self._p.branch(flow, "count")

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
        p.emit(flow=Flow.IF_LAST, to="gathered", **_WRITE)
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
            p.emit(**_READ)
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
                p.emit(**_READ)
                p.set(Operand.MEMORY)
                p.write(Page.OWN + n)
            p.load(other)
            p.do(Operation.POINT)
            p.emit(**_READ)
            for register in _OTHER:
                p.set(Operand.MEMORY, **_READ)
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
            p.emit(**_WRITE)
        p.branch(Flow.JUMP, "reply")

    # Meetings.

    def _gossip(self) -> None:
        p = self._p
        p.label("gossip")
        p.branch(Flow.IF_LAST, "bad length")
        self._argument_below(self._config.operators)
        self._constant(self._layout.operators)
        p.add(Operand.LOW, Register.OPERATOR)
        p.store(Register.FORM)

        # A slot: own 18, other 18, bank 2, second 1, double 1, valid 1.
        p.label("bundle")
        p.branch(Flow.GET)
        p.branch(Flow.IF_LAST, "bad length")
        p.set(Operand.LOW)
        p.store(Register.PLACE)
        p.set(Operand.HIGH)
        p.do(Operation.HALVE, Operation.HALVE)
        p.store(Register.OTHER_PLACE)
        p.do(Operation.QUADRUPLE, Operation.NEGATE)
        p.add(Operand.HIGH)
        p.store(Register.COUNT)  # what must be 0: the upper bits of both rows, and the bank
        p.branch(Flow.GET)
        p.set(Operand.LOW, Register.OPERATOR)
        p.do(Operation.QUADRUPLE, Operation.FLOOR)
        p.store(Register.BITS)
        p.set(64, Register.BITS)
        p.do(Operation.NEGATE)
        p.add(Operand.LOW)
        p.add(1, Register.COUNT)
        p.store(Register.COUNT)
        p.load(Register.BITS)
        p.do(Operation.HALVE, Operation.HALVE)
        p.branch(Flow.IF_ODD, "valid")
        p.branch(Flow.JUMP, "executed")
        p.label("valid")
        p.load(Register.COUNT)
        p.branch(Flow.IF_NOT_ZERO, "bad address")
        for place in (Register.PLACE, Register.OTHER_PLACE):
            p.load(place)
            p.branch(Flow.IF_NEGATIVE, "bad address")
            self._constant(self._config.rows, Operation.SUBTRACT)
            p.branch(Flow.IF_NOT_NEGATIVE, "bad address")
            p.set(4, place)
            p.store(place)
        p.branch(Flow.CALL, "load")
        p.load(Register.BITS)
        p.branch(Flow.IF_ODD, "second form")
        p.load(Register.FORM)
        p.branch(Flow.JUMP, "form")
        p.label("second form")
        p.load(Register.FORM)
        p.add(3 * layout.ROW)
        p.label("form")
        p.do(Operation.POINT)
        p.branch(Flow.CALL, "vector")
        p.load(Register.BITS)
        p.do(Operation.HALVE)
        p.branch(Flow.IF_ODD, "double")
        self._keep(Page.RESULT, Register.PLACE)
        p.branch(Flow.JUMP, "executed")
        p.label("double")
        self._copy_result()
        p.branch(Flow.CALL, "load exchanged")
        p.load(Register.FORM)
        p.add(3 * layout.ROW)
        p.do(Operation.POINT)
        p.branch(Flow.CALL, "vector")
        self._keep(Page.SECOND, Register.PLACE)
        self._keep(Page.RESULT, Register.OTHER_PLACE)
        p.label("executed")
        self._point(Page.VALUE)
        p.branch(Flow.CALL, "count")
        p.branch(Flow.IF_NOT_LAST, "bundle")
        p.branch(Flow.JUMP, "reply")

    def _copy_result(self) -> None:
        p = self._p
        for n in range(3):
            p.read(Page.RESULT + n)
            p.set(Operand.MEMORY)
            p.write(Page.SECOND + n)

    def _vector(self) -> None:
        """`pauli.evolve` under the form at P: the result, counted."""
        p = self._p
        p.label("vector")
        for n in range(3):
            p.branch(Flow.CALL, "row")
            p.do(Operation.ROUND, Operation.SATURATE)
            p.write(Page.RESULT + n)
        p.set(pauli.LONGEST)
        p.write(Page.LIMIT)
        p.branch(Flow.CALL, "renormalise")
        self._count(Counter.EVENTS)
        p.branch(Flow.JUMP, "note")

    def _row(self) -> None:
        """A = Σ C_jk (1, own)_j (1, other)_k with 2f + 1 fraction bits; P moves on by a row."""
        p = self._p
        p.label("row")
        p.emit(**_READ)
        for left in _LEFT:
            p.set(Operand.MEMORY, Register.UNIT, **_READ)
            p.add(Operand.MEMORY, Register.X, **_READ)
            p.add(Operand.MEMORY, Register.Y, **_READ)
            p.add(Operand.MEMORY, Register.Z)
            # Rounded from 2f fraction bits to f + 1; ROUND takes f + 1 away.
            p.do(Operation.QUADRUPLE, Operation.ROUND, Operation.SATURATE_SLACK)
            p.store(left, **_READ)
        p.set(Operand.MEMORY, Register.UNIT, **_READ)
        p.add(Operand.MEMORY, Register.X, **_READ)
        p.add(Operand.MEMORY, Register.Y, **_READ)
        p.add(Operand.MEMORY, Register.Z, **_read(Page.OWN))
        p.do(Operation.DOUBLE)
        p.add(Operand.MEMORY, Register.U, **_read(Page.OWN + 1))
        p.add(Operand.MEMORY, Register.V, **_read(Page.OWN + 2))
        p.add(Operand.MEMORY, Register.W, flow=Flow.RETURN)

    def _renormalise(self) -> None:
        """`pauli.renormalise` of the result."""
        p = self._p
        p.label("renormalise")
        p.branch(Flow.CALL, "square")
        p.subtract(Operand.UNIT, Register.UNIT)
        p.add(Operand.UNIT)
        p.emit(Operation.FLOOR)
        p.branch(Flow.IF_NEGATIVE, "return")
        p.branch(Flow.IF_ZERO, "return")
        p.read(Page.LIMIT)
        p.subtract(Operand.MEMORY)
        p.branch(Flow.IF_NEGATIVE, "excess")
        p.set(0)
        p.label("excess")
        p.add(Operand.MEMORY)
        p.do(Operation.DOUBLE)
        p.store(Register.COUNT)
        for n in range(3):
            p.read(Page.RESULT + n)
            p.set(Operand.MEMORY, Register.COUNT)
            p.do(Operation.ROUND, Operation.NEGATE)
            p.add(Operand.MEMORY)
            p.write(Page.RESULT + n)
        p.label("return")
        p.branch(Flow.RETURN)

        # A = |r|² of the result.
        p.label("square")
        p.read(Page.RESULT)
        p.set(Operand.MEMORY, **_read(Page.RESULT + 1))
        p.store(Register.U)
        p.set(Operand.MEMORY, **_read(Page.RESULT + 2))
        p.store(Register.V)
        p.set(Operand.MEMORY)
        p.store(Register.W)
        p.set(Operand.MEMORY, Register.W, **_read(Page.RESULT + 1))
        p.add(Operand.MEMORY, Register.V, **_read(Page.RESULT))
        p.add(Operand.MEMORY, Register.U, flow=Flow.RETURN)

    def _quotient(self) -> None:
        """A = `rounds.quotient` of A and B."""
        p = self._p
        p.label("quotient")
        p.branch(Flow.IF_NOT_NEGATIVE, "magnitude")
        p.do(Operation.NEGATE)
        p.branch(Flow.CALL, "magnitude")
        p.emit(Operation.NEGATE, flow=Flow.RETURN)
        p.label("magnitude")
        p.do(Operation.SUBTRACT_B, Operation.SUBTRACT_B)
        p.branch(Flow.IF_NOT_NEGATIVE, "beyond")
        p.do(Operation.ADD_B, Operation.ADD_B, Operation.CLEAR_Q)
        p.emit(Operation.REPEAT, repeat=self._config.f + 1)
        p.label("digit")
        p.emit(Operation.DIVIDE, flow=Flow.LOOP, to="digit")
        p.do(Operation.SUBTRACT_B)
        p.branch(Flow.IF_NEGATIVE, "down")
        p.branch(Flow.IF_NOT_ZERO, "up")
        p.do(Operation.FROM_Q)
        p.branch(Flow.IF_ODD, "one more")
        p.branch(Flow.RETURN)
        p.label("down")
        p.emit(Operation.FROM_Q, flow=Flow.RETURN)
        p.label("up")
        p.do(Operation.FROM_Q)
        p.label("one more")
        p.add(1)
        p.emit(Operation.SATURATE, flow=Flow.RETURN)
        p.label("beyond")
        p.set(Operand.UNIT)
        p.do(Operation.DOUBLE)
        p.emit(Operation.SATURATE, flow=Flow.RETURN)

    # Rounds.

    def _settle(self) -> None:
        """`rounds.settle` of the result, which is a quotient already."""
        p = self._p
        p.label("settle")
        p.load(Register.SQUARINGS)
        p.label("squaring")
        p.branch(Flow.IF_ZERO, "squared")
        p.store(Register.COUNT)
        p.branch(Flow.CALL, "square")
        p.add(Operand.UNIT, Register.UNIT)
        p.do(Operation.SET_B)
        for n in range(3):
            p.read(Page.RESULT + n)
            p.set(Operand.MEMORY, Register.UNIT)
            p.do(Operation.DOUBLE)
            p.branch(Flow.CALL, "quotient")
            p.write(Page.RESULT + n)
        p.load(Register.COUNT)
        p.subtract(1)
        p.branch(Flow.JUMP, "squaring")
        p.label("squared")
        self._constant(rounds.longest(self._config.f))
        p.write(Page.LIMIT)
        p.branch(Flow.CALL, "renormalise")
        self._count(Counter.ROUNDS)
        p.branch(Flow.JUMP, "note")

    def _round(self) -> None:
        """Bits: squarings 2, dephase 1, both 1, the lower four of the operator."""
        p = self._p
        p.label("round")
        p.branch(Flow.IF_LAST, "bad length")
        p.branch(Flow.CALL, "agent")
        p.store(Register.PLACE)
        p.write(Page.LIST)
        p.branch(Flow.GET)
        p.set(Operand.LOW, Register.OPERATOR)
        p.do(Operation.FLOOR)
        p.store(Register.BITS)
        p.set(256, Register.BITS)
        p.do(Operation.NEGATE)
        p.add(Operand.LOW)
        p.store(Register.COUNT)
        p.load(Register.BITS)
        p.do(Operation.HALVE, Operation.HALVE, Operation.QUADRUPLE, Operation.NEGATE)
        p.add(1, Register.BITS)
        p.store(Register.SQUARINGS)
        self._dispatch({Command.UPDATE: "others"})
        p.load(Register.COUNT)
        p.subtract(1)
        p.branch(Flow.IF_NOT_ZERO, "bad value")
        self._dispatch({Command.INTERFERE: "others"})
        p.set(Operand.HIGH)
        self._shift(3)
        p.do(Operation.FLOOR)
        p.store(Register.U)
        p.set(1024, Register.U)
        self._shift(2)
        p.do(Operation.NEGATE)
        p.add(Operand.HIGH)
        p.branch(Flow.IF_NOT_ZERO, "bad address")
        p.load(Register.BITS)
        p.do(*[Operation.HALVE] * 4)
        p.branch(Flow.IF_NOT_NEGATIVE, "operator")
        p.add(16)
        p.label("operator")
        p.store(Register.FORM)
        self._constant(self._config.operators, Operation.SUBTRACT)
        p.branch(Flow.IF_NOT_NEGATIVE, "bad address")
        self._constant(self._layout.operators)
        p.add(layout.OPERATOR, Register.FORM)
        p.store(Register.FORM)

        p.label("others")
        self._point(Page.LIST + 1)
        p.load(Register.COUNT)
        p.branch(Flow.IF_ZERO, "complete")
        p.do(Operation.SET_L)
        p.label("another")
        p.branch(Flow.IF_LAST, "bad length")
        p.branch(Flow.GET)
        p.branch(Flow.CALL, "agent")
        p.emit(**_WRITE)
        p.branch(Flow.LOOP, "another")
        p.label("complete")
        p.branch(Flow.IF_NOT_LAST, "bad length")
        self._dispatch({Command.UPDATE: "update"})
        p.read(Page.LIST + 1)
        p.set(Operand.MEMORY)
        p.store(Register.OTHER_PLACE)
        self._dispatch({Command.INTERFERE: "interfere"})
        p.branch(Flow.JUMP, "evolve")

        p.label("answer")
        self._keep(Page.RESULT, Register.PLACE)
        for n in range(3):
            p.read(Page.RESULT + n)
            p.set(Operand.MEMORY)
            self._put(self._body(n))
        p.branch(Flow.JUMP, "reply")

    def _update(self) -> None:
        p = self._p
        p.label("update")
        for n in range(2):
            p.load(Register.BITS)
            p.do(Operation.HALVE, Operation.HALVE)
            p.branch(Flow.IF_ODD, f"dephased {n}")
            p.set(n)
            p.branch(Flow.CALL, "mean")
            p.branch(Flow.JUMP, f"component {n}")
            p.label(f"dephased {n}")
            p.set(0)
            p.label(f"component {n}")
            p.write(Page.RESULT + n)
        p.set(2)
        p.branch(Flow.CALL, "mean")
        p.write(Page.RESULT + 2)
        p.branch(Flow.CALL, "settle")
        # S(diag ρ): the length is |z|, with the fraction bits of `rounds.observe`.
        p.read(Page.RESULT + 2)
        p.set(Operand.MEMORY)
        p.branch(Flow.IF_NOT_NEGATIVE, "outcome")
        p.set(1)
        p.write(Page.VALUE)
        p.read(Page.RESULT + 2)
        p.set(Operand.MEMORY)
        p.do(Operation.NEGATE)
        p.label("outcome")
        self._shift(5)
        self._stash(Page.LENGTH)
        p.branch(Flow.CALL, "entropy")
        self._put(self._body(3))
        p.branch(Flow.JUMP, "answer")

        # A = the mean of component A of all in the list.
        p.label("mean")
        p.store(Register.V)
        p.set(0)
        p.do(Operation.SET_B)
        p.load(Register.COUNT)
        p.add(1)
        p.do(Operation.SET_L)
        p.store(Register.W)
        self._constant(self._layout.page(Page.LIST))
        p.label("member")
        p.do(Operation.POINT)
        p.add(1)
        p.store(Register.U, access=Access.READ)
        p.set(Operand.MEMORY)
        p.add(1, Register.V)
        p.do(Operation.POINT)
        p.emit(access=Access.READ)
        p.set(Operand.MEMORY)
        p.do(Operation.ADD_B, Operation.SET_B)
        p.load(Register.U)
        p.branch(Flow.LOOP, "member")
        p.do(Operation.FROM_B)
        self._stash(Page.SUM)
        p.set(Operand.UNIT, Register.W)
        p.do(Operation.SET_B)
        self._unstash(Page.SUM)
        p.branch(Flow.JUMP, "quotient")

    def _interfere(self) -> None:
        """`rounds.interfere`; the denominator is 2 at least."""
        p = self._p
        p.label("interfere")
        p.branch(Flow.CALL, "load")
        p.read(Page.OWN)
        p.set(Operand.MEMORY, Register.X, **_read(Page.OWN + 1))
        p.add(Operand.MEMORY, Register.Y, **_read(Page.OWN + 2))
        p.add(Operand.MEMORY, Register.Z)
        p.add(Operand.UNIT, Register.UNIT)
        p.branch(Flow.IF_NOT_NEGATIVE, "enough")
        p.set(0)
        p.label("enough")
        p.add(Operand.UNIT, Register.UNIT)
        p.add(Operand.UNIT, Register.UNIT)
        p.do(Operation.SET_B)
        # A quarter of it, f + 2 bits rounded half to even: one more than ROUND takes away.
        p.do(Operation.HALVE, Operation.FLOOR)
        p.branch(Flow.IF_ODD, "odd")
        p.do(Operation.FROM_B)
        p.subtract(1)
        p.branch(Flow.JUMP, "even")
        p.label("odd")
        p.do(Operation.FROM_B)
        p.label("even")
        p.add(Operand.UNIT)
        p.add(Operand.UNIT)
        p.do(Operation.HALVE, Operation.FLOOR)
        self._put(self._body(3))
        for n, other in enumerate(_OTHER):
            p.read(Page.OWN + n)
            p.set(Operand.MEMORY, Register.UNIT)
            p.add(Operand.UNIT, other)
            p.do(Operation.DOUBLE)
            p.branch(Flow.CALL, "quotient")
            p.write(Page.RESULT + n)
        p.branch(Flow.CALL, "settle")
        p.branch(Flow.JUMP, "answer")

    def _evolve(self) -> None:
        """`rounds.weigh`, the second agent first, whose weight then counts."""
        p = self._p
        p.label("evolve")
        self._if_both("both")
        p.branch(Flow.JUMP, "first")
        p.label("both")
        p.branch(Flow.CALL, "load exchanged")
        self._form(7)
        p.branch(Flow.CALL, "row")
        p.subtract(Operand.UNIT, Register.OPERATOR)
        p.branch(Flow.IF_NEGATIVE, "vanished")
        p.add(Operand.UNIT, Register.OPERATOR)
        p.do(Operation.SET_B)
        self._form(3)
        p.branch(Flow.CALL, "components")
        p.branch(Flow.CALL, "settle")
        self._copy_result()
        p.label("first")
        p.branch(Flow.CALL, "load")
        self._form(6)
        p.branch(Flow.CALL, "row")
        # The least weight is `rounds.least_weight`.
        p.subtract(Operand.UNIT, Register.OPERATOR)
        p.branch(Flow.IF_NOT_NEGATIVE, "weighty")
        self._if_both("least")
        p.branch(Flow.JUMP, "vanished")
        p.label("least")
        p.set(0)
        p.label("weighty")
        p.add(Operand.UNIT, Register.OPERATOR)
        p.do(Operation.SET_B, Operation.ROUND, Operation.CLIP)
        self._put(self._body(3))
        self._form(0)
        p.branch(Flow.CALL, "components")
        p.branch(Flow.CALL, "settle")
        self._if_both("keep second")
        p.branch(Flow.JUMP, "answer")
        p.label("keep second")
        self._keep(Page.SECOND, Register.OTHER_PLACE)
        p.branch(Flow.JUMP, "answer")
        p.label("vanished")
        p.set(Status.VANISHED)
        p.write(Page.STATUS)
        p.branch(Flow.JUMP, "reply")

        p.label("components")
        for n in range(3):
            p.branch(Flow.CALL, "row")
            p.branch(Flow.CALL, "quotient")
            p.write(Page.RESULT + n)
        p.branch(Flow.RETURN)

    def _if_both(self, label: str) -> None:
        """Whether the round asks for both agents to be written."""
        self._p.load(Register.BITS)
        self._p.do(*[Operation.HALVE] * 3)
        self._p.branch(Flow.IF_ODD, label)

    def _form(self, row: int) -> None:
        """P to a row of the operator."""
        self._p.load(Register.FORM)
        self._p.add(row * layout.ROW)
        self._p.do(Operation.POINT)

    # Spectra of 2×2 matrices.

    def _observe(self) -> None:
        """`rounds.observe`: eigenvalues, entropy, purity; ρ₀₀ in the value."""
        p = self._p
        p.label("observe")
        p.branch(Flow.IF_NOT_LAST, "bad length")
        p.branch(Flow.CALL, "agent")
        p.do(Operation.POINT)
        for n in range(3):
            p.emit(**_READ)
            p.set(Operand.MEMORY)
            p.write(Page.RESULT + n)
        p.store(Register.W)
        p.set(Operand.UNIT, Register.W)
        p.add(Operand.UNIT, Register.UNIT)
        p.do(Operation.ROUND)
        self._put(Page.VALUE)
        p.branch(Flow.CALL, "square")
        p.do(Operation.SET_B)
        p.add(Operand.UNIT, Register.UNIT)
        p.do(Operation.ROUND)
        self._put(self._body(3))
        p.do(Operation.FROM_B)
        self._put(Page.RADICAND)
        # The length: |r|² has 32 bits, ten zeros follow, and each digit takes two.
        p.set(0)
        p.do(Operation.CLEAR_Q)
        for n, (word, digits) in enumerate(((1, 8), (0, 8), (None, 5))):
            if word is not None:
                p.read(Page.RADICAND + word)
                p.do(Operation.SET_N)
            p.emit(Operation.REPEAT, repeat=digits)
            p.label(f"digits {n}")
            p.do(Operation.ROOT)
            p.emit(Operation.DIVIDE, flow=Flow.LOOP, to=f"digits {n}")
        p.do(Operation.FROM_Q)
        self._stash(Page.LENGTH)
        for n in range(2):
            self._eigenvalue(n)
            # Six fraction bits less.
            self._shift(9)
            p.do(Operation.ROUND)
            self._put(self._body(n))
        p.branch(Flow.CALL, "entropy")
        self._put(self._body(2))
        p.branch(Flow.JUMP, "reply")

    def _eigenvalue(self, n: int) -> None:
        """A = ½(1 ∓ length), with f + 6 fraction bits."""
        self._unstash(Page.LENGTH)
        if n == 0:
            self._p.do(Operation.NEGATE)
        self._p.add(32, Register.UNIT)

    def _entropy(self) -> None:
        """A = `tmesh.golden.entropy.entropy` of both eigenvalues."""
        p = self._p
        p.label("entropy")
        p.set(0)
        p.write(Page.TOTAL)
        p.write(Page.TOTAL + 1)
        for n in range(2):
            self._eigenvalue(n)
            p.branch(Flow.CALL, "term")
        self._unstash(Page.TOTAL)
        self._shift(5)
        p.emit(Operation.ROUND, flow=Flow.RETURN)

        # −λ ln λ to the total; that of 0 and of 1 is 0.
        p.label("term")
        p.branch(Flow.IF_NEGATIVE, "return")
        p.branch(Flow.IF_ZERO, "return")
        p.subtract(64, Register.UNIT)
        p.branch(Flow.IF_NOT_NEGATIVE, "return")
        p.add(64, Register.UNIT)
        # λ = (1 + A)·2⁻ˢ, while P goes along the multiples of ln 2.
        p.do(Operation.SET_B)
        p.set(layout.DOUBLINGS)
        p.do(Operation.POINT, Operation.FROM_B)
        p.label("normalise")
        p.emit(Operation.DOUBLE, **_READ)
        p.subtract(64, Register.UNIT, **_READ)
        p.branch(Flow.IF_NOT_NEGATIVE, "normal")
        p.add(64, Register.UNIT)
        p.branch(Flow.JUMP, "normalise")
        p.label("normal")
        p.do(Operation.SET_B)
        p.set(Operand.POINTER)
        p.store(Register.V)
        p.subtract(layout.DOUBLINGS)
        p.do(Operation.HALVE)
        p.add(7)
        p.do(Operation.SET_L)  # s, and what the product has too many
        # The segment, six bits, and the place in it.
        p.do(Operation.FROM_B)
        self._split(Register.U, Register.W)
        p.do(Operation.HALVE, Operation.HALVE)
        p.store(Register.X)
        p.set(3, Register.U)
        p.add(layout.LOGARITHMS)
        p.do(Operation.POINT)
        p.emit(**_READ)
        p.set(Operand.TABLE, Register.X, **_READ)
        self._shift(3)
        p.do(Operation.FLOOR)
        p.add(Operand.TABLE, **_READ)
        p.add(Operand.TABLE, Register.UNIT)
        # s ln 2 less that, in 18 bits.
        p.do(Operation.NEGATE, Operation.SET_B)
        p.load(Register.V)
        p.do(Operation.POINT)
        p.emit(**_READ)
        p.set(Operand.TABLE, **_READ)
        p.add(Operand.TABLE, Register.UNIT)
        p.do(Operation.ADD_B)
        self._shift(9)
        p.do(Operation.FLOOR, Operation.SET_B)
        self._split(Register.X, Register.Y)
        # Times the mantissa, 18 bits: 64 + the segment, eleven bits below it.
        p.load(Register.U)
        p.add(64)
        p.write(Page.UPPER)
        p.load(Register.W)
        p.do(*[Operation.HALVE] * 3)
        p.write(Page.LOWER)
        p.read(Page.UPPER)
        p.set(Operand.MEMORY, Register.X, **_read(Page.LOWER))
        self._shift(11)
        p.add(Operand.MEMORY, Register.X)
        self._shift(3)
        p.read(Page.UPPER)
        p.add(Operand.MEMORY, Register.Y, **_read(Page.LOWER))
        self._shift(11)
        p.add(Operand.MEMORY, Register.Y)
        p.label("denormalise")
        p.emit(Operation.HALVE, flow=Flow.LOOP, to="denormalise")
        p.do(Operation.SET_B)
        self._unstash(Page.TOTAL)
        p.do(Operation.ADD_B)
        self._stash(Page.TOTAL)
        p.branch(Flow.RETURN)

    def _split(self, upper: Register, lower: Register) -> None:
        """A, which B has too, into what is above `layout.PART` bits and what is not; A = that."""
        p = self._p
        p.do(Operation.DOUBLE, Operation.FLOOR)
        p.store(upper)
        p.set(1 << (layout.PART - 4), upper)
        self._shift(4)
        p.do(Operation.NEGATE, Operation.ADD_B)
        p.store(lower)
