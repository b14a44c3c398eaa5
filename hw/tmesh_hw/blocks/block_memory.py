"""A memory with the output register of an ECP5 block."""

from typing import Any

from amaranth import C, Cat, ClockSignal, Instance, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tmesh_hw.vendor import is_ecp5

#: Words of a ``DP16KD`` by the bits of each, the widest first.
SHAPES = {18: 1 << 10, 9: 1 << 11, 4: 1 << 12, 2: 1 << 13, 1: 1 << 14}

#: Bits of an address of a ``DP16KD``, whatever the width.
_ADDRESS = 14


class BlockMemory(wiring.Component):
    """Words, one written and one read in a cycle; zero in the beginning.

    Yosys infers the blocks of an ECP5 but leaves their output registers unused, and a block without
    one takes 5.7 ns to answer. So these are ``DP16KD`` there, each as deep as the whole memory, so
    no multiplexer stands behind them. Elsewhere, and where it is deeper than a block, it is a
    memory and a register. A word that is read while it is written is undefined, and must not be
    used.

    Parameters
    ----------
    width: bits of a word. depth: words.

    Members
    -------
    write: ``{address, value, valid: 1}``
    address: is read; value: its word,  `latency` cycles later
    enable: low, `value` stays, and so does the word behind it
    """

    #: The memory, and a register behind it.
    latency = 2

    def __init__(self, *, width: int, depth: int) -> None:
        self.width, self.depth = width, depth
        address = max(1, (depth - 1).bit_length())
        write = data.StructLayout({"address": address, "value": width, "valid": 1})
        super().__init__(
            {
                "write": In(write),
                "address": In(address),
                "value": Out(width),
                "enable": In(1, init=1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        fitting = [bits for bits, words in SHAPES.items() if words >= self.depth]
        if fitting and is_ecp5(platform):
            for start in range(0, self.width, fitting[0]):
                self._block(m, start, fitting[0])
            return m
        m.submodules.words = words = Memory(shape=self.width, depth=self.depth, init=[])
        write, read = words.write_port(), words.read_port()
        value = Signal(self.width, reset_less=True)
        m.d.comb += [
            write.addr.eq(self.write.address),
            write.data.eq(self.write.value),
            write.en.eq(self.write.valid),
            read.addr.eq(self.address),
            read.en.eq(self.enable),
            self.value.eq(value),
        ]
        with m.If(self.enable):
            m.d.sync += value.eq(read.data)
        return m

    def _block(self, m: Module, start: int, bits: int) -> None:
        """Bits from `start`: port A writes, port B reads."""
        words = {"DIA": Signal(18, name=f"into{start}"), "DOB": Signal(18, name=f"out_of{start}")}
        stop = min(start + bits, self.width)
        m.d.comb += [
            words["DIA"].eq(self.write.value[start:stop]),
            self.value[start:stop].eq(words["DOB"]),
        ]
        # Below the address of a word of 18 bits, port A enables its bytes.
        low = _ADDRESS - (SHAPES[bits] - 1).bit_length()
        for name, address in (("ADA", self.write.address), ("ADB", self.address)):
            words[name] = Signal(_ADDRESS, name=f"{name.lower()}{start}")
            below = (1 << low) - 1 if bits == 18 else 0
            m.d.comb += words[name].eq(Cat(C(below, low), address))
        ports: dict[str, Any] = {
            f"{'o' if name == 'DOB' else 'i'}_{name}{n}": bit
            for name, word in words.items()
            for n, bit in enumerate(word)
        }
        for side, writes in (("A", self.write.valid), ("B", 0)):
            ports |= {f"i_CLK{side}": ClockSignal(), f"i_WE{side}": writes, f"i_RST{side}": 0}
            enable = self.enable if side == "B" else 1
            ports |= {f"i_{name}{side}": enable for name in ("CE", "OCE")}
            ports |= {f"i_CS{side}{n}": 0 for n in range(3)}
            ports[f"p_DATA_WIDTH_{side}"] = bits
        m.submodules[f"block{start}"] = Instance(
            "DP16KD", p_REGMODE_A="NOREG", p_REGMODE_B="OUTREG", p_GSR="DISABLED", **ports
        )
