"""A queue for wide payloads."""

from typing import Any

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tmesh_hw.blocks.checks import check_choice
from tmesh_hw.blocks.stream_register import PART
from tmesh_hw.vendor import is_ecp5

#: Depths of a `Queue`.
DEPTHS = (4, 8, 16, 32, 64)


class Queue(wiring.Component):
    """``o`` is ``i``, from a memory of LUTs; one every cycle.

    The payload at `i` is always written, at the next place, and stays when that place moves on. So
    no gates stand before the enables of a wide memory, and one place is never used. Its outer
    handshake is in registers. Latency 1.

    Parameters
    ----------
    shape: of the payload. depth: holds one less.

    Members
    -------
    i, o: streams of `shape`
    level: how many are inside
    """

    latency = 1

    def __init__(self, shape: Any, *, depth: int = 16) -> None:
        self.depth = check_choice("depth", depth, DEPTHS)
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "level": Out(range(depth)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        i, o = Value.cast(self.i.payload), Value.cast(self.o.payload)
        enters, leaves = (s.valid & s.ready for s in (self.i, self.o))
        level = self.level
        # One more may come before it is seen that there are many. While it is reset, payloads are
        # taken and forgotten.
        room = Signal(init=1)
        m.d.comb += self.i.ready.eq(room)
        m.d.sync += [
            level.eq(level + enters - leaves),
            room.eq(level < self.depth - 2),
            self.o.valid.eq(enters | Mux(leaves, level > 1, level > 0)),
        ]
        count = -(-len(i) // PART)
        into, out_of = (
            self._turns(m, name, moves, count, platform)
            for name, moves in (("into", enters), ("out_of", leaves))
        )
        size = -(-len(i) // count)
        for n in range(count):
            part = slice(n * size, (n + 1) * size)
            memory = Memory(shape=len(i[part]), depth=self.depth, init=[])
            m.submodules[f"part{n}"] = memory
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [
                write.addr.eq(into[n]),
                write.data.eq(i[part]),
                write.en.eq(1),
                read.addr.eq(out_of[n]),
                o[part].eq(read.data),
            ]
        return m

    def _turns(self, m: Module, name: str, moves: Any, count: int, platform: Any) -> list[Any]:
        """Equal counters, one for each part of the memory; in simulation one for all, as `copies`
        are."""
        apart = count if is_ecp5(platform) else 1
        turns = [
            Signal(range(self.depth), name=f"{name}{n}", attrs={"keep": 1}) for n in range(apart)
        ]
        with m.If(moves):
            m.d.sync += [turn.eq(turn + 1) for turn in turns]
        return turns if apart == count else turns * count
