"""Checks exported Verilog with Icarus, Verilator and Yosys; ``make exports`` checks all of it."""

import dataclasses
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tmesh.config import CONFIGS
from tmesh.entry import guarded
from tmesh_hw import yosys
from tmesh_hw.eigen import HermitianJacobi
from tmesh_hw.engine import component
from tmesh_hw.export import verilog
from tmesh_hw.ip import package

from tmesh_sim.toolchain import verilator_environment, verilator_program
from tmesh_sim.vectors import build, cases

#: Seconds in which Yosys has to have read an export.
SECONDS = 60

#: Clocked cells of Yosys. Their outputs do not depend on an input in the same clock.
_CLOCKED = "$dff,$dffe,$adff,$adffe,$sdff,$sdffe,$sdffce,$aldff,$mem_v2"


@dataclasses.dataclass(frozen=True)
class Findings:
    """The faults of an export, and the time to read it.

    icarus, verilator: messages of the tool; None if it is not installed. paths: inputs on which an
    output depends in the same clock. seconds: until Yosys had read the export.
    """

    icarus: str | None
    verilator: str
    paths: set[str]
    seconds: float

    @property
    def clean(self) -> bool:
        """Nothing is wrong."""
        return not (self.icarus or self.verilator or self.paths) and self.seconds < SECONDS


def icarus(source: Path) -> str | None:
    """The messages of ``iverilog -g2005``; None if it is not installed."""
    if shutil.which("iverilog") is None:
        return None
    return _said(["iverilog", "-g2005", "-Wall", "-t", "null", str(source)])


def lint(source: Path) -> str:
    """The messages of ``verilator --lint-only -Wall``."""
    return _said([verilator_program(), "--lint-only", "-Wall", str(source)])


def _said(command: list[str]) -> str:
    done = subprocess.run(command, env=verilator_environment(), capture_output=True, text=True)
    # Verilator counts what it read in lines that begin with a dash.
    lines = (done.stdout + done.stderr).strip().splitlines()
    said = "\n".join(line for line in lines if not line.startswith("- "))
    return said or (f"exit status {done.returncode}" if done.returncode else "")


def paths(source: Path) -> tuple[set[str], float]:
    """Inputs on which an output depends in the same clock, and seconds in which Yosys read it."""
    read = [f"read_verilog {source}", "hierarchy -auto-top", "proc"]
    start = time.monotonic()
    yosys.run("", *read, "tee -q -o {out} stat")
    seconds = time.monotonic() - start
    passes = [*read, "flatten", "opt_clean", "memory_dff", "memory_collect"]
    passes.append(f"select -set cone o:* %ci*:-{_CLOCKED}")
    reached = yosys.run("", *passes, "tee -o {out} select -list @cone i:* %i").split()
    names = {path.partition("/")[2] for path in reached}
    return names - {"aclk", "aresetn"}, seconds


def findings(text: str) -> Findings:
    """Runs all tools on an exported text."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "export.v")
        source.write_text(text, encoding="utf-8")
        reached, seconds = paths(source)
        return Findings(icarus(source), lint(source), reached, seconds)


def _named(name: str) -> str:
    config = CONFIGS[name]
    if config.gossip_lanes:
        return package.verilog(component(config), package.module_name(name))
    return verilog(component(config))


def _solver(n: int, vectors: bool) -> str:
    return verilog(HermitianJacobi(f=16, n=n, cordics=4, vectors=vectors))


def _block(name: str, f: int, lanes: int) -> str:
    return verilog(build(name, f, lanes))


def exports() -> Iterator[tuple[str, Callable[[], str]]]:
    """Everything that can be exported: engines of all named configurations, solvers, and blocks of
    each kind but the one that cannot wait."""
    for name in CONFIGS:
        yield name, partial(_named, name)
    for n in (2, 4, 8):
        yield f"eigenvalues {n}×{n}", partial(_solver, n, False)
        yield f"eigenvectors {n}×{n}", partial(_solver, n, True)
    for block, f, lanes in cases():
        if block != "pauli_lane":
            yield f"{block} Q(2,{f}) {lanes}", partial(_block, block, f, lanes)


def main() -> int:
    """A line for each export that the arguments name a part of; the exit status says whether all
    are clean."""
    wanted, failed = sys.argv[1:] or [""], 0
    for name, make in exports():
        if not any(part in name for part in wanted):
            continue
        text = make()
        found = findings(text)
        failed += not found.clean
        slow = f"Yosys took over {SECONDS} s"
        said = found.verilator or found.icarus or ", ".join(sorted(found.paths)) or slow
        verdict = "ok" if found.clean else f"FAILED: {said[:300]}"
        absent = "" if found.icarus is not None else "  (no iverilog)"
        lines = len(text.splitlines())
        print(f"{name:28} {lines:7,} lines  read in {found.seconds:5.1f} s  {verdict}{absent}")
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(guarded(main))
