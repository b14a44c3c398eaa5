"""What stands still while nothing is asked of it."""

from typing import Any

from amaranth import EnableInserter

from tmesh_hw.vendor import is_verilator


def resting(component: Any, awake: Any, platform: Any) -> Any:
    """`component`, which has nothing to do and is asked for nothing unless `awake`: a simulator
    then leaves out what it would do in vain. On a device it goes on, which nobody can tell."""
    return EnableInserter(awake)(component) if is_verilator(platform) else component
