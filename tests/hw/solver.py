"""Proofs about gateware, for all inputs and of any length, by property-directed reachability."""

import subprocess
from pathlib import Path
from typing import Any

import pyosys
from amaranth.back import rtlil
from amaranth.hdl import Elaboratable
from tmesh_hw import yosys

_ABC = Path(pyosys.__file__).with_name("yosys-abc")


def proven(top: Elaboratable, folder: Path, platform: Any = None) -> bool:
    """Whether every assertion in `top` always holds; False where it found a run in which one does
    not. What is free in `top` is `amaranth.asserts.AnySeq`."""
    circuit = folder / "proof.aig"
    yosys.run(
        rtlil.convert(top, platform=platform, ports=[], emit_src=False),
        "prep -flatten -top top",
        # AIGER has no memories, and no registers with an enable.
        "memory_map",
        "dffunmap",
        "chformal -lower",
        "setundef -zero -undriven",
        "opt_clean",
        "techmap",
        "opt_clean",
        "aigmap",
        f"write_aiger -zinit {circuit}",
        "tee -o {out} stat",
    )
    script = f"read_aiger {circuit}; scorr; pdr"
    done = subprocess.run([_ABC, "-c", script], capture_output=True, text=True, timeout=300)
    if "Property proved." in done.stdout:
        return True
    assert "was asserted in frame" in done.stdout, done.stdout[-1000:]
    return False
