"""Programs of the microcoded engine."""

import dataclasses
from typing import Any

from tmesh.errors import InvalidInput

from tmesh_hw.engine.microcode.instruction import (
    IMMEDIATE_BITS,
    LAYOUT,
    Access,
    Flow,
    Operand,
    Operation,
    Register,
)

#: How far an immediate reaches on either side of 0 as an operand.
REACH = 1 << (IMMEDIATE_BITS - 1)


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One word; the immediate is a number or a label."""

    operation: Operation
    operand: Operand
    register: Register
    access: Access
    flow: Flow
    immediate: int | str


class Assembler:
    """Collects instructions and labels.

    Raises ``ValueError`` for a label that exists twice or not at all, and for an immediate that
    does not fit or that a word needs twice.
    """

    def __init__(self) -> None:
        self._instructions: list[Instruction] = []
        self._labels: dict[str, int] = {}
        self._fresh = 0

    def label(self, name: str) -> None:
        """Name the next instruction."""
        if name in self._labels:
            raise InvalidInput(f"label {name!r} exists twice")
        self._labels[name] = len(self._instructions)

    def fresh(self) -> str:
        """A unique label."""
        self._fresh += 1
        return f".{self._fresh}"

    def emit(
        self,
        operation: Operation = Operation.KEEP,
        operand: Operand | int = 0,
        register: Register = Register.ONE,
        *,
        access: Access = Access.NONE,
        at: int | None = None,
        flow: Flow = Flow.NEXT,
        to: str | None = None,
        repeat: int | None = None,
    ) -> None:
        """One word. operand: a source, or a number, which is the immediate; at: where the page is
        accessed; to: where a jump goes; repeat: how often a loop is run."""
        wanted: list[int | str] = [value for value in (at, to, repeat) if value is not None]
        if not isinstance(operand, Operand):
            if operation in (Operation.SET, Operation.ADD, Operation.SUBTRACT):
                if not -REACH <= operand < REACH:
                    raise InvalidInput(f"operand {operand} is beyond {IMMEDIATE_BITS} bits")
                wanted.append(operand)
            operand = Operand.IMMEDIATE
        if len(wanted) > 1:
            raise InvalidInput(f"one word cannot have the immediates {wanted}")
        immediate = wanted[0] if wanted else 0
        self._instructions.append(
            Instruction(operation, operand, register, access, flow, immediate)
        )

    def set(self, operand: Operand | int, register: Register = Register.ONE, **rest: Any) -> None:
        """A = operand × register."""
        self.emit(Operation.SET, operand, register, **rest)

    def add(self, operand: Operand | int, register: Register = Register.ONE, **rest: Any) -> None:
        """A += operand × register."""
        self.emit(Operation.ADD, operand, register, **rest)

    def subtract(
        self, operand: Operand | int, register: Register = Register.ONE, **rest: Any
    ) -> None:
        """A −= operand × register."""
        self.emit(Operation.SUBTRACT, operand, register, **rest)

    def load(self, register: Register) -> None:
        """A = register."""
        self.set(1, register)

    def store(self, register: Register, **rest: Any) -> None:
        """register = A."""
        self.emit(Operation.STORE, register=register, **rest)

    def do(self, *operations: Operation) -> None:
        """Operations that need nothing else."""
        for operation in operations:
            self.emit(operation)

    def branch(self, flow: Flow, to: str | None = None) -> None:
        """A word that does nothing but this; before a question for zero there is one that waits."""
        if flow in (Flow.IF_ZERO, Flow.IF_NOT_ZERO):
            self.emit()
        self.emit(flow=flow, to=to)

    def read(self, at: int) -> None:
        """M from the page."""
        self.emit(access=Access.READ_AT, at=at)

    def write(self, at: int) -> None:
        """A to the page."""
        self.emit(access=Access.WRITE_AT, at=at)

    def words(self) -> list[int]:
        """The program, as the sequencer takes it."""
        scheduled, addresses = self._scheduled()
        return [_word(instruction, addresses) for instruction in scheduled]

    def _scheduled(self) -> tuple[list[Instruction], dict[str, int]]:
        """A product is ready a word after its factors, so the operation that takes it moves to the
        next word. It shares that word with the next instruction, if that does not read A. Also
        returns the labels' addresses."""
        labels: dict[int, list[str]] = {}
        for name, place in self._labels.items():
            labels.setdefault(place, []).append(name)
        result: list[Instruction] = []
        addresses: dict[str, int] = {}
        waiting: Operation | None = None
        for place, source in enumerate([*self._instructions, None]):
            if waiting is not None and (source is None or place in labels or not _shares(source)):
                result.append(dataclasses.replace(_NOTHING, operation=waiting))
                waiting = None
            addresses |= dict.fromkeys(labels.get(place, ()), len(result))
            if source is None:
                break
            factors, flow = source.operation in PRODUCTS, source.flow
            if not factors:
                taken = waiting if waiting is not None else source.operation
                result.append(dataclasses.replace(source, operation=taken))
                waiting = None
                continue
            first = dataclasses.replace(source, operation=waiting or Operation.KEEP, flow=Flow.NEXT)
            result.append(first)
            waiting = source.operation
            if flow != Flow.NEXT:
                target = source.immediate if isinstance(source.immediate, str) else 0
                result.append(
                    dataclasses.replace(_NOTHING, operation=waiting, flow=flow, immediate=target)
                )
                result[-2] = dataclasses.replace(
                    first, immediate=0 if isinstance(source.immediate, str) else source.immediate
                )
                waiting = None
        return result, addresses


#: Operations that take a product.
PRODUCTS = (Operation.SET, Operation.ADD, Operation.SUBTRACT)

_NOTHING = Instruction(
    Operation.KEEP, Operand.MEMORY, Register.ONE, Access.NONE, Flow.NEXT, immediate=0
)
_READS = (Access.READ, Access.READ_NEXT, Access.READ_AT)
_BLIND = (Flow.JUMP, Flow.CALL, Flow.RETURN, Flow.LOOP, Flow.IF_LAST, Flow.IF_NOT_LAST)


def _shares(source: Instruction) -> bool:
    """Whether a word may be executed together with an operation that changes A before it."""
    if source.access in (Access.WRITE_NEXT, Access.WRITE_AT):
        return False
    if source.operation in PRODUCTS:
        return True
    if source.operation != Operation.KEEP:
        return False
    return source.flow in _BLIND or (source.flow == Flow.NEXT and source.access in _READS)


def _word(instruction: Instruction, addresses: dict[str, int]) -> int:
    fields = dataclasses.asdict(instruction)
    if isinstance(instruction.immediate, str):
        if instruction.immediate not in addresses:
            raise InvalidInput(f"there is no label {instruction.immediate!r}")
        fields["immediate"] = addresses[instruction.immediate]
    word = 0
    for name, field in LAYOUT:
        word |= (fields[name] & ((1 << field.width) - 1)) << field.offset
    return word
