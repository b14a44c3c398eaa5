"""A memory with one port, for which iCE40UP5K has macros."""

from typing import Any

from amaranth import Array, ClockSignal, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from tmesh.errors import InvalidInput

#: Words of 16 bits of an ``SB_SPRAM256KA``.
MACRO_DEPTH = 1 << 14

#: Bits of a word.
WIDTH = 16


class SinglePortMemory(wiring.Component):
    """Words of 16 bits, one read or written in a cycle.

    ``SB_SPRAM256KA`` on iCE40UP5K, which Yosys does not infer from two ports that share an address;
    a memory of the language elsewhere. The initial content of a macro is undefined.

    Parameters
    ----------
    depth: words, a power of two.

    Members
    -------
    address; write: `data` is written there
    data: to be written
    enable: something is read or written
    q: the word read; it stays until the next access, and is undefined after a write
    """

    def __init__(self, *, depth: int) -> None:
        if depth < 2 or depth & (depth - 1):
            raise InvalidInput(f"depth must be a power of two, not {depth!r}")
        self.depth = depth
        super().__init__(
            {
                "address": In(range(depth)),
                "data": In(WIDTH),
                "write": In(1),
                "enable": In(1),
                "q": Out(WIDTH),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if str(getattr(platform, "device", "")).startswith("iCE40UP"):
            self._macros(m)
            return m
        m.submodules.words = words = Memory(shape=WIDTH, depth=self.depth, init=[])
        read, write = words.read_port(), words.write_port()
        m.d.comb += [
            read.addr.eq(self.address),
            write.addr.eq(self.address),
            read.en.eq(self.enable & ~self.write),
            write.en.eq(self.enable & self.write),
            write.data.eq(self.data),
            self.q.eq(read.data),
        ]
        return m

    def _macros(self, m: Module) -> None:
        within = min(MACRO_DEPTH, self.depth)
        number = self.address[(within - 1).bit_length() :]
        outputs = [Signal(WIDTH, name=f"q{n}") for n in range(self.depth // within)]
        chosen = Signal.like(number)
        with m.If(self.enable):
            m.d.sync += chosen.eq(number)
        for n, output in enumerate(outputs):
            m.submodules[f"macro{n}"] = Instance(
                "SB_SPRAM256KA",
                i_CLOCK=ClockSignal(),
                i_ADDRESS=self.address[: (MACRO_DEPTH - 1).bit_length()],
                i_DATAIN=self.data,
                i_MASKWREN=0b1111,
                i_WREN=self.write,
                i_CHIPSELECT=self.enable & (number == n),
                i_STANDBY=0,
                i_SLEEP=0,
                i_POWEROFF=1,  # on: the pin is active low
                o_DATAOUT=output,
            )
        m.d.comb += self.q.eq(Array(outputs)[chosen])
