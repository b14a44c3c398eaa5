"""Clocks of the boards' designs, from their oscillators by a phase-locked loop."""

from typing import Any

from amaranth import ClockDomain, Const, Instance, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer
from tmesh.errors import InvalidInput

#: Seconds of reset after the clock is steady: block memories of iCE40 are empty for some
#: microseconds after configuration.
SETTLE = 15e-6


def add_clock(m: Module, platform: Any, hertz: float) -> Any:
    """The domain ``sync`` at `hertz`, without a reset; returns one that is high until the clock is
    steady and `SETTLE` has passed.

    Raises ``ValueError`` for a frequency that the device cannot make from its oscillator.
    """
    m.domains.power = power = ClockDomain(reset_less=True)
    m.domains.sync = domain = ClockDomain(reset_less=True)
    clock, locked = Signal(name="clock"), Signal()
    oscillator = platform.request(platform.default_clk, dir="-")
    source = platform.default_clk_constraint.frequency
    if str(platform.device).startswith("iCE40"):
        _ice40(m, oscillator, source, hertz, clock, locked)
    else:
        _ecp5(m, oscillator, source, hertz, clock, locked)
    m.d.comb += [domain.clk.eq(clock), power.clk.eq(clock)]
    platform.add_clock_constraint(clock, hertz)
    # Down to −1, so that one bit says that it has ended.
    cycles = round(SETTLE * hertz)
    steady, left = Signal(), Signal(range(-1, cycles), init=cycles - 1)
    m.submodules.steady = FFSynchronizer(locked, steady, o_domain="power")
    with m.If(steady & (left >= 0)):
        m.d.power += left.eq(left - 1)
    reset = Signal(init=1, reset_less=True)
    m.d.power += reset.eq(left >= 0)
    return reset


def _ice40(m: Module, pad: Any, source: float, hertz: float, clock: Any, locked: Any) -> None:
    """``SB_PLL40_PAD``: source · (DIVF + 1) / 2^DIVQ, its oscillator from 533 to 1066 MHz."""
    for divider in range(1, 7):
        ratio = hertz * (1 << divider) / source
        if ratio == round(ratio) <= 128 and 533e6 <= source * ratio <= 1066e6:
            break
    else:
        raise InvalidInput(f"the device cannot make {hertz:g} Hz from {source:g} Hz")
    m.submodules.loop = Instance(
        "SB_PLL40_PAD",
        ("p", "FEEDBACK_PATH", "SIMPLE"),
        ("p", "DIVR", Const(0, 4)),
        ("p", "DIVF", Const(round(ratio) - 1, 7)),
        ("p", "DIVQ", Const(divider, 3)),
        ("p", "FILTER_RANGE", Const(1, 3)),  # for 10 to 17 MHz
        ("io", "PACKAGEPIN", pad.io),
        ("o", "PLLOUTGLOBAL", clock),
        ("o", "LOCK", locked),
        ("i", "RESETB", Const(1)),
        ("i", "BYPASS", Const(0)),
    )


def _ecp5(m: Module, pad: Any, source: float, hertz: float, clock: Any, locked: Any) -> None:
    """``EHXPLLL``: source · CLKFB_DIV / CLKI_DIV, its oscillator from 400 to 800 MHz, its phase
    comparison from 3.125 MHz."""
    dividers = range(1, int(source / 3.125e6) + 1)
    ratios = ((n, d) for d in dividers for n in range(1, 81) if source * n == hertz * d)
    feedback, divider = next(ratios, (None, None))
    # As far from both ends as can be.
    output = min(range(1, 129), key=lambda n: abs(hertz * n - 600e6))
    if feedback is None or not 400e6 <= hertz * output <= 800e6:
        raise InvalidInput(f"the device cannot make {hertz:g} Hz from {source:g} Hz")
    m.submodules.oscillator = oscillator = io.Buffer("i", pad)
    m.submodules.loop = Instance(
        "EHXPLLL",
        p_PLLRST_ENA="DISABLED",
        p_INTFB_WAKE="DISABLED",
        p_STDBY_ENABLE="DISABLED",
        p_DPHASE_SOURCE="DISABLED",
        p_OUTDIVIDER_MUXA="DIVA",
        p_FEEDBK_PATH="CLKOP",
        p_CLKI_DIV=divider,
        p_CLKFB_DIV=feedback,
        p_CLKOP_ENABLE="ENABLED",
        p_CLKOP_DIV=output,
        p_CLKOP_CPHASE=output - 1,
        p_CLKOP_FPHASE=0,
        i_CLKI=oscillator.i,
        i_CLKFB=clock,
        i_RST=0,
        i_STDBY=0,
        i_PHASESEL0=0,
        i_PHASESEL1=0,
        i_PHASEDIR=1,
        i_PHASESTEP=1,
        i_PHASELOADREG=1,
        i_PLLWAKESYNC=0,
        i_ENCLKOP=0,
        o_CLKOP=clock,
        o_LOCK=locked,
        a_FREQUENCY_PIN_CLKI=f"{source / 1e6:g}",
        a_FREQUENCY_PIN_CLKOP=f"{hertz / 1e6:g}",
        a_ICP_CURRENT="12",
        a_LPF_RESISTOR="8",
        a_MFG_ENABLE_FILTEROPAMP="1",
        a_MFG_GMCREF_SEL="2",
    )
