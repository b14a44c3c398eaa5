"""Models of vendor cells, so that netlists can be simulated."""

from pathlib import Path

import pyosys

from tmesh_sim.harness import Source

_YOSYS = Path(pyosys.__file__).parent / "share"

#: Behaviour of cells that Yosys has as empty boxes only, by family, and the models of Yosys.
_OWN = {"ecp5": Path(__file__).with_name("ecp5.v"), "ice40": None}
_LIBRARIES = {family: _YOSYS / family / "cells_sim.v" for family in _OWN}


def with_models(netlist: Source, family: str) -> Source:
    """A netlist in cells of a family of `tmesh_hw.synthesis.netlist`, with all that it needs."""
    path = _OWN[family]
    # In one file with the netlist: a module of a file precedes one of a library.
    own = path.read_text(encoding="utf-8") if path else ""
    return Source(
        lambda: netlist.make() + own, f"{family} {netlist.key}\n{own}", _LIBRARIES[family]
    )
