"""A value as it was."""

from typing import Any

from amaranth import Module, Signal, Value
from amaranth.lib.memory import Memory

from tmesh_hw.vendor import is_verilator

#: Cycles from which on a memory takes less time than registers.
LEAST = 4


def delayed(m: Module, value: Any, cycles: int, platform: Any, *, moves: Any = 1) -> Any:
    """`value` of `cycles` cycles before, of which only those count in which it `moves`; not reset.

    Registers; but many of them take a simulator longer than a memory, so in Verilator that.
    """
    value = Value.cast(value)
    if cycles >= LEAST and is_verilator(platform):
        return _remembered(m, value, cycles, moves)
    for _ in range(cycles):
        register = Signal(value.shape(), reset_less=True)
        with m.If(moves):
            m.d.sync += register.eq(value)
        value = register
    return value


def _remembered(m: Module, value: Any, cycles: int, moves: Any) -> Any:
    """The same from a memory: the present value is written, and stays when the address moves on."""
    depth = 1 << cycles.bit_length()
    m.submodules += (memory := Memory(shape=value.shape(), depth=depth, init=[]))
    write, read = memory.write_port(), memory.read_port(domain="comb")
    now, then = (
        Signal(range(depth), name=name, init=init % depth)
        for name, init in (("now", 0), ("then", -cycles))
    )
    with m.If(moves):
        m.d.sync += [now.eq(now + 1), then.eq(then + 1)]
    m.d.comb += [
        write.addr.eq(now),
        write.data.eq(value),
        write.en.eq(1),
        read.addr.eq(then),
    ]
    return read.data
