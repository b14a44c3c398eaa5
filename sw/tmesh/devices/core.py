"""Common parts of all devices with the core's arithmetic: the grid, and commands."""

import abc

import numpy as np

from tmesh.config import CoreConfig
from tmesh.devices import operands
from tmesh.devices.interface import (
    Device,
    DeviceInfo,
    Observation,
    check_weight,
)
from tmesh.errors import NotSupported
from tmesh.golden import fixed, rounds
from tmesh.golden.reference import ComplexArray, FloatArray
from tmesh.numbers import IntArray
from tmesh.opcodes import Opcode


def device_info(device: str, config: CoreConfig, clock_hz: float | None, digest: str) -> DeviceInfo:
    """`DeviceInfo` of a device with the core's arithmetic."""
    kinds = {"pauli": config.gossip_lanes, "matrix": config.lanes}
    arithmetic = "+".join(kind for kind, lanes in kinds.items() if lanes)
    lanes, capacity = config.gossip_lanes or config.lanes, config.capacity
    return DeviceInfo(device, config, arithmetic, lanes, capacity, clock_hz, digest)


class CoreDevice(Device):
    """Rounds operands to the grid, runs one command per matrix, and scales replies back.

    `saturations` counts replies on matrices, and resident vectors, that saturated.
    """

    saturations = 0

    @abc.abstractmethod
    def _execute(self, opcode: Opcode, u: IntArray, x: IntArray) -> fixed.Reply:
        """Run one command on a batch of (n, 4, 4, 2) operands."""

    def _command(self, opcode: Opcode, u: IntArray | None, x: IntArray) -> fixed.Reply:
        if not self.config.lanes:
            raise NotSupported("this configuration has no matrices (lanes = 0)")
        if u is None:
            u = np.zeros_like(x)
        reply = self._execute(opcode, u, x)
        self.saturations += int(np.count_nonzero(reply.saturated))
        return reply

    def _grid(self, x: ComplexArray) -> IntArray:
        return operands.integers(x, self._q)

    def _value(self, n: IntArray) -> ComplexArray:
        parts = self.config.q.value(n)
        return np.asarray(parts[..., 0] + 1j * parts[..., 1], dtype=np.complex128)

    def _kron(self, a: ComplexArray, b: ComplexArray) -> ComplexArray:
        x = fixed.block_diagonal(self._grid(a), self._grid(b))
        return self._value(self._command(Opcode.KRON, None, x).y)

    def _conjugate(self, u: ComplexArray, x: ComplexArray) -> ComplexArray:
        return self._value(self._command(Opcode.CONJUGATE, self._grid(u), self._grid(x)).y)

    def _joint_state(self, u: ComplexArray, a: ComplexArray, b: ComplexArray) -> ComplexArray:
        x = fixed.block_diagonal(self._grid(a), self._grid(b))
        return self._value(self._command(Opcode.JOINT, self._grid(u), x).y)

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

    def _purity(self, a: ComplexArray) -> FloatArray:
        state = self._grid(a)
        x = fixed.block_diagonal(state, np.zeros_like(state))
        return self.config.q.value(self._command(Opcode.SQUARE, None, x).weight)

    def _spectrum(self, x: ComplexArray, *, vectors: bool) -> fixed.Reply:
        """The reply of the eigensolver for (m, n, n) matrices, a 2×2 in the leading block."""
        if not self.config.cordics:
            raise NotSupported("this configuration has no eigensolver (cordics = 0)")
        if vectors and not self.config.eigenvectors:
            raise NotSupported("this configuration has no eigenvectors")
        n = x.shape[-1]
        operands = np.zeros((len(x), 4, 4, 2), dtype=np.int64)
        operands[:, :n, :n] = self._grid(x)
        kind = "EIGENVECTORS" if vectors else "EIGENVALUES"
        return self._command(Opcode[f"{kind}_{n}"], None, operands)

    def _eigvalsh(self, x: ComplexArray) -> FloatArray:
        values = self._spectrum(x, vectors=False).values[:, : x.shape[-1]]
        return self.config.q.value(values)

    def _eigh(self, x: ComplexArray) -> tuple[FloatArray, ComplexArray]:
        n = x.shape[-1]
        reply = self._spectrum(x, vectors=True)
        return self.config.q.value(reply.values[:, :n]), self._value(reply.y[:, :n, :n])

    def _entropy(self, x: ComplexArray) -> FloatArray:
        return self.config.q.value(self._spectrum(x, vectors=False).entropy)

    def _observation(self, seen: rounds.Observation) -> Observation:
        q = self.config.q
        rest = (1 << q.f) - seen.diagonal
        return Observation(
            eigenvalues=q.value(seen.eigenvalues),
            entropy=q.value(seen.entropy),
            purity=q.value(seen.purity),
            diagonal=q.value(np.stack([seen.diagonal, rest], axis=1)),
        )

    def _form(self, c: FloatArray) -> IntArray:
        return operands.form(c, self._q)
