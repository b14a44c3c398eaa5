"""What all devices with the core's arithmetic share: the grid, and commands."""

import abc

import numpy as np

from tmesh.devices.interface import Device, check_weight
from tmesh.golden import fixed
from tmesh.golden.reference import ComplexArray, FloatArray
from tmesh.numbers import IntArray
from tmesh.opcodes import Opcode


class CoreDevice(Device):
    """Rounds operands to the grid, runs one command per matrix, and scales replies back.

    `saturations` counts the replies whose saturation flag was set.
    """

    saturations = 0

    @abc.abstractmethod
    def _execute(self, opcode: Opcode, u: IntArray, x: IntArray) -> fixed.Reply:
        """Run one command on a batch of (n, 4, 4, 2) operands."""

    def _command(self, opcode: Opcode, u: IntArray | None, x: IntArray) -> fixed.Reply:
        if u is None:
            u = np.zeros_like(x)
        reply = self._execute(opcode, u, x)
        self.saturations += int(np.count_nonzero(reply.saturated))
        return reply

    def _grid(self, x: ComplexArray) -> IntArray:
        return self.config.q.quantise(np.stack([x.real, x.imag], axis=-1))

    def _value(self, n: IntArray) -> ComplexArray:
        parts = self.config.q.value(n)
        return np.asarray(parts[..., 0] + 1j * parts[..., 1], dtype=np.complex128)

    def _kron(self, a: ComplexArray, b: ComplexArray) -> ComplexArray:
        x = fixed.block_diagonal(self._grid(a), self._grid(b))
        return self._value(self._command(Opcode.KRON, None, x).y)

    def _conjugate(self, u: ComplexArray, x: ComplexArray) -> ComplexArray:
        return self._value(self._command(Opcode.CONJUGATE, self._grid(u), self._grid(x)).y)

    def _partial_trace(self, x: ComplexArray, keep: int) -> ComplexArray:
        y = self._command(Opcode.PARTIAL_TRACE, None, self._grid(x)).y
        return self._value(y[:, :2, :2] if keep == 0 else y[:, 2:, 2:])

    def _evolve(
        self, u: ComplexArray, a: ComplexArray, b: ComplexArray
    ) -> tuple[ComplexArray, ComplexArray, FloatArray]:
        x = fixed.block_diagonal(self._grid(a), self._grid(b))
        reply = self._command(Opcode.EVOLVE, self._grid(u), x)
        weight = self.config.q.value(reply.weight)
        check_weight(np.where(reply.vanished, 0.0, weight)[reply.vanished])
        return self._value(reply.y[:, :2, :2]), self._value(reply.y[:, 2:, 2:]), weight

    def _purify(self, a: ComplexArray, kappa: int) -> ComplexArray:
        state = self._grid(a)
        while kappa > 1:
            x = fixed.block_diagonal(state, np.zeros_like(state))
            state = self._command(Opcode.SQUARE, None, x).y[:, :2, :2]
            kappa //= 2
        return self._value(state)
