"""Eigenvalues, eigenvectors and entropy, as one command each."""

from typing import Any

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from tmesh.config import CoreConfig
from tmesh.opcodes import OPCODE_BITS, Opcode

from tmesh_hw.blocks import Entropy, StreamRegister
from tmesh_hw.eigen import HermitianJacobi
from tmesh_hw.numbers import matrix, round_shift, saturate


class Eigensystem(wiring.Component):
    """`HermitianJacobi` of size 4, with `Entropy` behind it, in the format of the core.

    Eigenvalues are rounded to Q(2, f); the entropy comes from the unrounded ones. What a command
    does not ask for is zero. The entropy takes four cycles a matrix, so a 2×2 does too.

    Parameters
    ----------
    config: the core configuration.

    Members
    -------
    i: stream of ``{opcode, x: 4×4 Complex(f+2)}``
    o: stream of ``{y: 4×4 Complex(f+2), values: 4 × signed(f+2), entropy: signed(f+2),
       saturated: 1}``; eigenvectors are the columns of y
    """

    #: Matrices that may wait for their entropies.
    _DEPTH = 16

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
        m.submodules.spectra = spectra = StreamRegister(entropy.i.payload.shape(), halved=True)
        wiring.connect(m, spectra.o, entropy.i)
        # What waits for the entropy of its matrix, and entropies: there is a place for each. From a
        # register: whether there is for another one, if one comes in this cycle.
        m.submodules.kept = kept = SyncFIFO(width=self._kept.size, depth=self._DEPTH)
        m.submodules.entropies = entropies = SyncFIFO(width=config.f + 2, depth=self._DEPTH)
        room = Signal()
        m.d.sync += room.eq(kept.w_level < self._DEPTH - 1)
        m.submodules.reply = reply = StreamRegister(self.o.payload.shape(), halved=True)
        wiring.connect(m, reply.o, wiring.flipped(self.o))
        opcode, command = self.i.payload.opcode, solver.i.payload
        small = (opcode == Opcode.EIGENVALUES_2) | (opcode == Opcode.EIGENVECTORS_2)
        vectors = (opcode == Opcode.EIGENVECTORS_2) | (opcode == Opcode.EIGENVECTORS_4)
        m.d.comb += [
            solver.i.valid.eq(self.i.valid),
            self.i.ready.eq(solver.i.ready),
            command.x.eq(self.i.payload.x),
            command.small.eq(small),
            command.vectors.eq(vectors),
            command.carry.small.eq(small),
            command.carry.vectors.eq(vectors),
        ]

        result = solver.o.payload
        keep = Signal(self._kept)
        shift = solver.format.fraction - config.f
        flags = []
        for k in range(4):
            value, flag = saturate(round_shift(result["values"][k], shift), config.f + 2)
            used = 1 if k < 2 else ~result.carry.small
            m.d.comb += keep["values"][k].eq(Mux(used, value, 0))
            flags.append(flag & used)
        m.d.comb += [
            keep.saturated.eq(result.saturated | flags[0] | flags[1] | flags[2] | flags[3]),
            solver.o.ready.eq(spectra.i.ready & room),
            spectra.i.valid.eq(solver.o.valid & room),
            spectra.i.payload["values"].eq(result["values"]),
            kept.w_en.eq(solver.o.valid & solver.o.ready),
            kept.w_data.eq(keep),
        ]
        if config.eigenvectors:
            # One bit for each row. With one ring the carry is there cycles before the vectors; with
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
                    entry = result.vectors[i][k].as_value()
                    shown = leading if max(i, k) < 2 else whole
                    m.d.comb += keep.y[i][k].as_value().eq(entry & shown.replicate(len(entry)))

        out, both = data.View(self._kept, kept.r_data), entropies.r_rdy & kept.r_rdy
        m.d.comb += [
            entropy.o.ready.eq(1),
            entropies.w_en.eq(entropy.o.valid),
            entropies.w_data.eq(entropy.o.payload.entropy),
            reply.i.valid.eq(both),
            kept.r_en.eq(both & reply.i.ready),
            entropies.r_en.eq(both & reply.i.ready),
            reply.i.payload.entropy.eq(entropies.r_data),
        ]
        for name, _ in self._kept:
            m.d.comb += reply.i.payload[name].eq(out[name])
        return m
