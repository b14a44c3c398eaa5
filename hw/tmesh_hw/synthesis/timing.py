"""`make timing`: place and route on ECP5, for the clock rate that a design reaches by itself."""

import argparse
import dataclasses
import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from amaranth import Cat, ClockDomain, Elaboratable, Module, Signal
from amaranth.back import rtlil
from tmesh.config import CONFIGS
from tmesh.doctor import nextpnr_ecp5

from tmesh_hw import yosys
from tmesh_hw.eigen import HermitianJacobi
from tmesh_hw.engine import DISTANCE, Engine
from tmesh_hw.synthesis import Ecp5

#: Device option of nextpnr-ecp5 by name, all in package CABGA381.
DEVICES = {"25F": "--25k", "45F": "--45k", "85F": "--85k"}


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


def place(component: Any, device: str, seeds: Sequence[int], *, speed: int = 6) -> Placed:
    """Place and route `component` once for each seed, through Yosys and nextpnr-ecp5.

    Raises ``RuntimeError`` with nextpnr's last lines when it does not fit or cannot be routed.
    """
    top = FewPins(component)
    text = rtlil.convert(top, platform=Ecp5(), name="top", ports=top.ports, emit_src=False)
    netlist = yosys.run(text, *yosys.SYNTH_ECP5, "write_json {out}")
    clocks, cells = [], {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "top.json").write_text(netlist, encoding="utf-8")
        for seed in seeds:
            # A rate is measured here, not a build gated: the goal only sets how hard it tries. The
            # tool sees no folder but its own.
            command = [nextpnr_ecp5(), DEVICES[device]]
            command += ["--package", "CABGA381", "--speed", str(speed), "--seed", str(seed)]
            command += ["--json", "top.json", "--report", "report.json", "--freq", "200"]
            command += ["--lpf-allow-unconstrained", "--timing-allow-fail", "--quiet"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            if done.returncode != 0:
                raise RuntimeError("\n".join(done.stderr.splitlines()[-5:]))
            report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
            clocks.append(min(entry["achieved"] for entry in report["fmax"].values()))
            cells = {kind: used["used"] for kind, used in report["utilization"].items()}
    return Placed(tuple(clocks), cells)


@dataclasses.dataclass(frozen=True)
class Design:
    """Something to route. figures: cycles between results, and of one alone."""

    name: str
    device: str
    component: Callable[[], Any]
    figures: Callable[[Any], tuple[float, int]]


def designs() -> Iterator[Design]:
    """What the report has: the 4×4 eigensolver without eigenvectors, and the engine, Q(2,16)."""
    for cordics, device in ((1, "25F"), (4, "25F"), (8, "85F")):
        solver = partial(HermitianJacobi, f=16, n=4, cordics=cordics)
        name = f"eigensolver, {cordics} unit{'s' if cordics > 1 else ''}"
        yield Design(name, device, solver, lambda s: (s.interval(), s.latency()))
    engine = partial(Engine, config=CONFIGS["three-lanes"])
    yield Design("engine, three-lanes", "85F", engine, lambda e: (e.interval, DISTANCE))


def measure(design: Design, seeds: Sequence[int]) -> dict[str, Any]:
    """One row of the report."""
    component = design.component()
    interval, latency = design.figures(component)
    placed = place(component, design.device, seeds)
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


def main() -> None:
    """Route, keep the report where `tmesh bench` reads it, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--report", type=Path, default=Path("sw/tmesh/report/routed.json"))
    parser.add_argument("--only", default="", help="designs whose name contains this")
    arguments = parser.parse_args()
    rows = {row["design"]: row for row in json.loads(arguments.report.read_text("utf-8"))}
    for design in designs():
        if arguments.only in design.name:
            rows[design.name] = measure(design, range(1, arguments.seeds + 1))
            text = json.dumps(list(rows.values()), indent=2) + "\n"
            arguments.report.write_text(text, encoding="utf-8")
    print(table(list(rows.values())))


if __name__ == "__main__":
    main()
