"""Verilog in fewer words is the same circuit: proven by Yosys, and the proof can fail."""

import re
from pathlib import Path
from typing import Any

import pytest
from tmesh_hw import yosys
from tmesh_hw.blocks import PauliLane, Quotient
from tmesh_hw.concise import concise
from tmesh_hw.engine import Interlock
from tmesh_hw.export import to_rtlil

WRITE = ("proc -nomux", "memory_collect", "write_verilog -norename -noattr {out}")

COMPONENTS = {
    "interlock": Interlock(lanes=2, row=4, distance=6),
    "lane": PauliLane(f=8),
    "quotient": Quotient(f=8),
}


def equal(folder: Path, before: str, after: str) -> bool:
    """Whether every register of both has the same next value, and every output the same value."""
    for name, text in (("before", before), ("after", after)):
        folder.joinpath(f"{name}.v").write_text(text)
    prove = []
    for name in ("before", "after"):
        prove += [f"read_verilog {folder}/{name}.v", "prep -flatten -top tmesh", "memory_map"]
        prove += [f"rename tmesh {name}", f"design -stash {name}"]
    prove += [f"design -copy-from {name} -as {name} {name}" for name in ("before", "after")]
    prove += ["equiv_make before after both", "hierarchy -top both", "equiv_simple -undef"]
    text = yosys.run("", *prove, "tee -o {out} equiv_status")
    return "Equivalence successfully proven!" in text


@pytest.mark.parametrize("name", COMPONENTS)
def test_it_is_the_same_circuit(name: str, tmp_path: Path) -> None:
    component: Any = COMPONENTS[name]
    before = yosys.run(to_rtlil(component), *WRITE)
    after = concise(before)
    assert equal(tmp_path, before, after)
    assert after.count("always") < before.count("always")
    assert not re.search(r"(\S+\[\d+\]), \1", after)
    # The proof would notice one assignment that is another.
    changed = re.sub(r"( <= )(.*);", r"\1~\2;", after, count=1)
    assert not equal(tmp_path, before, changed)
