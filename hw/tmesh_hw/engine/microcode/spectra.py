"""Spectra of 2×2 matrices: `rounds.observe` and `tmesh.golden.entropy`."""

from tmesh_hw.engine.microcode import layout
from tmesh_hw.engine.microcode.instruction import Flow, Operand, Operation, Register
from tmesh_hw.engine.microcode.layout import Page
from tmesh_hw.engine.microcode.pieces import READ, Pieces, reading


class Spectra(Pieces):
    """Spectra of 2×2 matrices: `rounds.observe` and `tmesh.golden.entropy`."""

    def _observe(self) -> None:
        """`rounds.observe`: eigenvalues, entropy, purity; ρ₀₀ in the value."""
        p = self._p
        p.label("observe")
        p.branch(Flow.IF_NOT_LAST, "bad length")
        p.branch(Flow.CALL, "agent")
        p.do(Operation.POINT)
        for n in range(3):
            p.emit(**READ)
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
        p.emit(Operation.DOUBLE, **READ)
        p.subtract(64, Register.UNIT, **READ)
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
        p.do(Operation.SET_L)  # s, and the product's surplus
        # The segment, six bits, and the place in it.
        p.do(Operation.FROM_B)
        self._split(Register.U, Register.W)
        p.do(Operation.HALVE, Operation.HALVE)
        p.store(Register.X)
        p.set(3, Register.U)
        p.add(layout.LOGARITHMS)
        p.do(Operation.POINT)
        p.emit(**READ)
        p.set(Operand.TABLE, Register.X, **READ)
        self._shift(3)
        p.do(Operation.FLOOR)
        p.add(Operand.TABLE, **READ)
        p.add(Operand.TABLE, Register.UNIT)
        # s ln 2 less that, in 18 bits.
        p.do(Operation.NEGATE, Operation.SET_B)
        p.load(Register.V)
        p.do(Operation.POINT)
        p.emit(**READ)
        p.set(Operand.TABLE, **READ)
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
        p.set(Operand.MEMORY, Register.X, **reading(Page.LOWER))
        self._shift(11)
        p.add(Operand.MEMORY, Register.X)
        self._shift(3)
        p.read(Page.UPPER)
        p.add(Operand.MEMORY, Register.Y, **reading(Page.LOWER))
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
        """A, which B has too, into the part above `layout.PART` bits and the rest; A = the rest."""
        p = self._p
        p.do(Operation.DOUBLE, Operation.FLOOR)
        p.store(upper)
        p.set(1 << (layout.PART - 4), upper)
        self._shift(4)
        p.do(Operation.NEGATE, Operation.ADD_B)
        p.store(lower)
