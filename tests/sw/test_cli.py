"""The command line as a user calls it."""

import json
from pathlib import Path

import pytest
from tmesh.cli import app
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
        "heals glued tombstones epochs"
    )
    assert values["decided"] == 1
    assert f"{values['bytes']['statements'] / 64:,.0f}" in shown.output  # an agent's share
    assert picture.read_text().lstrip().startswith("<?xml")


def test_bad_input_is_one_line_and_status_2(tmp_path: Path) -> None:
    path = tmp_path / "swarm.toml"
    path.write_text("agents = 0\n")
    shown = CliRunner().invoke(app, ["run", str(path)])
    assert shown.exit_code == 2
    assert "swarm.toml: agents:" in shown.output
    assert shown.output.count("\n") == 1
    assert CliRunner().invoke(app, ["run", str(tmp_path / "none.toml")]).exit_code == 2
    shown = CliRunner().invoke(app, ["run", "--device", "quantum"])
    assert shown.exit_code == 2
    assert "device must be one of reference, model, verilator, netlist," in shown.output
    assert shown.output.count("\n") == 1


@pytest.mark.parametrize("device", [*DEVICES, "serial:/dev/ttyUSB0"])
def test_a_scenario_has_any_device(device: str) -> None:
    """All that `open_device` has."""
    assert Scenario.checked(device=device).device == device


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
    assert CliRunner().invoke(app, [*arguments, "--adversary", "nice"]).exit_code == 2
    assert CliRunner().invoke(app, [*arguments, "--faulty", "60"]).exit_code == 2
    assert CliRunner().invoke(app, [*arguments, "--events", "pigeon"]).exit_code == 2
    assert CliRunner().invoke(app, ["arena", "--kappa", "3"]).exit_code == 2


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
