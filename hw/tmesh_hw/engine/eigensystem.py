"""Eigenvalues, eigenvectors and entropy, as one command each."""

from typing import Any

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.config import CoreConfig
from tmesh.opcodes import OPCODE_BITS, Opcode

from tmesh_hw.blocks import Entropy, Queue, StreamRegister
from tmesh_hw.eigen import HermitianJacobi
from tmesh_hw.numbers import matrix, round_shift, saturate


class Eigensystem(wiring.Component):
    """`HermitianJacobi` of size 4, with `Entropy` behind it, in the format of the core.

    Eigenvalues are rounded to Q(2, f); the entropy comes from the unrounded ones. A result that a
    command does not ask for is zero. The entropy takes four cycles a matrix, so a 2×2 does too.

    Parameters
    ----------
    config: the core configuration.

    Members
    -------
    i: stream of ``{opcode, x: 4×4 Complex(f+2)}``
    o: stream of ``{y: 4×4 Complex(f+2), values: 4 × signed(f+2), entropy: signed(f+2),
       saturated: 1}``; eigenvectors are the columns of y
    """

    def __init__(self, *, config: CoreConfig) -> None:
        self.config = config
        width = config.f + 2
        command = {"opcode": OPCODE_BITS, "x": matrix(4, width)}
        self._kept = data.StructLayout(
            {
                "y": matrix(4, width),
                "values": data.ArrayLayout(signed(width), 4),
                "saturated": 1,
            }
        )
        reply = {**{name: field.shape for name, field in self._kept}, "entropy": signed(width)}
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(command))),
                "o": Out(stream.Signature(data.StructLayout(reply))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        wants = data.StructLayout({"small": 1, "vectors": 1})
        m.submodules.solver = solver = HermitianJacobi(
            f=config.f,
            n=4,
            cordics=config.cordics,
            iterative=config.iterative,
            vectors=config.eigenvectors,
            carry=wants,
        )
        m.submodules.entropy = entropy = Entropy(f=config.f, n=4)
        m.submodules.spectra = spectra = StreamRegister(entropy.i.payload.shape(), every=3)
        wiring.connect(m, spectra.o, entropy.i)
        # Results that wait for the entropy of their matrix, and entropies: each has a place.
        m.submodules.kept = kept = Queue(self._kept)
        m.submodules.entropies = entropies = Queue(signed(config.f + 2))
        m.submodules.reply = reply = StreamRegister(self.o.payload.shape())
        wiring.connect(m, reply.o, wiring.flipped(self.o))
        # The solver decides late whether it takes a matrix.
        m.submodules.entry = entry = StreamRegister(solver.i.payload.shape(), every=3)
        wiring.connect(m, entry.o, solver.i)
        opcode, command = self.i.payload.opcode, entry.i.payload
        small = (opcode == Opcode.EIGENVALUES_2) | (opcode == Opcode.EIGENVECTORS_2)
        vectors = (opcode == Opcode.EIGENVECTORS_2) | (opcode == Opcode.EIGENVECTORS_4)
        m.d.comb += [
            entry.i.valid.eq(self.i.valid),
            self.i.ready.eq(entry.i.ready),
            command.x.eq(self.i.payload.x),
            command.small.eq(small),
            command.vectors.eq(vectors),
            command.carry.small.eq(small),
            command.carry.vectors.eq(vectors),
        ]

        # A result is rounded on its way into `kept`, which says a cycle late that it is full:
        # `spectra` takes none in the next three cycles. That both may take one is decided in the
        # cycle before.
        result, takes = solver.o.payload, Signal()
        taken = solver.o.valid & takes
        m.d.sync += takes.eq(spectra.i.ready & kept.i.ready & ~taken)
        keep = Signal(self._kept, reset_less=True)
        shift = solver.format.fraction - config.f
        flags = []
        for k in range(4):
            value, flag = saturate(round_shift(result["values"][k], shift), config.f + 2)
            used = 1 if k < 2 else ~result.carry.small
            m.d.sync += keep["values"][k].eq(Mux(used, value, 0))
            flags.append(flag & used)
        m.d.sync += [
            keep.saturated.eq(result.saturated | flags[0] | flags[1] | flags[2] | flags[3]),
            kept.i.valid.eq(taken),
        ]
        m.d.comb += [
            solver.o.ready.eq(takes),
            spectra.i.valid.eq(taken),
            spectra.i.payload["values"].eq(result["values"]),
            kept.i.payload.eq(keep),
        ]
        if config.eigenvectors:
            # One bit for each row. With one ring the carry arrives cycles before the vectors. With
            # two a result may follow at once, but `spectra` takes none in the cycle after one.
            for i in range(4):
                leading, whole = (
                    Signal(name=f"{name}{i}", attrs={"keep": 1}, reset_less=True)
                    for name in ("leading", "whole")
                )
                m.d.sync += [
                    leading.eq(result.carry.vectors),
                    whole.eq(result.carry.vectors & ~result.carry.small),
                ]
                for k in range(4):
                    part = result.vectors[i][k].as_value()
                    shown = leading if max(i, k) < 2 else whole
                    m.d.sync += keep.y[i][k].as_value().eq(part & shown.replicate(len(part)))

        m.d.comb += [
            entropy.o.ready.eq(1),
            entropies.i.valid.eq(entropy.o.valid),
            entropies.i.payload.eq(entropy.o.payload.entropy),
            reply.i.valid.eq(entropies.o.valid & kept.o.valid),
            kept.o.ready.eq(entropies.o.valid & reply.i.ready),
            entropies.o.ready.eq(kept.o.valid & reply.i.ready),
            reply.i.payload.entropy.eq(entropies.o.payload),
            *(reply.i.payload[name].eq(kept.o.payload[name]) for name, _ in self._kept),
        ]
        return m
