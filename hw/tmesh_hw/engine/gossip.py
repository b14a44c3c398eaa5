"""The gossip datapath: Kronecker → 4×4 MAC → partial traces → normalisation."""

import itertools
from collections.abc import Iterable
from typing import Any

from amaranth import Array, C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.config import CoreConfig
from tmesh.golden import fixed
from tmesh.numbers import IntArray
from tmesh.opcodes import OPCODE_BITS, Opcode

from tmesh_hw.blocks import EntrywiseMac, Normalise, PartialTraces, RoundedProduct, StreamRegister
from tmesh_hw.blocks.entrywise_mac import ORDER, UPPER
from tmesh_hw.numbers import Complex, matrix, round_shift, saturate


class GossipDatapath(wiring.Component):
    """Two states and an operator in; both reduced states and the weight out (arithmetic `matrix`).

    Six opcodes run on the same blocks, replies in command order::

        EVOLVE         Kronecker → MAC (U, U) → both traces → normalise
        SQUARE         Kronecker with |0⟩⟨0| → MAC (I, a⊗I) → traces → normalise
        KRON           Kronecker → MAC (I, I) → round
        CONJUGATE      times 1   → MAC (U, U) → round
        JOINT          Kronecker → MAC (U, U) → round
        PARTIAL_TRACE  times 1   → MAC (I, I) → both traces → round

    Matrices go through entry by entry, from the command to the reply, and nothing stalls on the
    way. The MAC begins a result when it has a place.

    The formats are those of `tmesh.golden.fixed`. One evolve per ``interval`` cycles: 104 products
    over the lanes, 104, 26 and 7 cycles at 1, 4 and 16 lanes.
    Multipliers: 4·(lanes + entries of a Kronecker product at a time) + 1.

    Parameters
    ----------
    config: the core configuration.

    Members
    -------
    i: stream of ``{opcode, u: 4×4, x: 4×4 Complex(f+2)}``; a is ``x[:2, :2]``, b ``x[2:, 2:]``;
       taken when its last entry is on its way
    o: stream of ``{y: 4×4 Complex(f+2), weight: signed(f+2), saturated: 1, vanished: 1}``; states
       are the diagonal blocks of y
    """

    def __init__(self, *, config: CoreConfig) -> None:
        self.config = config
        f, lanes = config.f, config.lanes
        carry = data.StructLayout({"joint": 1, "traces": 1})
        self._mac = EntrywiseMac(f=f, lanes=lanes, carry=carry)
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
        """Cycles of one evolve alone; an operand is chosen in two."""
        return (
            1
            + RoundedProduct.latency
            + self._mac.latency(hermitian=True)
            + PartialTraces.latency
            + self._normalise.latency
            + (2 if self._spare else 1) * StreamRegister.latency
        )

    @property
    def _spare(self) -> bool:
        """Whether traces wait in a separate register. With 16 lanes a result has to begin before
        the normaliser has all traces of the result two before."""
        return self.config.lanes == 16

    def model(self, opcode: Opcode, u: IntArray, x: IntArray) -> fixed.Reply:
        """Integers (..., 4, 4, 2) in; the exact reply."""
        return fixed.execute(opcode, u, x, self.config.f)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.mac = self._mac
        m.submodules.normalise = self._normalise
        self._operands(m)
        self._results(m)
        return m

    def _operands(self, m: Module) -> None:
        """A command to the MAC, `loads` entries of U and of the product a cycle."""
        f, mac, command = self.config.f, self._mac, self.i.payload
        loads = mac.loads
        beats = 16 // loads

        def has(*opcodes: Opcode) -> Any:
            return Cat(command.opcode == opcode for opcode in opcodes).any()

        raw = has(Opcode.CONJUGATE, Opcode.PARTIAL_TRACE)
        square = has(Opcode.SQUARE)
        untouched = has(Opcode.KRON, Opcode.PARTIAL_TRACE)
        # A product that is a result, or a matrix as it could be in a command.
        result = has(Opcode.KRON, Opcode.JOINT)
        busy, last = Signal(), Signal()
        beat, beat_of_x = (
            Signal(range(beats), name=name, attrs={"keep": 1}) for name in ("beat", "beat_of_x")
        )
        following = Signal.like(beat, attrs={})
        # The kind of a command arrives a cycle after it, or two.
        kinds = data.StructLayout({"square": 1, "left": 1, "right": 1, "fine": 1})
        kind, late_kind = Signal(kinds), Signal(kinds)
        m.d.comb += [
            mac.begin.valid.eq(self.i.valid & ~busy & mac.room),
            mac.begin.hermitian.eq(~has(Opcode.KRON)),
            mac.begin.carry.joint.eq(result | has(Opcode.CONJUGATE)),
            mac.begin.carry.traces.eq(has(Opcode.PARTIAL_TRACE)),
            self.i.ready.eq(last),
            following.eq(Mux(busy, beat + 1, 0)),
        ]
        m.d.sync += [
            busy.eq(mac.begin.valid | (busy & ~last)),
            beat.eq(following),
            beat_of_x.eq(following),
            last.eq(busy & (following == beats - 1)),
            kind.square.eq(square),
            kind.left.eq(untouched | square),
            kind.right.eq(untouched),
            kind.fine.eq(~(result | raw)),
            late_kind.eq(kind),
        ]

        u, x = command.u, command.x
        # One of the operands is chosen; and ready for the MAC.
        chosen_valid, ready = Signal(2), mac.operators.valid
        m.d.sync += [chosen_valid.eq(Cat(busy, chosen_valid)), ready.eq(chosen_valid[-1])]
        saturated = []
        for e in range(loads):
            numbers = range(e, 16, loads)  # of entries, beat by beat
            # Entries of U row by row, and of a ⊗ I.
            rows = [divmod(n, 4) for n in numbers]
            chosen, times, left, right = (
                Signal(Complex(f + 2), name=f"{name}{e}", reset_less=True)
                for name in ("chosen", "times", "left", "right")
            )
            diagonal, between = Signal(2, name=f"diagonal{e}"), Signal(2, name=f"between{e}")
            m.d.sync += [
                chosen.as_value().eq(_one_of(m, (u[i][j] for i, j in rows), beat)),
                # Entries of a ⊗ I, but for its zeros: `between` says where they are.
                times.as_value().eq(_one_of(m, (x[i >> 1][j >> 1] for i, j in rows), beat_of_x)),
                between.eq(Cat(Array((i ^ j) & 1 for i, j in rows)[beat], between)),
                diagonal.eq(Cat(Array(int(i == j) for i, j in rows)[beat], diagonal)),
            ]
            unity = Cat(C(0, f), diagonal[-1], C(0, f + 3))
            spread = times.as_value() & ~between[-1].replicate(2 * f + 4)
            own = Mux(late_kind.right, unity, chosen.as_value())
            m.d.sync += [
                left.as_value().eq(Mux(late_kind.left, unity, chosen.as_value())),
                right.as_value().eq(Mux(late_kind.square, spread, own)),
            ]
            m.d.comb += [mac.operators.left[e].eq(left), mac.operators.right[e].eq(right)]
            # Entries of the Kronecker product, or of X times 1, column by column.
            m.submodules[f"product{e}"] = product = RoundedProduct(f=f)
            columns = [(n & 3, n >> 2) for n in numbers]
            of_a = Signal(4, name=f"of_a{e}", attrs={"keep": 1})
            of_b = Signal(2, name=f"of_b{e}", attrs={"keep": 1})
            fixed_b, one_b = Signal(name=f"fixed_b{e}"), Signal(name=f"one_b{e}")
            at_x = Array(4 * i + j for i, j in columns)[following]
            at_a = Array(4 * (i >> 1) + (j >> 1) for i, j in columns)[following]
            at_b = Array(2 * (i & 1) + (j & 1) for i, j in columns)[following]
            m.d.sync += [
                of_a.eq(Mux(raw, at_x, at_a)),
                of_b.eq(at_b),
                fixed_b.eq(raw | square),
                one_b.eq(raw | (square & (at_b == 0))),
            ]
            into = product.i.payload
            b = Array(x[2 + i][2 + j].as_value() for i in (0, 1) for j in (0, 1))[of_b]
            factor = Signal(Complex(f + 2), name=f"factor{e}", reset_less=True)
            m.d.sync += factor.as_value().eq((b & ~fixed_b.replicate(len(b))) | (one_b << f))
            m.d.comb += [
                into.a.as_value().eq(_one_of(m, (x[n >> 2][n & 3] for n in range(16)), of_a)),
                into.b.eq(factor),
                into.fine.eq(late_kind.fine),
                product.i.valid.eq(chosen_valid[0]),
                product.o.ready.eq(1),
                mac.x.x[e].eq(product.o.payload.p),
            ]
            saturated.append(product.o.payload.saturated)
            m.d.comb += mac.x.valid.eq(product.o.valid)
        m.d.comb += mac.x.saturated.eq(Cat(saturated).any())

    def _results(self, m: Module) -> None:
        """From the MAC to the replies, which leave in order, whether they are normalised or not."""
        f, mac, normalise = self.config.f, self._mac, self._normalise
        wide = 2 * f + 7
        m.submodules.traces = traces = PartialTraces(width=wide, units=mac.units)
        m.submodules.reply = reply = StreamRegister(self.o.payload.shape())
        wiring.connect(m, reply.o, wiring.flipped(self.o))

        # To normalise: the traces, and their flag.
        traced = Signal(data.StructLayout({"traces": 1, "saturated": 1}), reset_less=True)
        with m.If(mac.o.valid & mac.o.last):
            m.d.sync += [traced.traces.eq(mac.o.carry.traces), traced.saturated.eq(mac.o.saturated)]
        scaled = normalise.i
        if self._spare:
            m.submodules.spare = spare = StreamRegister(scaled.payload.shape())
            wiring.connect(m, spare.o, normalise.i)
            scaled = spare.i
        pieces = 6
        piece = Signal(range(pieces))
        tracing = Signal()
        m.d.comb += [
            traces.i.valid.eq(mac.o.valid & ~mac.o.carry.joint),
            traces.i.payload.x.eq(mac.o.y),
            scaled.valid.eq(traces.o.valid & ~traced.traces),
            scaled.payload.y.eq(traces.o.payload.r),
            scaled.payload.saturated.eq(traced.saturated),
            tracing.eq(traces.o.valid & traced.traces),
            traces.o.ready.eq(Mux(traced.traces, piece == pieces - 1, scaled.ready)),
        ]
        with m.If(tracing):
            m.d.sync += piece.eq(Mux(piece == pieces - 1, 0, piece + 1))

        # When a result has room: the traces of all but one have left, and those of this one can
        # leave. A result that is not normalised waits until the normaliser is empty.
        direct, direct_busy = Signal(), Signal()
        normalising, waiting = Signal(range(16)), Signal(range(3))
        granted, entering = Signal(), Signal()
        leaving = normalise.o.valid & normalise.o.ready
        busy = Signal()
        remains = Mux(leaving, normalising != 1, normalising != 0)
        head = mac.next.payload.carry
        place = (waiting == 0) | ((waiting == 1) & scaled.ready)
        m.d.comb += [
            direct.eq(head.joint | head.traces),
            granted.eq(mac.next.valid & mac.next.ready & ~direct),
            entering.eq(scaled.valid & scaled.ready),
            mac.next.ready.eq(~direct_busy & Mux(direct, ~busy, place)),
        ]
        m.d.sync += [
            normalising.eq(normalising + granted - leaving),
            busy.eq(granted | remains),
            waiting.eq(waiting + granted - entering),
        ]
        with m.If(mac.next.valid & mac.next.ready & direct):
            m.d.sync += direct_busy.eq(1)

        y, there, selected, corners, saturated = self._round(
            m, traces.o, tracing, piece, traced.saturated
        )
        into = reply.i.payload
        # Nothing is normalised meanwhile.
        m.d.comb += [
            reply.i.valid.eq(there | normalise.o.valid),
            normalise.o.ready.eq(reply.i.ready & ~there),
        ]
        with m.If(there & reply.i.ready):
            m.d.sync += [there.eq(0), selected.eq(0), corners.eq(0), direct_busy.eq(0)]
        for i, j in itertools.product(range(4), range(4)):
            entry, whole = into.y[i][j].as_value(), y[i][j].as_value()
            if i >> 1 == j >> 1:
                state = normalise.o.payload.states[i >> 1][i & 1][j & 1].as_value()
                m.d.comb += entry.eq(Mux(selected, whole, state))
            else:
                m.d.comb += entry.eq(whole & corners.replicate(len(whole)))
        # By gates: a choice between a value and zero becomes a reset of many registers.
        normalised = normalise.o.payload
        m.d.comb += [
            into.weight.eq(normalised.weight & ~there.replicate(f + 2).as_signed()),
            into.saturated.eq(Mux(there, saturated, normalised.saturated)),
            into.vanished.eq(normalised.vanished & ~there),
        ]

    def _round(
        self, m: Module, traces: Any, tracing: Any, piece: Any, flagged: Any
    ) -> tuple[Any, ...]:
        """Entries of Y, and those of traces that are a result, rounded into place: first rounded,
        then mirrored, clipped, and kept."""
        f, mac = self.config.f, self._mac
        units, o = mac.units, mac.o
        steps = 16 // units
        tag = data.StructLayout(
            {
                "step": range(steps),
                "direct": 1,
                "piece": 3,
                "traced": 1,
                "mirrored": 1,
                "last": 1,
                "saturated": 1,
            }
        )
        tags = [Signal(tag, name=f"round_tag{n}") for n in range(4)]
        m.d.comb += [
            tags[0].step.eq(o.step),
            tags[0].direct.eq(o.valid & o.carry.joint),
            tags[0].piece.eq(piece),
            tags[0].traced.eq(tracing),
            tags[0].mirrored.eq(tracing | o.hermitian),
            tags[0].last.eq(Mux(tracing, piece == 5, o.last)),
            tags[0].saturated.eq(Mux(tracing, flagged, o.saturated & o.last)),
        ]
        m.d.sync += [after.eq(before) for before, after in itertools.pairwise(tags)]
        # The diagonal of each trace, then what is beside it.
        places = [(2 * n + i, 2 * n + j) for n in (0, 1) for i, j in ((0, 0), (1, 1), (0, 1))]
        r = traces.payload.r
        pieces = Array(r[p >> 1][p & 1][q & 1].as_value() for p, q in places)
        trace = data.View(Complex(2 * f + 8), pieces[piece])

        y = Signal(matrix(4, f + 2), name="y", reset_less=True)
        written: list[dict[str, Any]] = []
        flags = []
        for unit in range(units):
            diagonal = [s for s in range(steps) if len(set(ORDER[s * units + unit])) == 1]
            real = o.hermitian & Cat(o.step == s for s in diagonal).any()
            parts = {}
            for part in ("re", "im"):
                entry = round_shift(o.y[unit][part], f)
                if part == "im":
                    entry = entry & ~real.replicate(len(entry)).as_signed()
                rounded = Signal(signed(f + 8), name=f"rounded{unit}_{part}", reset_less=True)
                m.d.sync += rounded.eq(Mux(tracing, trace[part] >> f, entry))
                later = Signal.like(rounded, name=f"later{unit}_{part}")
                m.d.sync += later.eq(rounded)
                parts[part] = later
                if part == "im":
                    parts["mirror"] = mirror = Signal(signed(f + 9), reset_less=True)
                    m.d.sync += mirror.eq(-rounded)
            written.append({})
            # Behind the upper triangle, in its last step, entries are of no use.
            behind = Cat(tags[2].step == s for s in range(steps) if s * units + unit >= len(UPPER))
            behind = behind.any()
            for name, rounded in parts.items():
                kept = Signal(signed(f + 2), name=f"{name}{unit}", reset_less=True)
                clipped, flag = saturate(rounded, f + 2)
                m.d.sync += kept.eq(clipped)
                written[unit][name] = kept
                flag &= ~(behind & tags[2].direct & tags[2].mirrored)
                flags.append(flag & tags[2].mirrored if name == "mirror" else flag)
        now = tags[3]
        for number, (p, q) in enumerate(ORDER):
            step, unit = divmod(number, units)
            mine, value = written[unit], y[p][q]
            wanted = now.direct & (now.step == step)
            re, im = mine["re"], mine["im"]
            if p > q:
                upper, above = divmod(UPPER.index((q, p)), units)
                wanted = now.direct & Mux(now.mirrored, now.step == upper, now.step == step)
                re = Mux(now.mirrored, written[above]["re"], re)
                im = Mux(now.mirrored, written[above]["mirror"], im)
            if (min(p, q), max(p, q)) in places:
                wanted |= now.traced & (now.piece == places.index((min(p, q), max(p, q))))
            with m.If(wanted):
                m.d.sync += [value.re.eq(re), value.im.eq(im)]

        saturated = Signal()
        # Kept apart: the valid bit of a result, the select of all of it, and the select of all but
        # the traces.
        there, selected, corners = (
            Signal(name=name, attrs={"keep": 1}) for name in ("there", "selected", "corners")
        )
        overflow = Signal()
        m.d.sync += overflow.eq(Cat(flags).any())
        first = Signal(init=1)
        with m.If(now.direct | now.traced):
            m.d.sync += [
                first.eq(now.last),
                saturated.eq(overflow | now.saturated | (saturated & ~first)),
                there.eq(now.last),
                selected.eq(now.last),
                corners.eq(now.last & ~now.traced),
            ]
        return y, there, selected, corners, saturated


def _one_of(m: Module, entries: Iterable[Any], number: Any) -> Any:
    """The entry of that number in the cycle before: one of each four, then one of these."""
    values = [entry.as_value() for entry in entries]
    fours = [values[n : n + 4] for n in range(0, len(values), 4)]
    chosen = [Signal(len(values[0]), name="chosen", reset_less=True) for _ in fours]
    which = Signal(max(1, (len(fours) - 1).bit_length()), reset_less=True)
    m.d.sync += [
        which.eq(number[2:]),
        *(one.eq(Array(four)[number[:2]]) for one, four in zip(chosen, fours, strict=True)),
    ]
    return Array(chosen)[which]
