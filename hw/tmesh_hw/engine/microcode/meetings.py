"""Meetings of resident states: bundles, and `tmesh.golden.pauli`."""

from tmesh.golden import pauli
from tmesh.packets import Counter

from tmesh_hw.engine.microcode import layout
from tmesh_hw.engine.microcode.instruction import Flow, Operand, Operation, Register
from tmesh_hw.engine.microcode.layout import Page
from tmesh_hw.engine.microcode.pieces import LEFT, READ, Pieces, reading


class Meetings(Pieces):
    """Meetings of resident states: bundles, and `tmesh.golden.pauli`."""

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
        p.store(Register.COUNT)  # bits that must be 0: the upper bits of both rows, and the bank
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
        p.emit(**READ)
        for left in LEFT:
            p.set(Operand.MEMORY, Register.UNIT, **READ)
            p.add(Operand.MEMORY, Register.X, **READ)
            p.add(Operand.MEMORY, Register.Y, **READ)
            p.add(Operand.MEMORY, Register.Z)
            # Rounded from 2f fraction bits to f + 1; ROUND takes f + 1 away.
            p.do(Operation.QUADRUPLE, Operation.ROUND, Operation.SATURATE_SLACK)
            p.store(left, **READ)
        p.set(Operand.MEMORY, Register.UNIT, **READ)
        p.add(Operand.MEMORY, Register.X, **READ)
        p.add(Operand.MEMORY, Register.Y, **READ)
        p.add(Operand.MEMORY, Register.Z, **reading(Page.OWN))
        p.do(Operation.DOUBLE)
        p.add(Operand.MEMORY, Register.U, **reading(Page.OWN + 1))
        p.add(Operand.MEMORY, Register.V, **reading(Page.OWN + 2))
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
        p.set(Operand.MEMORY, **reading(Page.RESULT + 1))
        p.store(Register.U)
        p.set(Operand.MEMORY, **reading(Page.RESULT + 2))
        p.store(Register.V)
        p.set(Operand.MEMORY)
        p.store(Register.W)
        p.set(Operand.MEMORY, Register.W, **reading(Page.RESULT + 1))
        p.add(Operand.MEMORY, Register.V, **reading(Page.RESULT))
        p.add(Operand.MEMORY, Register.U, flow=Flow.RETURN)
