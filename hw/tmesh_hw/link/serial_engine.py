"""The engine behind a serial line: all of a board but its pins and its clock."""

from typing import Any

from amaranth import Module, ResetInserter
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from tmesh.config import CoreConfig

from tmesh_hw.engine import component
from tmesh_hw.link.link import Link
from tmesh_hw.link.uart import UartReceiver, UartTransmitter


class SerialEngine(wiring.Component):
    """An `Engine`, its `Link`, and an asynchronous serial line of eight bits without parity.

    Parameters
    ----------
    config: the core configuration. divisor: clocks of a bit. depth: words that the link keeps each
    way. digest: identifies the build, 128 bits.

    Members
    -------
    rx, tx: the line, from and to the host
    """

    def __init__(
        self, *, config: CoreConfig, divisor: int, depth: int = 512, digest: int = 0
    ) -> None:
        if not config.gossip_lanes:
            raise ValueError("config has no engine (gossip_lanes = 0)")
        self.config, self.divisor, self.depth, self.digest = config, divisor, depth, digest
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(divisor=self.divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(divisor=self.divisor)
        m.submodules.link = link = Link(link=self.config.link, depth=self.depth)
        engine = component(self.config, self.digest)
        m.submodules.engine = ResetInserter(link.reset)(engine)
        wiring.connect(m, receiver.o, link.i)
        wiring.connect(m, link.o, transmitter.i)
        wiring.connect(m, link.commands, engine.i)
        wiring.connect(m, engine.o, link.replies)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        return m
