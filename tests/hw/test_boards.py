"""Boards: their clocks, what their reports say, and how figures are kept."""

import dataclasses
import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from amaranth import Elaboratable, Module
from amaranth.build import Clock
from tmesh.errors import ToolError
from tmesh_hw.boards import BOARDS, build, figures
from tmesh_hw.boards.clock import add_clock
from tmesh_hw.synthesis import floorplan

#: Platforms of boards come with what places and routes; `.ci/run` has them, so skips nothing.
needs_platforms = pytest.mark.skipif(find_spec("amaranth_boards") is None, reason="make fpga")


class Oscillator:
    """A platform that has only that."""

    default_clk = "clk"

    def __init__(self, device: str, hertz: float) -> None:
        self.device, self.default_clk_constraint = device, Clock(hertz)

    def request(self, name: str, *, dir: str) -> Any:
        return self

    io = None


@pytest.mark.parametrize(("device", "source"), [("iCE40UP5K", 12e6), ("LFE5U-85F", 25e6)])
def test_a_clock_that_cannot_be_made_is_refused(device: str, source: float) -> None:
    with pytest.raises(ValueError, match=re.escape(f"cannot make 1.23e+07 Hz from {source:g} Hz")):
        add_clock(Module(), Oscillator(device, source), 12.3e6)


class Clocked(Elaboratable):
    """A clock, and nothing else."""

    def __init__(self, hertz: float) -> None:
        self.hertz = hertz

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        add_clock(m, platform, self.hertz)
        return m


@needs_platforms
@pytest.mark.parametrize("name", BOARDS)
def test_the_loop_makes_the_clock(name: str) -> None:
    """By the vendors' formulas: iCE40 sysCLOCK PLL (FPGA-TN-02052), ECP5 sysCLOCK (FPGA-TN-02200);
    what is compared, and the oscillator, are in their ranges."""
    board = BOARDS[name]
    plan = board.platform().prepare(Clocked(board.config.clock_hz), "top", emit_src=False)
    found = re.findall(
        r"parameter (?:signed )?\\(\w+) (?:\d+'([01]+)|(-?\d+))$", str_of(plan), re.M
    )
    loop = {key: int(bits, 2) if bits else int(number) for key, bits, number in found}
    if "DIVF" in loop:
        compared = 12e6 / (loop["DIVR"] + 1)
        oscillator = compared * (loop["DIVF"] + 1)
        made = oscillator / 2 ** loop["DIVQ"]
        assert 10e6 <= compared <= 133e6
        assert 533e6 <= oscillator <= 1066e6
    else:
        compared = 25e6 / loop["CLKI_DIV"]
        made = compared * loop["CLKFB_DIV"]
        assert 3.125e6 <= compared <= 400e6
        assert 400e6 <= made * loop["CLKOP_DIV"] <= 800e6
    assert made == board.config.clock_hz


def str_of(plan: Any) -> str:
    """The circuit of a build plan, as RTLIL."""
    text = plan.files["top.il"]
    return text.decode() if isinstance(text, bytes) else str(text)


@pytest.mark.parametrize("name", BOARDS)
def test_the_serial_line_is_fast_enough_to_be_understood(name: str) -> None:
    """Both ends of an eight-bit byte agree to half a bit in ten: 5 %; and each has its share."""
    board = BOARDS[name]
    assert abs(board.config.clock_hz / board.divisor / board.baud - 1) < 0.02


@needs_platforms
@pytest.mark.parametrize("name", ["icebreaker", "ulx3s-25f"])
def test_a_plan_has_its_pins_and_its_clock(name: str) -> None:
    board = BOARDS[name]
    plan, _ = build.plan(board)
    constraints = plan.files.get("top.pcf") or plan.files["top.lpf"]
    megahertz = board.config.clock_hz / 1e6
    assert f"{megahertz:.1f}" in constraints or f"{board.config.clock_hz}" in constraints
    assert constraints.count("uart") >= 2
    assert "timing-allow-fail" not in plan.files["build_top.sh"]
    assert plan.digest() == build.plan(board)[0].digest()
    assert "--seed 7" in build.plan(board, 7)[0].files["build_top.sh"]


@needs_platforms
def test_a_digest_is_that_of_the_circuit() -> None:
    """What places it otherwise has the same one, so that placement is what was asked for alone."""
    board = BOARDS["icebreaker"]
    plan, digest = build.plan(board)
    assert f"{digest:0128b}" in str_of(plan)
    assert build.plan(board, 7)[1] == digest
    assert build.plan(dataclasses.replace(board, depth=board.depth // 2))[1] != digest


def test_a_seed_is_routed_once(tmp_path: Path) -> None:
    """Figures that were ended go on: what has its report needs no tool."""
    clock = {"clk": {"achieved": 30.0, "constraint": 12.0}}
    text = json.dumps({"fmax": clock, "utilization": {"TRELLIS_FF": {"used": 5}}})
    (tmp_path / "report-3.json").write_text(text, encoding="utf-8")
    board = BOARDS["ulx3s-25f"]
    made = build.Bitstream(board, tmp_path, tmp_path / "top.bit", 0, build.Report({}, 1.0, 1.0))
    assert build.route(made, 3).reached == 30.0


def test_a_report_names_the_clock_that_is_furthest_off(tmp_path: Path) -> None:
    fmax = {
        "slow": {"achieved": 30.0, "constraint": 12.0},
        "fast": {"achieved": 90.0, "constraint": 100.0},
    }
    used = {"TRELLIS_COMB": {"used": 7}, "TRELLIS_FF": {"used": 5}, "DP16KD": {"used": 2}}
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"fmax": fmax, "utilization": used}), encoding="utf-8")
    report = build.read_report(path)
    assert (report.reached, report.wanted) == (90.0, 100.0)
    assert report.cells == {"lut": 7, "ff": 5, "dsp": 0, "ebr": 2, "spram": 0}


def test_a_tool_that_fails_ends_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXTPNR_ICE40", "false")
    with pytest.raises(ToolError, match="nextpnr-ice40 failed"):
        build._run(["nextpnr-ice40", "--seed", "1"], tmp_path)
    monkeypatch.setenv("NEXTPNR_ICE40", "true")
    build._run(["nextpnr-ice40", "--seed", "1"], tmp_path)


#: Stands for all tools: notes that it ran, gives its version, makes what a board's tools make; as
#: nextpnr it may miss timing.
STUB = """#!/bin/sh
[ "$1" = --version ] && exec cat {0}/version
echo run >> {0}/log
case "$*" in *--seed*) [ -e {0}/missed ] && exit 1;; esac
echo '{{"fmax": {{"c": {{"achieved": 30, "constraint": 21}}}}, "utilization": {{}}}}' > report.json
echo '{{"modules": {{"top": {{"cells": {{}}}}}}}}' > top.json
touch top.bin
"""


@needs_platforms
def test_a_build_is_kept_by_plan_and_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one that failed, as it does when timing is missed; the floorplan's pins count, too."""
    stub, log, missed = (tmp_path / name for name in ("stub", "log", "missed"))
    stub.write_text(STUB.format(tmp_path), encoding="utf-8")
    stub.chmod(0o755)
    (tmp_path / "version").write_text("1", encoding="utf-8")
    for variable in ("YOSYS", "NEXTPNR_ICE40", "ICEPACK"):
        monkeypatch.setenv(variable, str(stub))

    def made(seed: int = 1, **other: Any) -> tuple[Path, int]:
        before = log.read_text("utf-8").count("run") if log.exists() else 0
        board = dataclasses.replace(BOARDS["icebreaker"], **other)
        file = build.build(board, tmp_path / "boards", seed).file
        return file, log.read_text("utf-8").count("run") - before

    first, tools = made()
    assert tools == 3
    assert made() == (first, 0)
    other, again = made(seed=2)
    assert other != first
    assert again == tools
    (tmp_path / "version").write_text("2", encoding="utf-8")
    missed.touch()
    with pytest.raises(ToolError, match="nextpnr-ice40 failed"):
        made()
    missed.unlink()
    newer, again = made()
    assert newer not in (first, other)
    assert again == tools
    monkeypatch.setattr(floorplan, "place_macros", lambda netlist, pins: None)
    moved, again = made(pins=(0, 0))
    assert moved not in (first, other, newer)
    assert again == tools


def test_a_tool_that_does_not_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXTPNR_ICE40", "sleep")
    monkeypatch.setattr(build, "PATIENCE", 1)
    with pytest.raises(ToolError, match="nextpnr-ice40 did not end in 1 s"):
        build._run(["nextpnr-ice40", "60"], tmp_path)


def test_seeds_that_cannot_be_routed_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are taken for them; a design that cannot be routed at all is an error."""
    counts = dict.fromkeys(("lut", "ff", "dsp", "ebr", "spram"), 1)
    made = build.Bitstream(BOARDS["icebreaker"], Path(), Path(), 0, build.Report(counts, 30, 21))
    rates = {2: 28.0, 4: 26.0}

    def route(made: build.Bitstream, seed: int) -> build.Report:
        if seed not in rates:
            raise ToolError("it does not end")
        return build.Report(counts, rates[seed], 21)

    monkeypatch.setattr(figures, "route", route)
    monkeypatch.setattr(figures, "cycles", lambda board: {"events": 100.0})
    record = figures.measure(made, 3, "abc")
    assert (record["seeds"], record["unrouted"]) == (3, 1)
    assert (record["mhz_min"], record["mhz_median"]) == (26, 28)
    with pytest.raises(ToolError, match="it does not end"):
        figures.measure(made, 4, "abc")


def test_changes_are_told() -> None:
    old = {"board": "icebreaker", "commit": "a", "lut": 10, "ff": 5, "dsp": 1, "ebr": 2}
    old |= {"mhz": 21.0, "mhz_min": 24.0, "mhz_median": 25.0, "events": 100}
    new = old | {"commit": "b", "lut": 12, "eigen": 7}
    assert figures.changes([old]) == ""
    assert figures.changes([old, old | {"commit": "b"}]) == "icebreaker, a → b: nothing"
    assert figures.changes([old, new]) == "icebreaker, a → b: lut 10 → 12; eigen – → 7"
    assert "| iCEBreaker | iCE40UP5K | 12 | 5 | 1 | 2 | 21 |" in figures.table([old, new])


def test_the_table_of_the_documentation_is_that_of_the_figures() -> None:
    docs = Path(__file__).parents[2] / "docs"
    records = json.loads((docs / "boards.json").read_text(encoding="utf-8"))
    assert figures.table(records) in (docs / "boards.md").read_text(encoding="utf-8")


def test_a_clock_has_room_for_what_nextpnr_does_not_time() -> None:
    """Through the iCE40 multiplier: of 47.6 ns, 6.0 have to be left. All records leave that."""
    board = BOARDS["icebreaker"]
    build.check_untimed(board, build.Report({}, 24.1, 21.0))
    for reached in (23.9, 21.0, float("nan")):
        with pytest.raises(ToolError, match=r"the multiplier needs 6\.0 ns"):
            build.check_untimed(board, build.Report({}, reached, 21.0))
    build.check_untimed(BOARDS["ulx3s-25f"], build.Report({}, 50.1, 50.0))
    kept = json.loads((Path(__file__).parents[2] / "docs" / "boards.json").read_text("utf-8"))
    records = [record for record in kept if record["board"] == "icebreaker"]
    assert records
    for record in records:
        build.check_untimed(board, build.Report({}, record["mhz_min"], record["mhz"]))
