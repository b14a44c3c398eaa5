"""`make area`: ECP5 cells of gossip datapath and engine after Yosys, before place and route."""

import dataclasses
import json
import sys
from typing import Any

from tmesh.config import CONFIGS, CoreConfig
from tmesh.entry import guarded

from tmesh_hw import yosys
from tmesh_hw.engine import GossipDatapath, component
from tmesh_hw.export import to_rtlil
from tmesh_hw.synthesis import Ecp5

#: Cell types that a reader budgets for.
LUT, FF, DSP, BRAM = "LUT4", "TRELLIS_FF", "MULT18X18D", "DP16KD"


def ecp5_cells(component: Any, passes: tuple[str, ...] = yosys.SYNTH_ECP5) -> dict[str, int]:
    """Cells of `component` after ``synth_ecp5`` or other `passes`, by type."""
    report = yosys.run(to_rtlil(component, Ecp5()), *passes, "tee -o {out} stat -json")
    cells: dict[str, int] = json.loads(report)["design"]["num_cells_by_type"]
    return cells


def row(name: str, component: Any) -> str:
    """One line of the Markdown table. A carry cell CCU2C is made of two LUTs; a distributed RAM
    TRELLIS_DPR16X4 of four and two of control."""
    cells = ecp5_cells(component)
    luts = cells.get(LUT, 0) + 2 * cells.get("CCU2C", 0) + 6 * cells.get("TRELLIS_DPR16X4", 0)
    counts = [luts, *(cells.get(kind, 0) for kind in (FF, DSP, BRAM))]
    return f"| {name} | {' | '.join(f'{count:,}' for count in counts)} |"


def main() -> None:
    """Print the table."""
    print("| component | LUT | FF | DSP | BRAM |")
    print("|---|--:|--:|--:|--:|")
    for f, lanes in ((16, 1), (16, 4), (16, 16), (14, 1)):
        core = GossipDatapath(config=CoreConfig(f=f, lanes=lanes))
        name = f"gossip datapath, Q(2,{f}), {lanes} lane{'s' if lanes > 1 else ''}"
        print(row(name, core), flush=True)
    for name, config in CONFIGS.items():
        room = f", {config.capacity:,} states" if config.capacity else ""
        print(row(f"configuration {name}{room}", component(config)), flush=True)
    meetings = dataclasses.replace(CONFIGS["sim-gossip"], rounds=0)
    print(row("sim-gossip without rounds", component(meetings)), flush=True)


if __name__ == "__main__":
    sys.exit(guarded(main))
