"""The command line as a user calls it."""

import json
from pathlib import Path

import pytest
from tmesh.cli import app, main
from tmesh.devices import DEVICES
from tmesh.swarm import Scenario
from typer.testing import CliRunner


def test_run_writes_table_json_and_picture(tmp_path: Path) -> None:
    result, picture = tmp_path / "out" / "run.json", tmp_path / "out" / "run.svg"
    arguments = ["run", "--device", "model", "--json", str(result), "--picture", str(picture)]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    assert "decided" in shown.output
    values = json.loads(result.read_text())
    assert " ".join(values) == (
        "device seed agents faulty decided outcome disagreements rounds delays events cycles "
        "entropy agreement purity coherence certificates frames bytes seconds refused accused "
        "heals glued tombstones epochs genesis"
    )
    assert values["decided"] == 1
    assert f"{values['bytes']['statements'] / 64:,.0f}" in shown.output  # an agent's share
    assert picture.read_text().lstrip().startswith("<?xml")


MISTAKES = {
    "run {}/zero.toml": "zero.toml: agents: Input should be greater than or equal to 2, not 0",
    "run {}/none.toml": "none.toml: No such file",
    "run {}": ": Is a directory",
    "run /dev/zero": "/dev/zero: over 1,048,576 bytes",
    "run {}/truncated.toml": "states.npz: not an NPZ archive of numbers: ",
    "run {}/deep.toml": "deep.toml: not TOML: ",
    "run {}/digits.toml": "digits.toml: not TOML: ",
    "run {}/folder.toml": "folder.toml: folder: Extra inputs are not permitted",
    "run {}/loops.toml": "loops.csv: edges: row 1 joins an agent to itself",
    "run --device quantum": "device must be one of reference, model, verilator, netlist,",
    "run --device serial:quantum://x": "quantum",
    "run --config huge": "config must be one of default, ",
    "run --genesis --json /dev/null/x": "/dev/null/x: File exists",
    "run --genesis --seed -1": "--seed",
    "run --genesis --colour": "--colour",
    "run --device reference --picture {}/run.txt": "run.txt: a picture ends in one of .",
    "run --device reference --picture /dev/null/run.svg": "/dev/null/run.svg: File exists",
    "run --device reference --json {}": ": it is a folder",
    "arena --json /dev/null/rows.json": "/dev/null/rows.json: File exists",
    "fly": "fly",
    "arena --kappa 3": "kappa: Input should be 1, 2, 4 or 8, not 3",
    "arena --adversary nice": "adversary: 'nice' is none of crash",
    "arena --adversary os:path": "adversary: os:path is no Adversary",
    "arena --adversary no.such:Thing": "adversary: no.such:Thing: ModuleNotFoundError: ",
    "arena --faulty 200": "faulty: 200 of 200 agents leaves none honest",
    "arena --events pigeon --seeds 1 --agents 20 --k 4": "channel: 'pigeon' is none of ideal",
    "arena --runs {}/zero.toml": "zero.toml: line 1 is no result",
    "arena --runs {}": "Is a directory",
    "board --config sim-eigen": "config has no engine (gossip_lanes = 0)",
    "board --trace {}/core.wav": "trace must end in .fst or .vcd, not 'core.wav'",
}


@pytest.mark.parametrize(("arguments", "reason"), MISTAKES.items(), ids=MISTAKES)
def test_bad_input_is_one_line_and_status_2(
    arguments: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "states.npz").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "loops.csv").write_text("0,1\n1,1\n")
    for name, text in {
        "zero": "agents = 0",
        "truncated": "device = 'reference'\nstates = 'states.npz'",
        "deep": f"x = {'[' * 5000}",
        "digits": f"agents = {'1' * 5000}",
        "folder": "folder = '/'",
        "loops": "device = 'reference'\nedges = 'loops.csv'",
    }.items():
        (tmp_path / f"{name}.toml").write_text(text)
    assert main(arguments.format(tmp_path).split()) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("tmesh: ")
    assert reason in shown
    assert shown.count("\n") == 1


def test_a_missing_compiler_is_one_line_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TMESH_CACHE", str(tmp_path / "cache"))
    assert main(["run"]) == 2
    shown = capsys.readouterr().err
    assert shown == "tmesh: g++ not found; install it (Debian: apt-get install g++)\n"


@pytest.mark.parametrize("device", [*DEVICES, "serial:/dev/ttyUSB0"])
def test_a_scenario_has_any_device(device: str) -> None:
    """All that `open_device` has."""
    assert Scenario(device=device).device == device


def test_genesis_and_doctor() -> None:
    assert "nothing is decided" in CliRunner().invoke(app, ["run", "--genesis"]).output
    assert "verilator" in CliRunner().invoke(app, ["doctor"]).output


def test_arena_prints_shares_and_writes_rows(tmp_path: Path) -> None:
    """Silent liars change nothing; the keys are those that others build on."""
    path = tmp_path / "arena.json"
    arguments = ["arena", "--agents", "60", "--k", "8", "--seeds", "5", "--json", str(path)]
    shown = CliRunner().invoke(
        app, [*arguments, "--coin", "none", "--adversary", "mute", "--adversary", "hold"]
    )
    assert shown.exit_code == 0, shown.output
    none, mute, hold = json.loads(path.read_text())
    assert " ".join(none) == (
        "protocol coin channel agents k kappa majority adversary faulty seeds decided split wrong "
        "followed rounds_p50 rounds_p95 delays_p50 frames bytes epochs"
    )
    assert (none["adversary"], none["faulty"], mute["faulty"]) == ("none", 0, 12)
    assert mute["decided"] == 1
    assert hold["decided"] < 1
    assert (none["channel"], none["frames"]) == (None, None)


def test_small_swarms_and_repeated_options_make_one_row_each(tmp_path: Path) -> None:
    """A fifth of four agents is none."""
    path = tmp_path / "arena.json"
    arguments = "arena --agents 4 --k 2 --seeds 2 --coin none --kappa 8 --kappa 8 --json"
    shown = CliRunner().invoke(app, [*arguments.split(), str(path)])
    assert shown.exit_code == 0, shown.output
    assert [(row["faulty"], row["seeds"]) for row in json.loads(path.read_text())] == [(0, 2)]


def test_arena_runs_the_same_in_rounds_and_in_messages(tmp_path: Path) -> None:
    """Every start and order, each in both models; over a channel that loses nothing and delays all
    alike, an agent needs about as many rounds."""
    path = tmp_path / "arena.json"
    arguments = (
        "arena --agents 40 --k 8 --faulty 8 --adversary mute --seeds 3 --events ideal --no-finality"
    )
    options = ["--majority", "0.8", "--majority", "1", "--kappa", "4", "--kappa", "8"]
    shown = CliRunner().invoke(app, [*arguments.split(), *options, "--json", str(path)])
    assert shown.exit_code == 0, shown.output
    rows = json.loads(path.read_text())
    grid = [(kappa, start) for kappa in (4, 8) for start in (0.8, 1.0)]
    assert [(row["kappa"], row["majority"]) for row in rows[::2]] == grid
    for rounds, messages in zip(rows[::2], rows[1::2], strict=True):
        assert (rounds["channel"], messages["channel"]) == (None, "ideal")
        assert rounds["majority"] == messages["majority"]
        assert rounds["decided"] == messages["decided"] == messages["followed"] == 1
        assert abs(rounds["rounds_p50"] - messages["rounds_p50"]) <= 2
        assert messages["delays_p50"] >= 2 * messages["rounds_p50"]
        assert messages["bytes"] > 100 * messages["frames"]
