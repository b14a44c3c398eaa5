"""The command line: `tmesh run`, `arena`, `bench`, `board`, `doctor`."""

import contextlib
import dataclasses
import json
import signal
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from tmesh.adversaries import names
from tmesh.campaigns import Store
from tmesh.devices import DEVICES
from tmesh.doctor import findings
from tmesh.entry import BAD_INPUT, INTERRUPTED, Interrupted, guarded
from tmesh.errors import InvalidInput, NotSupported
from tmesh.files import check_writable, write_text
from tmesh.report.table import summary
from tmesh.swarm import Scenario, linear
from tmesh.swarm import run as run_swarm

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
console, progress = Console(), Console(stderr=True)

#: Typer raises this for options that it refuses, and exports only a subclass.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]

JsonPath = Annotated[Path | None, typer.Option("--json", help="Write machine-readable results.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")]


@app.callback()
def _main() -> None:
    """Swarm consensus on a verified core for small density matrices."""


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
        Path | None, typer.Option("--picture", help="The mesh, and the run over time (.svg, .png).")
    ] = None,
    baseline: Annotated[
        bool, typer.Option("--linear", help="Run the linear five-agent baseline instead.")
    ] = False,
) -> None:
    """Run a swarm until every honest agent holds its certificates."""
    _check_outputs(json_path, picture_path)
    if baseline:
        _linear(seed, json_path)
        return
    save = None
    if picture_path is not None:
        from tmesh.report import picture  # Matplotlib writes to the home folder

        picture.check_suffix(picture_path)
        save = picture.save
    chosen = Scenario.default() if scenario is None else Scenario.load(scenario)
    given = {"device": device, "config": config}
    chosen = chosen.varied(**{key: one for key, one in given.items() if one is not None})
    if chosen.faulty > chosen.declared:
        progress.print(
            f"tmesh: {chosen.faulty} Byzantine agents, but the quorum tolerates {chosen.declared}: "
            "conflicting certificates are possible"
        )
    with _bar() as bar:
        task = bar.add_task("certificates of honest agents", total=1.0)
        result = run_swarm(
            chosen, seed=seed, progress=lambda share: bar.update(task, completed=share)
        )
    try:
        _write_json(json_path, result.to_dict())
        if save is not None and picture_path is not None:
            save(result, picture_path)
    finally:  # also where the disk is full
        console.print(summary(result))
    if picture_path is not None:
        console.print(f"picture: {picture_path}")


def _linear(seed: int, json_path: Path | None) -> None:
    result = linear(seed=seed)
    _write_json(json_path, dataclasses.asdict(result))
    console.print(
        f"linear baseline, {result.seeds} seeds: coherence {result.coherence_before:.3f} before, "
        f"{result.coherence_after:.3f} ± {result.coherence_error:.3f} after; "
        f"entropy {result.entropy_before:.3f} → {result.entropy_after:.3f} nat: nothing is decided"
    )


def _bar() -> Progress:
    """A bar on standard error, if that is a terminal."""
    return Progress(console=progress, transient=True, disable=not progress.is_terminal)


def _check_outputs(*paths: Path | None) -> None:
    """Find a path that cannot be written before a long command, not after it."""
    for path in paths:
        if path is not None:
            check_writable(path)


def _write_json(path: Path | None, values: object) -> None:
    """Results go to their file before anything is printed, which may fail."""
    if path is not None:
        write_text(path, json.dumps(values, indent=2) + "\n")


@app.command()
def bench(seed: Seed = 0, json_path: JsonPath = None) -> None:
    """Measure the core beside what a user would pick instead."""
    try:
        from tmesh.report import bench as benchmark
    except ModuleNotFoundError as error:
        raise NotSupported(f"bench needs {error.name}: pip install 'tmesh[dev]'") from None
    _check_outputs(json_path)
    measured: list[Any] = []
    try:
        for row in benchmark.rows(seed):
            measured.append(row)
            _write_json(json_path, [dataclasses.asdict(one) for one in measured])
    except KeyboardInterrupt:
        kept = f"{len(measured)} rows are in {json_path}" if json_path and measured else "no file"
        raise Interrupted(f"{kept}; ratios hold within one run, so the next starts again") from None
    finally:
        console.print(benchmark.table(measured))


@app.command()
def arena(
    scenario: Annotated[
        Path | None, typer.Argument(help="Scenario file to vary; default: the shipped one.")
    ] = None,
    agents: Annotated[int | None, typer.Option(min=2, help="Agents of a swarm.")] = None,
    topology: Annotated[str | None, typer.Option(help="Kind of the mesh.")] = None,
    majority: Annotated[
        list[float] | None,
        typer.Option(help="Shares of agents that start for outcome 0; may be repeated."),
    ] = None,
    faulty: Annotated[
        list[int] | None,
        typer.Option(help="Numbers of Byzantine agents; may be repeated. Default: 0, 10 %."),
    ] = None,
    adversary: Annotated[
        list[str] | None,
        typer.Option(help="Kinds of Byzantine agents; may be repeated. Default: all."),
    ] = None,
    rule: Annotated[
        list[str] | None, typer.Option(help="A rule, such as k=20; may be repeated.")
    ] = None,
    events: Annotated[
        list[str] | None,
        typer.Option(help="Channels: run each cell message by message too; may be repeated."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each cell.")] = 10,
    seed: Seed = 0,
    json_path: JsonPath = None,
    runs: Annotated[
        Path | None,
        typer.Option(help="File that keeps finished runs; the same command measures the rest."),
    ] = None,
) -> None:
    """Measure a swarm against every kind of Byzantine agent, in rounds and message by message.

    The scenario's partitions and kills are left out.
    """
    from tmesh.report import arena as measure

    base = Scenario.default() if scenario is None else Scenario.load(scenario)
    given: dict[str, Any] = {"agents": agents}
    if topology is not None:
        given["topology"] = {"kind": topology}
    given = {key: one for key, one in given.items() if one is not None}
    rules = {**base.rules, **dict(map(_rule, rule or []))}
    base = base.varied(partitions=(), kills=0, byzantine={}, rules=rules, **given)
    scenarios = measure.scenarios(
        base,
        majority or [base.majority],
        faulty or [0, base.agents // 10],
        adversary or names(),
    )
    _check_outputs(json_path)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(Store(runs)) if runs is not None else None
        campaign = measure.Arena(scenarios, events or [], seeds, seed, store)
        try:
            with _bar() as bar:
                task = bar.add_task("runs", total=campaign.missing)
                campaign.measure(lambda run: bar.advance(task))
        except KeyboardInterrupt:
            how = "with --runs FILE the others would have been kept"
            if runs is not None:
                how = f"the others are in {runs}, and the same command continues"
            raise Interrupted(f"{campaign.missing} runs are missing; {how}") from None
        finally:
            rows = campaign.rows()
            if rows:  # or the file of an earlier measurement stays
                _write_json(json_path, [dataclasses.asdict(one) for one in rows])
                console.print(measure.table(rows))


def _rule(text: str) -> tuple[str, object]:
    """A rule and its value, as TOML writes it; a word needs no quotes."""
    name, separator, value = text.partition("=")
    if not separator:
        raise InvalidInput(f"--rule: {text!r} is not of the form NAME=VALUE")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value


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

    _check_outputs(json_path)
    simulated = SimulatedBoard(config, divisor, trace)
    with contextlib.closing(simulated):
        device = f"serial:{simulated.path}"
        values = {"device": device, "config": config, "divisor": divisor}
        _write_json(json_path, {**values, "digest": simulated.digest})
        print(device, flush=True)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: simulated.stop())
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: the exit status of `arguments`, by default those of the process."""

    def work() -> int:
        try:
            status = app(arguments, standalone_mode=False) or 0
        except UsageError as error:
            message = error.format_message()  # type: ignore[attr-defined]  # as all of Typer's
            if not message:  # no command was named, and Typer has printed the help text
                return BAD_INPUT
            raise InvalidInput(message) from None
        if status == INTERRUPTED:  # Typer has caught it
            raise KeyboardInterrupt
        return status

    return guarded(work)
