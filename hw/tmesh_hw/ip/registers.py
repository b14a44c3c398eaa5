"""Registers of the engine over AXI4-Lite."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

#: Bits of an address; registers are 32 bits wide.
ADDRESS_BITS = 6

#: "TMSH", the first letter in the lowest byte.
MAGIC = int.from_bytes(b"TMSH", "little")

#: Responses of AXI (IHI 0022, table A3-4).
_OKAY, _SLVERR = 0b00, 0b10


@dataclasses.dataclass(frozen=True)
class Register:
    """A 32-bit register at a byte address."""

    address: int
    name: str
    meaning: str
    writable: bool = False


#: All registers. An access to another address is answered by SLVERR and changes nothing.
REGISTERS = (
    Register(0x00, "identity", '"TMSH" in ASCII, T in the lowest byte'),
    Register(0x04, "version", "version of the packets"),
    Register(0x08, "format", "bytes, lowest first: f, gossip_lanes, lanes, cordics"),
    Register(0x0C, "states", "resident states that fit"),
    Register(0x10, "operators", "operators that the core keeps"),
    Register(0x14, "control", "bit 0: hold the engine in reset, states and operators kept", True),
    Register(0x18, "pending", "commands without their reply so far"),
    *(
        Register(0x20 + 4 * n, f"build{n}", f"bits {32 * n + 31} to {32 * n} of the build digest")
        for n in range(4)
    ),
    Register(0x30, "commands", "packets taken, modulo 2³²"),
    Register(0x34, "replies", "packets given, modulo 2³²"),
    Register(0x38, "waited", "clocks in which a word waited for the engine, modulo 2³²"),
    Register(0x3C, "blocked", "clocks in which a word waited for its receiver, modulo 2³²"),
)


class AxiLiteRegisters(wiring.Component):
    """An AXI4-Lite subordinate over `REGISTERS`; one read and one write at a time, each taken a
    clock after it came and answered in the next. No output depends on an input of the same clock
    (IHI 0022, A3.2.1). Byte strobes count; AxPROT does not exist here.

    Members
    -------
    aw*, w*, b*, ar*, r*: the five channels, named as in the AXI specification
    control: the writable register
    one input of 32 bits for each other register, by name
    """

    def __init__(self) -> None:
        members: dict[str, Any] = {
            "awaddr": In(ADDRESS_BITS),
            "awvalid": In(1),
            "awready": Out(1),
            "wdata": In(32),
            "wstrb": In(4),
            "wvalid": In(1),
            "wready": Out(1),
            "bresp": Out(2),
            "bvalid": Out(1),
            "bready": In(1),
            "araddr": In(ADDRESS_BITS),
            "arvalid": In(1),
            "arready": Out(1),
            "rdata": Out(32),
            "rresp": Out(2),
            "rvalid": Out(1),
            "rready": In(1),
        }
        for register in REGISTERS:
            members[register.name] = (Out if register.writable else In)(32)
        super().__init__(members)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        values: Mapping[int, Any] = {
            register.address >> 2: getattr(self, register.name) for register in REGISTERS
        }
        writable = {register.address >> 2 for register in REGISTERS if register.writable}
        # An address and its data are taken together, once the answer before them has left. Valid
        # signals stay until then.
        write, read = self.awready, self.arready
        m.d.comb += self.wready.eq(write)
        m.d.sync += [
            write.eq(self.awvalid & self.wvalid & ~write & (~self.bvalid | self.bready)),
            read.eq(self.arvalid & ~read & (~self.rvalid | self.rready)),
        ]
        with m.If(write):
            m.d.sync += [self.bvalid.eq(1), self.bresp.eq(_SLVERR)]
            with m.Switch(self.awaddr[2:]):
                for word in writable:
                    with m.Case(word):
                        m.d.sync += self.bresp.eq(_OKAY)
                        for n in range(4):
                            with m.If(self.wstrb[n]):
                                byte = values[word].word_select(n, 8)
                                m.d.sync += byte.eq(self.wdata.word_select(n, 8))
        with m.Elif(self.bready):
            m.d.sync += self.bvalid.eq(0)
        with m.If(read):
            m.d.sync += [self.rvalid.eq(1), self.rresp.eq(_SLVERR), self.rdata.eq(0)]
            with m.Switch(self.araddr[2:]):
                for word, value in values.items():
                    with m.Case(word):
                        m.d.sync += [self.rresp.eq(_OKAY), self.rdata.eq(value)]
        with m.Elif(self.rready):
            m.d.sync += self.rvalid.eq(0)
        return m
