"""Pieces that the program has again and again."""

from typing import Any

from tmesh.config import CoreConfig
from tmesh.packets import Command, Counter

from tmesh_hw.engine.microcode import layout
from tmesh_hw.engine.microcode.assembler import Assembler
from tmesh_hw.engine.microcode.instruction import Access, Flow, Operand, Operation, Register
from tmesh_hw.engine.microcode.layout import Layout, Page

#: The vector that is contracted first, and its result.
OTHER, LEFT = (Register.X, Register.Y, Register.Z), (Register.U, Register.V, Register.W)

#: The memory at P in a word that does something else.
READ: dict[str, Any] = {"access": Access.READ_NEXT}
WRITE: dict[str, Any] = {"access": Access.WRITE_NEXT}


def reading(at: int) -> dict[str, Any]:
    """Reads the page in a word that does something else."""
    return {"access": Access.READ_AT, "at": at}


class Pieces:
    """An assembler with macros for sequences that occur more than once.

    A vector is three words, x, y, z; a wider value is stashed in two words, of which the lower one
    has a sign.
    """

    def __init__(self, config: CoreConfig) -> None:
        self._config, self._layout = config, Layout(config)
        self._p = Assembler()

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
        p.emit(Operation.QUADRUPLE, **reading(at))
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
            p.emit(**WRITE)

    def _argument_below(self, limit: int) -> None:
        """A = the argument, less `limit`."""
        p = self._p
        p.set(Operand.HIGH)
        p.branch(Flow.IF_NOT_ZERO, "bad address")
        p.set(Operand.LOW)
        p.branch(Flow.IF_NEGATIVE, "bad address")
        self._constant(limit, Operation.SUBTRACT)
        p.branch(Flow.IF_NOT_NEGATIVE, "bad address")

    def _dispatch(self, commands: dict[Command, str]) -> None:
        """To the label of the command; past all of them if it has none."""
        p, before = self._p, 0
        p.load(Register.COMMAND)
        for command, label in commands.items():
            p.subtract(command - before)
            p.branch(Flow.IF_ZERO, label)
            before = command

    def _count(self, counter: Counter, flow: Flow = Flow.CALL) -> None:
        self._point(Page.COUNTERS + layout.COUNTER * counter)
        self._p.branch(flow, "count")

    def _copy_result(self) -> None:
        p = self._p
        for n in range(3):
            p.read(Page.RESULT + n)
            p.set(Operand.MEMORY)
            p.write(Page.SECOND + n)
