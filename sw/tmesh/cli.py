"""The command line: `tmesh run`, `arena`, `bench`, `board`, `doctor`."""

import contextlib
import dataclasses
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, track

from tmesh.adversaries import names
from tmesh.devices import DEVICES
from tmesh.doctor import findings
from tmesh.errors import EngineError, NotSupported, SimulationError
from tmesh.report import picture
from tmesh.report.table import summary
from tmesh.swarm import Scenario, genesis
from tmesh.swarm import run as run_swarm

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
console = Console()

JsonPath = Annotated[Path | None, typer.Option("--json", help="Write machine-readable results.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]


@app.callback()
def _main() -> None:
    """Swarm consensus on a verified core for small density matrices."""


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    """Bad input ends with its reason on one line and status 2."""
    try:
        yield
    except (ValueError, OSError, NotSupported, EngineError) as error:
        print(f"tmesh: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


@app.command()
def run(
    scenario: Annotated[
        Path | None, typer.Argument(help="Scenario file; default: the shipped one.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help=f"{', '.join(DEVICES)}, or serial:PATH.")
    ] = None,
    config: Annotated[str | None, typer.Option(help="Configuration of the core.")] = None,
    seed: Seed = 0,
    json_path: JsonPath = None,
    picture_path: Annotated[
        Path | None, typer.Option("--picture", help="Entropy and agreement (.svg, .png).")
    ] = None,
    baseline: Annotated[
        bool, typer.Option("--genesis", help="The linear five-agent baseline instead.")
    ] = False,
) -> None:
    """Run a swarm until every agent has collapsed."""
    with _one_line_errors():
        if baseline:
            _genesis(seed, json_path)
            return
        chosen = Scenario.default() if scenario is None else Scenario.load(scenario)
        given = {"device": device, "config": config}
        given = {key: value for key, value in given.items() if value is not None}
        chosen = Scenario.checked(**{**chosen.model_dump(), **given})
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task("collapsed", total=1.0)
            result = run_swarm(
                chosen, seed=seed, progress=lambda share: bar.update(task, completed=share)
            )
        console.print(summary(result))
        _write_json(json_path, result.to_dict())
        if picture_path is not None:
            picture_path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(result, picture_path)
            console.print(f"picture: {picture_path}")


def _genesis(seed: int, json_path: Path | None) -> None:
    result = genesis(seed=seed)
    console.print(
        f"linear baseline, {result.seeds} seeds: coherence {result.coherence_before:.3f} before, "
        f"{result.coherence_after:.3f} ± {result.coherence_error:.3f} after; "
        f"entropy {result.entropy_before:.3f} → {result.entropy_after:.3f} nat: nothing is decided"
    )
    _write_json(json_path, dataclasses.asdict(result))


def _write_json(path: Path | None, values: object) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


@app.command()
def bench(seed: Seed = 0, json_path: JsonPath = None) -> None:
    """Measure the core beside what a user would pick instead."""
    with _one_line_errors():
        try:
            from tmesh.report import bench as benchmark
        except ModuleNotFoundError as error:
            raise NotSupported(f"bench needs {error.name}: pip install 'tmesh[dev]'") from None
        measured = list(benchmark.rows(seed))
        console.print(benchmark.table(measured))
        _write_json(json_path, [dataclasses.asdict(row) for row in measured])


@app.command()
def arena(
    agents: Annotated[int, typer.Option(min=2, help="Agents of a swarm.")] = 200,
    k: Annotated[int, typer.Option(min=1, max=255, help="Neighbours asked in a round.")] = 20,
    kappa: Annotated[
        list[int] | None,
        typer.Option(help="Orders of purification, 1, 2, 4 or 8; may be repeated. Default: 8."),
    ] = None,
    majority: Annotated[
        list[float] | None,
        typer.Option(help="Shares that start for outcome 0; may be repeated. Default: 0.6."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds at most.")] = 60,
    finality: Annotated[
        bool, typer.Option(help="Until there are certificates; without, until opinions collapse.")
    ] = True,
    coin: Annotated[str, typer.Option(help="none, ideal, rushing or known.")] = "ideal",
    timeout: Annotated[int, typer.Option(min=1, help="Rounds of the first epoch.")] = 16,
    faulty: Annotated[
        list[int] | None, typer.Option(help="Numbers of liars; may be repeated. Default: 0, 20 %.")
    ] = None,
    adversary: Annotated[
        list[str] | None, typer.Option(help="Kinds of liars; may be repeated. Default: all.")
    ] = None,
    events: Annotated[
        list[str] | None,
        typer.Option(help="Channels for the same message by message; may be repeated."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 50,
    seed: Seed = 0,
    json_path: JsonPath = None,
) -> None:
    """Measure a swarm against every kind of liar, in the round model and message by message."""
    from tmesh.report import arena as measure

    with _one_line_errors():
        fields: dict[str, object] = {"agents": agents, "k": k, "rounds": rounds, "mixing": 0}
        fields |= {"finality": finality, "coin": coin, "timeout": timeout, "spread": 5}
        scenarios = measure.scenarios(
            {**fields, "topology": {"kind": "complete"}},
            kappa or [8],
            majority or [0.6],
            faulty or [0, agents // 5],
            adversary or names(),
        )
        rows = measure.rows(scenarios, events or [], seeds, seed)
        total = len(scenarios) * (1 + len(events or []))
        measured = list(track(rows, "measured", total, console=console, transient=True))
        console.print(measure.table(measured))
        _write_json(json_path, [dataclasses.asdict(row) for row in measured])


@app.command()
def board(
    config: Annotated[str, typer.Option(help="Configuration of the core.")] = "board",
    divisor: Annotated[
        int, typer.Option(min=3, help="Clocks of a bit on the line; a board has more.")
    ] = 3,
    trace: Annotated[Path | None, typer.Option(help="Waveforms (.vcd, .fst).")] = None,
    json_path: JsonPath = None,
) -> None:
    """Run a complete board, simulated, behind a pseudo-terminal, until interrupted."""
    from tmesh_sim.board import SimulatedBoard

    with _one_line_errors():
        try:
            simulated = SimulatedBoard(config, divisor, trace)
        except SimulationError as error:
            raise OSError(str(error)) from None
        device = f"serial:{simulated.path}"
        print(device, flush=True)
        values = {"device": device, "config": config, "divisor": divisor}
        _write_json(json_path, {**values, "digest": simulated.digest})
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: simulated.stop())
        with contextlib.closing(simulated):
            simulated.serve()


@app.command()
def doctor() -> None:
    """List the tools found, and how to get what is missing."""
    missing = 0
    for finding in findings():
        missing += finding.found is None and finding.required
        state = finding.found if finding.found else f"missing; {finding.remedy}"
        console.print(f"{finding.name:14} {state}")
    raise typer.Exit(2 if missing else 0)


def main() -> None:
    """Entry point."""
    app()
