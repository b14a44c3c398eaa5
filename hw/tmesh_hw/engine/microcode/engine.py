"""The engine in one multiplier, for the smallest devices."""

import operator
from typing import Any

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.config import CoreConfig
from tmesh.errors import InvalidInput

from tmesh_hw.engine.microcode.layout import OPERATOR, Layout, table
from tmesh_hw.engine.microcode.program import Program
from tmesh_hw.engine.microcode.sequencer import LINK, Sequencer
from tmesh_hw.engine.words import word_layout


class MicrocodedEngine(wiring.Component):
    """Executes the packets of `tmesh.packets` one after another, like `tmesh_hw.engine.Engine`: the
    same replies, and HELD, STARVED and WAITED stay 0.

    A program on one 16×16 multiplier: meetings, swap tests, weighted operators, means,
    purification, eigenvalues and entropy of resident states. There are no matrices in packets.
    After configuration it clears its memory, in as many cycles as that has words; a reset keeps
    states and operators.

    Parameters
    ----------
    config: a configuration that is `microcoded`. digest: identifies the build, 128 bits.

    Members
    -------
    i, o: streams of ``{data: 32, last: 1}``
    """

    def __init__(self, *, config: CoreConfig, digest: int = 0) -> None:
        if not config.microcoded:
            raise InvalidInput(f"config must be microcoded, not {config!r}")
        if not 0 <= operator.index(digest) < 1 << 128:
            raise InvalidInput(f"digest must have 128 bits, not {digest!r}")
        self.config, self.digest = config, digest
        self._sequencer = Sequencer(
            f=config.f,
            program=Program(config).words(),
            table=table(config, digest),
            depth=Layout(config).depth,
            operator=OPERATOR,
        )
        word = stream.Signature(word_layout(LINK))
        super().__init__({"i": In(word), "o": Out(word)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.sequencer = sequencer = self._sequencer
        wiring.connect(m, wiring.flipped(self.i), sequencer.i)
        wiring.connect(m, sequencer.o, wiring.flipped(self.o))
        return m
