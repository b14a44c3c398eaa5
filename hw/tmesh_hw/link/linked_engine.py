"""The engine behind a link: all of a board but its pins and its clock."""

from typing import Any

from amaranth import Module, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from tmesh.config import CoreConfig
from tmesh.errors import InvalidInput

from tmesh_hw.blocks import StreamRegister
from tmesh_hw.engine import component
from tmesh_hw.link.global_net import global_net
from tmesh_hw.link.link import Link
from tmesh_hw.link.uart import UartReceiver, UartTransmitter
from tmesh_hw.link.wire import BYTE


class LinkedEngine(wiring.Component):
    """An engine and its `Link`, for any transport of bytes.

    Parameters
    ----------
    config: the core configuration. depth: words that the link keeps each way, a power of two.
    digest: identifies the build, 128 bits.

    Members
    -------
    i, o: streams of bytes, from and to the host
    reset: restart, as after power-up; for three cycles at least
    """

    def __init__(self, *, config: CoreConfig, depth: int = 512, digest: int = 0) -> None:
        if not config.gossip_lanes:
            raise InvalidInput("config has no engine (gossip_lanes = 0)")
        self._link = Link(link=config.link, depth=depth)
        self._engine = component(config, digest)
        super().__init__(
            {
                "i": In(stream.Signature(BYTE, always_ready=True)),
                "o": Out(stream.Signature(BYTE)),
                "reset": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        link = self._link
        m.submodules.link = ResetInserter(self.reset)(link)
        # Two registers, one of them near the network that takes it all over the device, and no
        # other reset beside it. `Link` forgets what the engine says until then.
        asked, reset = (Signal(init=1, reset_less=True, name=n) for n in ("asked", "reset"))
        m.d.sync += [asked.eq(link.reset | self.reset), reset.eq(asked)]
        begin_anew = ResetInserter(global_net(m, reset, platform))
        m.submodules.engine = begin_anew(self._engine)
        # Commands come late, from a memory.
        commands = StreamRegister(link.commands.payload.shape())
        m.submodules.commands = begin_anew(commands)
        m.d.comb += [link.i.payload.eq(self.i.payload), link.i.valid.eq(self.i.valid)]
        wiring.connect(m, link.o, wiring.flipped(self.o))
        wiring.connect(m, link.commands, commands.i)
        wiring.connect(m, commands.o, self._engine.i)
        wiring.connect(m, self._engine.o, link.replies)
        return m


class SerialEngine(wiring.Component):
    """A `LinkedEngine` at an asynchronous serial line of eight bits without parity.

    Parameters
    ----------
    config, depth, digest: of the `LinkedEngine`. divisor: clocks of a bit.

    Members
    -------
    rx, tx: the line, from and to the host
    reset: restart, as after power-up
    """

    def __init__(
        self, *, config: CoreConfig, divisor: int, depth: int = 512, digest: int = 0
    ) -> None:
        self._receiver = UartReceiver(divisor=divisor)
        self._transmitter = UartTransmitter(divisor=divisor)
        self._linked = LinkedEngine(config=config, depth=depth, digest=digest)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "reset": In(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        inserter = ResetInserter(self.reset)
        m.submodules.receiver = inserter(self._receiver)
        m.submodules.transmitter = inserter(self._transmitter)
        m.submodules.linked = self._linked
        m.d.comb += self._linked.reset.eq(self.reset)
        wiring.connect(m, self._receiver.o, self._linked.i)
        wiring.connect(m, self._linked.o, self._transmitter.i)
        m.d.comb += [self._receiver.rx.eq(self.rx), self.tx.eq(self._transmitter.tx)]
        return m
