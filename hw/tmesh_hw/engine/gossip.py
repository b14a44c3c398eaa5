"""The gossip datapath: Kronecker → 4×4 MAC → partial traces → normalisation."""

from typing import Any

from amaranth import Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from tmesh.config import CoreConfig
from tmesh.golden import fixed
from tmesh.numbers import IntArray
from tmesh.opcodes import OPCODE_BITS, Opcode

from tmesh_hw.blocks import Kronecker, Normalise, OperatorMac, PartialTrace
from tmesh_hw.numbers import matrix, round_shift, saturate


class GossipDatapath(wiring.Component):
    """Two states and an operator in; both reduced states and the weight out (arithmetic `matrix`).

    Six opcodes run on the same blocks, replies in command order::

        EVOLVE         Kronecker → MAC (U, U) → both traces → normalise
        SQUARE         Kronecker with |0⟩⟨0| → MAC (I, a⊗I) → traces → normalise
        KRON           Kronecker → MAC (I, I) → round
        CONJUGATE                  MAC (U, U) → round
        JOINT          Kronecker → MAC (U, U) → round
        PARTIAL_TRACE              MAC (I, I) → both traces → round

    The formats are those of `tmesh.golden.fixed`. One evolve per ``interval`` cycles: 104 products
    over the lanes, 104, 26 and 7 cycles at 1, 4 and 16 lanes.
    Multipliers: 4·(lanes + Kronecker lanes) + 1.

    Parameters
    ----------
    config: the core configuration.

    Members
    -------
    i: stream of ``{opcode, u: 4×4, x: 4×4 Complex(f+2)}``; a is ``x[:2, :2]``, b ``x[2:, 2:]``
    o: stream of ``{y: 4×4 Complex(f+2), weight: signed(f+2), saturated: 1, vanished: 1}``; states
       are the diagonal blocks of y
    """

    def __init__(self, *, config: CoreConfig) -> None:
        self.config = config
        f, lanes = config.f, config.lanes
        self._descriptor = data.StructLayout({"opcode": OPCODE_BITS, "u": matrix(4, f + 2)})
        self._carry = data.StructLayout({"opcode": OPCODE_BITS, "saturated": 1})
        self._mac = OperatorMac(f=f, lanes=lanes, carry=self._carry)
        kronecker_lanes = next(n for n in (1, 2, 4, 8, 16) if 16 // n <= self._mac.interval(True))
        self._kronecker = Kronecker(f=f, lanes=kronecker_lanes)
        self._normalise = Normalise(
            f=f, width=2 * f + 8, states=2, interval=self._mac.interval(True)
        )
        command = {"opcode": OPCODE_BITS, "u": matrix(4, f + 2), "x": matrix(4, f + 2)}
        reply = {"y": matrix(4, f + 2), "weight": signed(f + 2), "saturated": 1, "vanished": 1}
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(command))),
                "o": Out(stream.Signature(data.StructLayout(reply))),
            }
        )

    @property
    def interval(self) -> int:
        """Cycles between evolves."""
        return self._mac.interval(True)

    @property
    def latency(self) -> int:
        """Cycles of one evolve alone."""
        return (
            self._kronecker.latency
            + self._mac.latency(hermitian=True)
            + PartialTrace.latency
            + self._normalise.latency
        )

    def model(self, opcode: Opcode, u: IntArray, x: IntArray) -> fixed.Reply:
        """Integers (..., 4, 4, 2) in; the exact reply."""
        return fixed.execute(opcode, u, x, self.config.f)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        f = self.config.f
        m.submodules.kronecker = kronecker = self._kronecker
        m.submodules.mac = mac = self._mac
        m.submodules.normalise = normalise = self._normalise
        traces = [PartialTrace(width=2 * f + 7, keep=keep) for keep in (0, 1)]
        m.submodules.trace_first, m.submodules.trace_second = traces
        # What the MAC needs of a command while its Kronecker product is under way.
        m.submodules.waiting = waiting = SyncFIFO(width=self._descriptor.size, depth=4)

        command = self.i.payload
        raw = Signal()
        m.d.comb += raw.eq(
            (command.opcode == Opcode.CONJUGATE) | (command.opcode == Opcode.PARTIAL_TRACE)
        )
        square = command.opcode == Opcode.SQUARE
        # A product that is a result, or a matrix as it could be in a command.
        result = (command.opcode == Opcode.KRON) | (command.opcode == Opcode.JOINT)
        into = data.View(self._descriptor, waiting.w_data)
        m.d.comb += [
            kronecker.i.valid.eq(self.i.valid & ~raw & waiting.w_rdy),
            waiting.w_en.eq(self.i.valid & ~raw & kronecker.i.ready),
            kronecker.i.payload.fine.eq(~result),
            into.opcode.eq(command.opcode),
        ]
        for i in range(2):
            for j in range(2):
                zero_state = (1 << f) if i == j == 0 else 0
                b = kronecker.i.payload.b[i][j]
                m.d.comb += [
                    kronecker.i.payload.a[i][j].eq(command.x[i][j]),
                    b.re.eq(Mux(square, zero_state, command.x[2 + i][2 + j].re)),
                    b.im.eq(Mux(square, 0, command.x[2 + i][2 + j].im)),
                ]
        for i in range(4):
            for j in range(4):
                same = (i & 1) == (j & 1)
                factor = command.x[i >> 1][j >> 1]
                for part in ("re", "im"):
                    a_times_identity = factor[part] if same else 0
                    m.d.comb += into.u[i][j][part].eq(
                        Mux(square, a_times_identity, command.u[i][j][part])
                    )

        # Raw commands enter the MAC directly, once no product is on its way.
        bypass = Signal()
        descriptor = data.View(self._descriptor, waiting.r_data)
        m.d.comb += [
            bypass.eq(raw & ~waiting.r_rdy),
            mac.i.valid.eq(Mux(bypass, self.i.valid, kronecker.o.valid)),
            kronecker.o.ready.eq(mac.i.ready & ~bypass),
            waiting.r_en.eq(kronecker.o.valid & kronecker.o.ready),
            self.i.ready.eq(Mux(raw, bypass & mac.i.ready, kronecker.i.ready & waiting.w_rdy)),
            mac.i.payload.x.eq(Mux(bypass, command.x.as_value(), kronecker.o.payload.k.as_value())),
            mac.i.payload.carry.saturated.eq(~bypass & kronecker.o.payload.saturated),
            mac.i.payload.carry.opcode.eq(Mux(bypass, command.opcode, descriptor.opcode)),
        ]
        opcode = mac.i.payload.carry.opcode
        u = Mux(bypass, command.u.as_value(), descriptor.u.as_value())
        eye = Const(
            [[{"re": (1 << f) * (i == j), "im": 0} for j in range(4)] for i in range(4)],
            matrix(4, f + 2),
        ).as_value()
        untouched = (opcode == Opcode.KRON) | (opcode == Opcode.PARTIAL_TRACE)
        m.d.comb += [
            mac.i.payload.left.eq(Mux(untouched | (opcode == Opcode.SQUARE), eye, u)),
            mac.i.payload.right.eq(Mux(untouched, eye, u)),
            mac.i.payload.hermitian.eq(opcode != Opcode.KRON),
        ]

        # Joint results leave once nothing is ahead of them in the traces or the normalisation.
        joint, behind = Signal(), Signal()
        normalising = Signal(range(16))
        carried = mac.o.payload.carry
        traced = Signal(self._carry, reset_less=True)
        trace_valid = traces[0].o.valid
        keep_traces = Signal()
        m.d.comb += [
            joint.eq(
                (carried.opcode == Opcode.KRON)
                | (carried.opcode == Opcode.CONJUGATE)
                | (carried.opcode == Opcode.JOINT)
            ),
            behind.eq(trace_valid | (normalising != 0)),
            keep_traces.eq(traced.opcode == Opcode.PARTIAL_TRACE),
        ]
        for n, block in enumerate(traces):
            m.d.comb += [
                block.i.payload.x.eq(mac.o.payload.y),
                block.i.valid.eq(mac.o.valid & ~joint),
                block.o.ready.eq(
                    Mux(
                        keep_traces,
                        self.o.ready & (normalising == 0),
                        normalise.i.ready,
                    )
                ),
                normalise.i.payload.y[n].eq(block.o.payload.r),
            ]
        m.d.comb += [
            mac.o.ready.eq(Mux(joint, self.o.ready & ~behind, traces[0].i.ready)),
            normalise.i.valid.eq(trace_valid & ~keep_traces),
            normalise.i.payload.saturated.eq(traced.saturated),
        ]
        with m.If(mac.o.valid & ~joint & traces[0].i.ready):
            m.d.sync += [
                traced.opcode.eq(carried.opcode),
                traced.saturated.eq(carried.saturated | mac.o.payload.saturated),
            ]
        entering = normalise.i.valid & normalise.i.ready
        leaving = normalise.o.valid & normalise.o.ready
        m.d.sync += normalising.eq(normalising + entering - leaving)

        reply = self.o.payload
        m.d.comb += normalise.o.ready.eq(self.o.ready)
        with m.If(normalising != 0):
            m.d.comb += [
                self.o.valid.eq(normalise.o.valid),
                reply.weight.eq(normalise.o.payload.weight),
                reply.saturated.eq(normalise.o.payload.saturated),
                reply.vanished.eq(normalise.o.payload.vanished),
            ]
            for n in (0, 1):
                for i in range(2):
                    for j in range(2):
                        m.d.comb += reply.y[2 * n + i][2 * n + j].eq(
                            normalise.o.payload.states[n][i][j]
                        )
        with m.Elif(trace_valid):
            flags = []
            m.d.comb += self.o.valid.eq(keep_traces)
            for n, block in enumerate(traces):
                for i in range(2):
                    for j in range(2):
                        for part in ("re", "im"):
                            value, flag = saturate(
                                round_shift(block.o.payload.r[i][j][part], f), f + 2
                            )
                            m.d.comb += reply.y[2 * n + i][2 * n + j][part].eq(value)
                            flags.append(flag)
            m.d.comb += reply.saturated.eq(traced.saturated | _any(flags))
        with m.Else():
            flags = []
            m.d.comb += self.o.valid.eq(mac.o.valid & joint)
            for i in range(4):
                for j in range(4):
                    for part in ("re", "im"):
                        value, flag = saturate(round_shift(mac.o.payload.y[i][j][part], f), f + 2)
                        m.d.comb += reply.y[i][j][part].eq(value)
                        flags.append(flag)
            m.d.comb += reply.saturated.eq(
                carried.saturated | mac.o.payload.saturated | _any(flags)
            )
        return m


def _any(flags: list[Any]) -> Any:
    result = flags[0]
    for flag in flags[1:]:
        result = result | flag
    return result
