"""One adder that adds or subtracts, with a body for simulation and one for ECP5."""

from typing import Any

from amaranth import Instance, Module, Signal, Value, signed

from tmesh_hw.vendor import is_ecp5

#: Functions of a half of the ECP5 carry cell CCU2C for D = 1: sum bit A ^ B ^ C (or ^ ~C), where a
#: carry that is generated is A; and no sum, a carry A (or ~A).
_SUM, _SUM_INVERTED, _CARRY, _CARRY_INVERTED = 0x96AA, 0x69AA, 0x000A, 0x0005


def add_subtract(
    m: Module, a: Any, b: Any, subtract: Any, platform: Any, *, inverted: bool = False
) -> Any:
    """``a - b`` where `subtract` is high, else ``a + b``, in the width of `a`; `b` is not wider.
    With `inverted`, where it is low.

    Synthesis puts the XOR that turns `b` around into LUTs in front of the carry chain. A carry cell
    of ECP5 has room for it: half the logic and a level less. Simulation and other devices use the
    expression.
    """
    width = len(Value.cast(a))
    b = Value.cast(b).as_signed()
    if not is_ecp5(platform):
        # By a name: an expression would be built once for each of its copies.
        negated = Signal()
        m.d.comb += negated.eq(~subtract if inverted else subtract)
        flipped = b ^ negated.replicate(len(b)).as_signed()
        return (a + flipped + negated)[:width].as_signed()

    # Half 0 makes the carry-in; bit k is in half k + 1.
    cells = (width + 2) // 2
    left, right = (Signal(signed(2 * cells - 1)) for _ in range(2))
    total, carry = Signal(2 * cells), Signal(cells + 1)
    m.d.comb += [left.eq(a), right.eq(b)]
    for cell in range(cells):
        ports: dict[str, Any] = {"i_CIN": carry[cell], "o_COUT": carry[cell + 1]}
        for half in (0, 1):
            position = 2 * cell + half
            first = position == 0
            function = (_CARRY, _CARRY_INVERTED) if first else (_SUM, _SUM_INVERTED)
            ports |= {
                f"i_A{half}": subtract if first else left[position - 1],
                f"i_B{half}": 0 if first else right[position - 1],
                f"i_C{half}": 0 if first else subtract,
                f"i_D{half}": 1,
                f"o_S{half}": total[position],
                f"p_INIT{half}": function[inverted],
                f"p_INJECT1_{half}": "NO",
            }
        m.submodules += Instance("CCU2C", **ports)
    return total[1 : width + 1].as_signed()
