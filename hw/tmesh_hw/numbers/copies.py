"""Equal registers."""

from typing import Any

from amaranth import Module, Signal

from tmesh_hw.vendor import is_ecp5


def copies(
    m: Module, value: Any, count: int, platform: Any, *, name: str, init: int = 0
) -> list[Any]:
    """`value`, a bit, a cycle later, `count` times: in as many separate registers, where a single
    one would need its whole fan-out close by. A simulation has one."""
    apart = count if is_ecp5(platform) else 1
    registers = [Signal(name=f"{name}{n}", init=init, attrs={"keep": 1}) for n in range(apart)]
    m.d.sync += [register.eq(value) for register in registers]
    return registers if apart == count else registers * count
