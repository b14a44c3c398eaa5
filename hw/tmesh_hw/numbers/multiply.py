"""A multiplier with the registers of an ECP5 DSP."""

from typing import Any

from amaranth import ClockSignal, Instance, Module, Signal, Value, signed
from tmesh.errors import InvalidInput
from tmesh.numbers import MULTIPLIER_WIDTH

from tmesh_hw.vendor import is_ecp5

#: Cycles from the operands to the product: a register before the multiplier, one in it, one behind.
MULTIPLY_LATENCY = 3


def multiply(m: Module, a: Any, b: Any, platform: Any, enable: Any = 1) -> Any:
    """The product of `a` and `b`, `MULTIPLY_LATENCY` cycles later, at full width; only cycles with
    `enable` count.

    Yosys infers an ECP5 multiplier from ``a * b`` but leaves its registers unused, which halves the
    clock rate; so this is a ``MULT18X18D`` there, and an expression between registers elsewhere.
    """
    a, b = Value.cast(a), Value.cast(b)
    for name, value in (("a", a), ("b", b)):
        if len(value) > MULTIPLIER_WIDTH:
            raise InvalidInput(
                f"{name} must have at most {MULTIPLIER_WIDTH} bits, not {value.shape()!r}"
            )
    product = Signal((a * b).shape(), reset_less=True)
    if not is_ecp5(platform):
        # All registers behind the product: as late, and fewer to simulate.
        first, second = (Signal.like(product, reset_less=True) for _ in range(2))
        with m.If(enable):
            m.d.sync += [first.eq(a * b), second.eq(first), product.eq(second)]
        return product

    ports: dict[str, Any] = {"i_CLK0": ClockSignal(), "i_CE0": enable, "i_RST0": 0}
    ports |= {f"i_SOURCE{side}": 0 for side in "AB"}
    wide = Signal(2 * MULTIPLIER_WIDTH)
    for side, value in (("A", a), ("B", b)):
        extended = Signal(signed(MULTIPLIER_WIDTH))
        m.d.comb += extended.eq(value)
        ports[f"i_SIGNED{side}"] = int(value.shape().signed)
        ports |= {f"i_{side}{n}": extended[n] for n in range(MULTIPLIER_WIDTH)}
    ports |= {f"i_C{n}": 0 for n in range(MULTIPLIER_WIDTH)}
    ports |= {f"o_P{n}": wide[n] for n in range(2 * MULTIPLIER_WIDTH)}
    for register in ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT"):
        ports[f"p_REG_{register}_CLK"] = "CLK0"
    m.submodules += Instance("MULT18X18D", p_GSR="DISABLED", **ports)
    m.d.comb += product.eq(wide)
    return product
