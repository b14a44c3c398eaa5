"""The gossip datapath: Kronecker → 4×4 MAC → partial traces → normalisation."""

import itertools
from typing import Any

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from tmesh.config import CoreConfig
from tmesh.golden import fixed
from tmesh.numbers import IntArray
from tmesh.opcodes import OPCODE_BITS, Opcode

from tmesh_hw.blocks import Kronecker, Normalise, OperatorMac, PartialTrace, StreamRegister
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
        flags = dict.fromkeys(("left_identity", "identity", "hermitian", "joint", "traces"), 1)
        self._descriptor = data.StructLayout({"u": matrix(4, f + 2), **flags})
        self._carry = data.StructLayout({"joint": 1, "traces": 1, "saturated": 1})
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
            + 2 * StreamRegister.latency
        )

    def model(self, opcode: Opcode, u: IntArray, x: IntArray) -> fixed.Reply:
        """Integers (..., 4, 4, 2) in; the exact reply."""
        return fixed.execute(opcode, u, x, self.config.f)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        f = self.config.f
        m.submodules.kronecker = kronecker = self._kronecker
        m.submodules.mac = mac = self._mac
        m.submodules.normalise = self._normalise
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
        untouched = (command.opcode == Opcode.KRON) | (command.opcode == Opcode.PARTIAL_TRACE)
        # Raw commands go past the multiplication, once no product is on its way.
        m.submodules.product = product = StreamRegister(kronecker.o.payload.shape(), halved=True)
        passes = raw & ~waiting.r_rdy
        into = data.View(self._descriptor, waiting.w_data)
        m.d.comb += [
            kronecker.i.valid.eq(self.i.valid & ~raw & waiting.w_rdy),
            kronecker.i.payload.fine.eq(~result),
            product.i.valid.eq(kronecker.o.valid | (passes & self.i.valid)),
            product.i.payload.k.eq(Mux(waiting.r_rdy, kronecker.o.payload.k, command.x)),
            product.i.payload.saturated.eq(waiting.r_rdy & kronecker.o.payload.saturated),
            kronecker.o.ready.eq(product.i.ready),
            self.i.ready.eq(Mux(raw, passes & product.i.ready, kronecker.i.ready & waiting.w_rdy)),
            waiting.w_en.eq(self.i.valid & self.i.ready),
            into.identity.eq(untouched),
            into.left_identity.eq(untouched | square),
            into.hermitian.eq(command.opcode != Opcode.KRON),
            into.joint.eq(result | (command.opcode == Opcode.CONJUGATE)),
            into.traces.eq(command.opcode == Opcode.PARTIAL_TRACE),
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

        descriptor = data.View(self._descriptor, waiting.r_data)
        for side, identity in (("left", descriptor.left_identity), ("right", descriptor.identity)):
            # By gates: what is chosen from zero becomes a reset of many registers.
            for i, j, part in itertools.product(range(4), range(4), ("re", "im")):
                one = identity << f if i == j and part == "re" else 0
                entry = descriptor.u[i][j][part].as_unsigned() & ~identity.replicate(f + 2)
                m.d.comb += mac.i.payload[side][i][j][part].eq(entry | one)
        m.d.comb += [
            mac.i.valid.eq(product.o.valid),
            product.o.ready.eq(mac.i.ready),
            waiting.r_en.eq(product.o.valid & mac.i.ready),
            mac.i.payload.x.eq(product.o.payload.k),
            mac.i.payload.hermitian.eq(descriptor.hermitian),
            mac.i.payload.carry.joint.eq(descriptor.joint),
            mac.i.payload.carry.traces.eq(descriptor.traces),
            mac.i.payload.carry.saturated.eq(product.o.payload.saturated),
        ]
        self._results(m)
        return m

    def _results(self, m: Module) -> None:
        """From the MAC to the replies, which leave in order, whether they are normalised or not."""
        f, mac, normalise = self.config.f, self._mac, self._normalise
        traces = [PartialTrace(width=2 * f + 7, keep=keep) for keep in (0, 1)]
        m.submodules.trace_first, m.submodules.trace_second = traces
        carried, traced = mac.o.payload.carry, Signal(self._carry, reset_less=True)
        # The other stands apart, for all that it selects.
        traces_valid, selects = traces[0].o.valid, Signal(attrs={"keep": 1})
        m.d.sync += selects.eq(Mux(traces_valid, ~traces[0].o.ready, mac.o.valid & ~carried.joint))
        # What is not normalised is rounded first; it waits until nothing is normalised.
        wide, parts = 2 * f + 8, 32
        rounded = data.StructLayout(
            {"y": data.ArrayLayout(signed(wide + 1 - f), parts), "saturated": 1}
        )
        m.submodules.rounding = rounding = StreamRegister(rounded, halved=True)
        normalising, busy = Signal(range(16)), Signal()
        entering = normalise.i.valid & normalise.i.ready
        leaving = normalise.o.valid & normalise.o.ready
        remains = Mux(leaving, normalising != 1, normalising != 0)
        m.d.sync += [
            normalising.eq(normalising + entering - leaving),
            busy.eq(entering | remains),
        ]

        passes = rounding.i.ready & ~busy
        keep = traces_valid & traced.traces
        m.d.comb += [
            rounding.i.valid.eq(~busy & Mux(traces_valid, keep, mac.o.valid & carried.joint)),
            rounding.i.payload.saturated.eq(
                Mux(traces_valid, traced.saturated, carried.saturated | mac.o.payload.saturated)
            ),
            mac.o.ready.eq(~traces_valid & (~carried.joint | passes)),
            normalise.i.valid.eq(traces_valid & ~traced.traces),
            normalise.i.payload.saturated.eq(traced.saturated),
        ]
        for n, block in enumerate(traces):
            m.d.comb += [
                block.i.payload.x.eq(mac.o.payload.y),
                block.i.valid.eq(mac.o.valid & ~carried.joint & ~traces_valid),
                block.o.ready.eq(Mux(traced.traces, passes, normalise.i.ready)),
                normalise.i.payload.y[n].eq(block.o.payload.r),
            ]
        with m.If(~traces_valid):
            m.d.sync += [
                traced.eq(carried),
                traced.saturated.eq(carried.saturated | mac.o.payload.saturated),
            ]
        for n, (i, j, part) in enumerate(itertools.product(range(4), range(4), ("re", "im"))):
            value = Signal(signed(wide), name=f"value{n}")
            m.d.comb += value.eq(mac.o.payload.y[i][j][part])
            with m.If(selects):
                same = i >> 1 == j >> 1
                kept = traces[i >> 1].o.payload.r[i & 1][j & 1][part] if same else 0
                m.d.comb += value.eq(kept)
            m.d.comb += rounding.i.payload.y[n].eq(round_shift(value, f))

        m.submodules.reply = reply = StreamRegister(self.o.payload.shape(), halved=True)
        wiring.connect(m, reply.o, wiring.flipped(self.o))
        into, first = reply.i.payload, rounding.o.valid
        # Nothing was normalised when this was rounded, so all that is now came later.
        m.d.comb += [
            reply.i.valid.eq(first | normalise.o.valid),
            rounding.o.ready.eq(reply.i.ready),
            normalise.o.ready.eq(reply.i.ready & ~first),
        ]
        clipped = [saturate(value, f + 2) for value in rounding.o.payload.y]
        selected = Signal(attrs={"keep": 1})
        m.d.sync += selected.eq(Mux(first, ~rounding.o.ready, rounding.i.valid))
        with m.If(selected):
            flags = Cat(flag for _, flag in clipped)
            m.d.comb += [
                into.y.eq(Cat(value for value, _ in clipped)),
                into.saturated.eq(rounding.o.payload.saturated | flags.any()),
            ]
        with m.Else():
            m.d.comb += [
                into.weight.eq(normalise.o.payload.weight),
                into.saturated.eq(normalise.o.payload.saturated),
                into.vanished.eq(normalise.o.payload.vanished),
            ]
            for n, i, j in itertools.product(range(2), range(2), range(2)):
                m.d.comb += into.y[2 * n + i][2 * n + j].eq(normalise.o.payload.states[n][i][j])
