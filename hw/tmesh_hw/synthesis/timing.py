"""`make timing`: place and route on ECP5, for the clock rate that a design reaches by itself.

Each design is kept once it is routed, so an interrupted run continues with ``--missing``.
"""

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from amaranth import Cat, ClockDomain, Elaboratable, Module, Signal
from amaranth.back import rtlil
from tmesh.config import CoreConfig
from tmesh.doctor import nextpnr
from tmesh.entry import guarded
from tmesh.errors import ToolError
from tmesh.files import write_text
from tmesh.report.picture import write

from tmesh_hw import yosys
from tmesh_hw.eigen import HermitianJacobi
from tmesh_hw.engine import Engine, distance
from tmesh_hw.synthesis import ROUTER, Ecp5
from tmesh_hw.synthesis.floorplan import place_macros

#: Device option of nextpnr-ecp5 by name, all in package CABGA381.
DEVICES = {"25F": "--25k", "45F": "--45k", "85F": "--85k"}

#: MHz that nextpnr aims at: more than any design here reaches, and no more, since it tries longer.
GOAL = 200


class FewPins(Elaboratable):
    """A component behind four pins: operands are shifted in, results are shifted out, so that
    registers, not pins, stand on both sides of it."""

    def __init__(self, component: Any) -> None:
        self.component = component
        self.ports = [Signal(name=name) for name in ("clk", "serial_in", "valid_in", "serial_out")]

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        clk, serial_in, valid_in, serial_out = self.ports
        m.domains.sync = domain = ClockDomain(reset_less=True)
        m.d.comb += domain.clk.eq(clk)
        m.submodules.component = component = self.component
        i, o = component.i, component.o
        operand = Signal(len(i.payload.as_value()))
        result = Signal(len(o.payload.as_value()))
        m.d.comb += [i.payload.eq(operand), o.ready.eq(1), serial_out.eq(result[0])]
        m.d.sync += [operand.eq(Cat(operand[1:], serial_in)), i.valid.eq(valid_in)]
        m.d.sync += result.eq(result >> 1)
        with m.If(o.valid):
            m.d.sync += result.eq(o.payload.as_value())
        return m


@dataclasses.dataclass(frozen=True)
class Placed:
    """Clock rates in MHz, one a seed, and used cells."""

    clocks: tuple[float, ...]
    cells: dict[str, int]

    @property
    def worst(self) -> float:
        """The lowest rate."""
        return min(self.clocks)

    @property
    def median(self) -> float:
        """The rate in the middle."""
        return statistics.median(self.clocks)


def place(
    component: Any,
    device: str,
    seeds: Sequence[int],
    *,
    speed: int = 6,
    large: bool = False,
) -> Placed:
    """Place and route `component` once for each seed, through Yosys and nextpnr-ecp5. large: it
    fills the device, an 85F, so has a floorplan.

    Raises ``RuntimeError`` with nextpnr's last lines when it does not fit or cannot be routed.
    """
    top = FewPins(component)
    text = rtlil.convert(top, platform=Ecp5(), name="top", ports=top.ports, emit_src=False)
    netlist = yosys.run(text, *yosys.SYNTH_ECP5, "write_json {out}")
    clocks, cells = [], {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "top.json").write_text(netlist, encoding="utf-8")
        if large:
            place_macros(folder / "top.json")
        for seed in seeds:
            # A rate is measured here, not a build gated: the goal only sets how hard it tries. The
            # tool sees no folder but its own.
            command = [nextpnr("ecp5"), DEVICES[device]]
            command += ["--package", "CABGA381", "--speed", str(speed), "--seed", str(seed)]
            command += ["--json", "top.json", "--report", "report.json", "--freq", str(GOAL)]
            command += ["--lpf-allow-unconstrained", "--timing-allow-fail", "--quiet", *ROUTER]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            if done.returncode != 0:
                raise ToolError("\n".join(done.stderr.splitlines()[-5:]))
            report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
            clocks.append(min(entry["achieved"] for entry in report["fmax"].values()))
            cells = {kind: used["used"] for kind, used in report["utilization"].items()}
    return Placed(tuple(clocks), cells)


@dataclasses.dataclass(frozen=True)
class Design:
    """Something to route. figures: cycles between results, and of one alone. large: see `place`."""

    name: str
    device: str
    component: Callable[[], Any]
    figures: Callable[[Any], tuple[float, int]]
    large: bool = False


def designs() -> Iterator[Design]:
    """Q(2,16): the 4×4 eigensolver without eigenvectors by CORDIC units, and the engine of states
    by lanes, without rounds, each on the devices that have the cells for it."""
    for device, cordics in (("25F", 1), ("25F", 4), ("85F", 1), ("85F", 4), ("85F", 8)):
        solver = partial(HermitianJacobi, f=16, n=4, cordics=cordics)
        yield Design(
            _several("eigensolver", cordics, "unit"),
            device,
            solver,
            lambda s: (s.interval(), s.latency()),
        )
    for lanes in (1, 2, 3):
        link = 64 if lanes == 1 else 128
        config = CoreConfig(lanes=0, gossip_lanes=lanes, rounds=0, link=link, cordics=0)
        yield Design(
            _several("engine", lanes, "lane"),
            "85F",
            partial(Engine, config=config),
            lambda e: (e.interval, distance(e.config.gossip_lanes)),
            lanes > 1,
        )


def _several(name: str, count: int, what: str) -> str:
    return f"{name}, {count} {what}{'s' if count > 1 else ''}"


def measure(design: Design, seeds: Sequence[int]) -> dict[str, Any]:
    """One row of the report."""
    component = design.component()
    interval, latency = design.figures(component)
    placed = place(component, design.device, seeds, large=design.large)
    names = {"TRELLIS_COMB": "lut", "TRELLIS_FF": "ff", "MULT18X18D": "dsp", "DP16KD": "bram"}
    return {
        "design": design.name,
        "device": f"LFE5U-{design.device}",
        **{name: placed.cells.get(kind, 0) for kind, name in names.items()},
        "mhz_min": round(placed.worst, 1),
        "mhz_median": round(placed.median, 1),
        "seeds": len(placed.clocks),
        "interval": round(interval, 4),
        "latency": latency,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The report as Markdown."""
    titles = ["design", "device", "LUT", "FF", "DSP", "BRAM", "seeds", "MHz, min / median"]
    titles += ["cycles", "M/s", "µs"]
    lines = [f"| {' | '.join(titles)} |", "|---|---|" + "--:|" * (len(titles) - 2)]
    for row in rows:
        clocks = (row["mhz_min"], row["mhz_median"])
        figures = [row["design"], row["device"]]
        figures += [f"{row[name]:,}" for name in ("lut", "ff", "dsp", "bram", "seeds")]
        figures.append(" / ".join(f"{clock:.0f}" for clock in clocks))
        figures.append(f"{row['interval']:.3g}")
        figures.append(" / ".join(f"{clock / row['interval']:.2f}" for clock in clocks))
        figures.append(f"{row['latency'] / clocks[0]:.1f}")
        lines.append(f"| {' | '.join(figures)} |")
    return "\n".join(lines)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Results a second against LUTs, of the engine and of the eigensolver; the worst seed."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for axis, kind, title in zip(
        axes, ("engine", "eigensolver"), ("updated states", "eigenvalues of 4×4"), strict=True
    ):
        for device in DEVICES:
            points = [
                (row["lut"], row["mhz_min"] / row["interval"], row["design"].split(", ")[1])
                for row in rows
                if row["design"].startswith(kind) and row["device"].endswith(device)
            ]
            if points:
                x, y, names = zip(*sorted(points), strict=True)
                axis.plot(x, y, "o-", label=f"LFE5U-{device}")
                for at in zip(names, x, y, strict=True):
                    axis.annotate(at[0], at[1:], xytext=(6, -10), textcoords="offset points")
        axis.set(title=f"{title}, M/s", xlabel="LUTs", xlim=(0, None), ylim=(0, None))
        axis.margins(x=0.25)
        if axis.lines:
            axis.legend()
    write(figure, path)
    plt.close(figure)


def main() -> None:
    """Route, keep the report where `tmesh bench` reads it, print it and draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--report", type=Path, default=Path("sw/tmesh/report/routed.json"))
    parser.add_argument("--picture", type=Path, default=Path("docs/routed.svg"))
    parser.add_argument("--only", default="", help="designs whose name and device contain this")
    parser.add_argument("--missing", action="store_true", help="only those not in the report")
    arguments = parser.parse_args()
    found = json.loads(arguments.report.read_text("utf-8"))
    rows = {(row["design"], row["device"]): row for row in found}
    for design in designs():
        key = design.name, f"LFE5U-{design.device}"
        wanted = arguments.only in " ".join(key) and not (arguments.missing and key in rows)
        if wanted:
            rows[key] = measure(design, range(1, arguments.seeds + 1))
            text = json.dumps(list(rows.values()), indent=2) + "\n"
            write_text(arguments.report, text)
    draw(list(rows.values()), arguments.picture)
    print(table(list(rows.values())))


if __name__ == "__main__":
    sys.exit(guarded(main))
