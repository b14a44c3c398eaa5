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
    scenario = tmp_path / "swarm.toml"
    text = "agents = 16\ndevice = 'model'\nchannel = 'wifi'\ntopology = {kind = 'complete'}\n"
    scenario.write_text(
        text + "[byzantine]\nstubborn = 1\nequivocate = 1\narithmetic = 1\nmute = 1\n"
    )
    arguments = ["run", str(scenario), "--json", str(result), "--picture", str(picture)]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    assert "decided" in shown.output
    values = json.loads(result.read_text())
    assert " ".join(values) == (
        "device seed agents faulty decided outcome disagreements preferred stated rounds delays "
        "events cycles entropy agreement purity coherence certificates byzantine "
        "wrongly_excluded failed generations epochs updates audits cycles_of_updates "
        "cycles_of_audits frames deliveries bytes seconds refused glued history opinions genesis"
    )
    assert values["decided"] == 1
    assert f"{values['bytes']['statements'] / 16:,.0f}" in shown.output  # an agent's share
    assert max(map(len, shown.output.splitlines())) <= 80
    kinds = {one["kind"]: one["proven_by"] for one in values["byzantine"]}
    honest = values["agents"] - values["faulty"]
    assert {name for name, holders in kinds.items() if holders == honest} == {
        "arithmetic",
        "equivocate",
        "stubborn",
    }
    assert (values["wrongly_excluded"], values["disagreements"]) == ([], 0)
    assert picture.read_text().lstrip().startswith("<?xml")


MISTAKES = {
    "run {}/zero.toml": "zero.toml: agents: Input should be greater than or equal to 2, not 0",
    "run {}/none.toml": "none.toml: No such file",
    "run {}": ": Is a directory",
    "run /dev/zero": "/dev/zero: over 1,048,576 bytes",
    "run {}/truncated.toml": "evidence.npz: not an NPZ archive of numbers: ",
    "run {}/old.toml": "old.toml: kappa: it is a rule now: write it into the table [rules] as",
    "run {}/rule.toml": "rule.toml: rules: kappa: Input should be 1, 2, 4 or 8, not 3",
    "run --device reference": "reference: agents sign the bits of exact devices",
    "run {}/deep.toml": "deep.toml: not TOML: ",
    "run {}/digits.toml": "digits.toml: not TOML: ",
    "run {}/folder.toml": "folder.toml: folder: Extra inputs are not permitted",
    "run {}/loops.toml": "loops.csv: edges: row 1 joins an agent to itself",
    "run --device quantum": "device must be one of reference, model, verilator, netlist,",
    "run --device serial:quantum://x": "quantum",
    "run --config huge": "config must be one of default, ",
    "run --linear --json /dev/null/x": "/dev/null/x: File exists",
    "run --linear --seed -1": "--seed",
    "run --linear --colour": "--colour",
    "run --device reference --picture {}/run.txt": "run.txt: a picture ends in one of .",
    "run --device reference --picture /dev/null/run.svg": "/dev/null/run.svg: File exists",
    "run --device reference --json {}": ": it is a folder",
    "arena --json /dev/null/rows.json": "/dev/null/rows.json: File exists",
    "fly": "fly",
    "arena --rule kappa=3": "rules: kappa: Input should be 1, 2, 4 or 8, not 3",
    "arena --rule kappa": "--rule: 'kappa' is not of the form NAME=VALUE",
    "arena --adversary nice": "byzantine: 'nice' is none of arithmetic",
    "arena --adversary os:path": "byzantine: os:path is no Byzantine",
    "arena --adversary no.such:Thing": "byzantine: no.such:Thing: ModuleNotFoundError: ",
    "arena --faulty 64": "byzantine: 64 of 64 leave none honest",
    "arena --events pigeon --seeds 1 --agents 20": "channel: 'pigeon' is none of ideal",
    "arena --runs {}/zero.toml": "zero.toml: line 1 is no result",
    "arena --runs {}": "Is a directory",
    "board --config sim-eigen": "config has no engine (gossip_lanes = 0)",
    "board --trace {}/core.wav": "trace must end in .fst or .vcd, not 'core.wav'",
}


@pytest.mark.parametrize(("arguments", "reason"), MISTAKES.items(), ids=MISTAKES)
def test_bad_input_is_one_line_and_status_2(
    arguments: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "evidence.npz").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "loops.csv").write_text("0,1\n1,1\n")
    for name, text in {
        "zero": "agents = 0",
        "truncated": "device = 'model'\nevidence = 'evidence.npz'",
        "old": "kappa = 4",
        "rule": "rules = {kappa = 3}",
        "deep": f"x = {'[' * 5000}",
        "digits": f"agents = {'1' * 5000}",
        "folder": "folder = '/'",
        "loops": "device = 'model'\nedges = 'loops.csv'",
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


def test_the_linear_baseline_and_doctor() -> None:
    assert "nothing is decided" in CliRunner().invoke(app, ["run", "--linear"]).output
    assert "verilator" in CliRunner().invoke(app, ["doctor"]).output


def test_arena_prints_shares_and_writes_rows(tmp_path: Path) -> None:
    """The keys are those that others build on."""
    path = tmp_path / "arena.json"
    arguments = "arena --agents 30 --topology complete --seeds 2 --adversary mute"
    options = ["--adversary", "stubborn", "--events", "ideal", "--json", str(path)]
    shown = CliRunner().invoke(app, [*arguments.split(), *options])
    assert shown.exit_code == 0, shown.output
    rows = json.loads(path.read_text())
    assert " ".join(rows[0]) == (
        "protocol channel agents majority adversary faulty seeds decided split wrong followed "
        "stated rounds_p50 rounds_p95 generations excluded delays_p50 frames bytes seconds"
    )
    names = [(row["adversary"], row["faulty"], row["channel"]) for row in rows]
    assert names == [
        (adversary, faulty, channel)
        for adversary, faulty in (("none", 0), ("mute", 3), ("stubborn", 3))
        for channel in (None, "ideal")
    ]
    assert all(row["decided"] == row["followed"] == 1 for row in rows)
    assert all(row["split"] == row["excluded"] == 0 for row in rows)
    generations = [row["generations"] for row in rows]
    assert generations[:5] == [1, 1, 1, 1, 2]
    assert 2 <= generations[5] <= 4  # one for each proof, unless two come together
    assert (rows[0]["frames"], rows[0]["bytes"]) == (None, None)
    assert rows[1]["bytes"] > 100 * rows[1]["frames"]


def test_a_share_that_is_named_twice_makes_one_row(tmp_path: Path) -> None:
    path = tmp_path / "arena.json"
    arguments = "arena --agents 4 --topology complete --seeds 2 --majority 0.8 --majority 0.8"
    shown = CliRunner().invoke(app, [*arguments.split(), "--json", str(path)])
    assert shown.exit_code == 0, shown.output
    assert [(row["faulty"], row["seeds"]) for row in json.loads(path.read_text())] == [(0, 2)]


def test_a_swarm_with_more_byzantine_agents_than_declared_warns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "swarm.toml"
    text = "agents = 7\nfaults = 1\ndevice = 'model'\n[byzantine]\nmute = 2\n"
    path.write_text(text + "[topology]\nkind = 'complete'\n")
    assert main(["run", str(path)]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "2 Byzantine agents, but the quorum tolerates 1" in said
