"""Gating of idle components in simulation."""

from typing import Any

from amaranth import EnableInserter

from tmesh_hw.vendor import is_verilator


def resting(component: Any, awake: Any, platform: Any) -> Any:
    """`component`, which is idle and whose outputs are not used unless `awake`. A simulator then
    skips its useless work. A device does not skip it, which has no visible effect."""
    return EnableInserter(awake)(component) if is_verilator(platform) else component
