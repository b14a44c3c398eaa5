"""Commands meet errors, Ctrl-C, and an output that cannot be written."""

import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tmesh.cli import main
from tmesh.entry import BAD_INPUT, BUG, CLOSED, INTERRUPTED, Interrupted, guarded
from tmesh.errors import InvalidInput
from tmesh.report.arena import Arena

TMESH = str(Path(sys.executable).with_name("tmesh"))


def fails(error: BaseException) -> int:
    def work() -> None:
        raise error

    return guarded(work)


def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the value that it shows, and however long."""
    assert fails(InvalidInput("a: must be\nb, not " + 10_000 * "x")) == BAD_INPUT
    shown = capsys.readouterr().err
    assert shown.startswith("tmesh: a: must be b, not xxx")
    assert shown.count("\n") == 1
    assert len(shown) < 600


def test_a_bug_is_a_line_and_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert fails(KeyError("missing")) == BUG
    shown = capsys.readouterr().err
    [report] = tmp_path.iterdir()
    assert "this is a bug: KeyError: 'missing' at test_entry.py:" in shown
    assert shown.rstrip().endswith(f"please report it with {report}")
    assert "Traceback" in report.read_text()
    monkeypatch.setattr("tempfile.tempdir", "/proc/none")
    assert fails(KeyError("missing")) == BUG
    shown = capsys.readouterr().err
    assert shown.rstrip().endswith("please report it with the command")
    assert shown.count("\n") == 1


def test_ctrl_c_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(Interrupted("3 of 9 rows are in x.json")) == INTERRUPTED
    assert capsys.readouterr().err == "tmesh: interrupted: 3 of 9 rows are in x.json\n"
    assert fails(KeyboardInterrupt()) == INTERRUPTED
    assert "the same command starts again" in capsys.readouterr().err


class Full(io.StringIO):
    """A stream that takes nothing."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def write(self, text: str) -> int:
        raise OSError(self._number, "it takes nothing")


@pytest.mark.parametrize(
    ("number", "status"), [(errno.ENOSPC, BAD_INPUT), (errno.EPIPE, CLOSED), (None, 0)]
)
def test_a_command_goes_on_when_its_output_cannot_be_written(
    number: int | None, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []

    def work() -> None:
        print("a line")
        done.append(True)
        print("another", flush=True)

    monkeypatch.setattr(sys, "stdout", None if number is None else Full(number))
    assert guarded(work) == status
    assert done == [True]


ARGUMENTS = "--agents 20 --topology complete --seeds 1"
ARENA = ["arena", *ARGUMENTS.split()]


@pytest.fixture
def environment() -> dict[str, str]:
    return {
        name: os.environ[name] for name in ("PATH", "HOME", "TMESH_CACHE") if name in os.environ
    }


@pytest.mark.parametrize("output", ["latin-1", "closed", "full"])
def test_results_are_written_whatever_becomes_of_the_output(
    output: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    path = tmp_path / "rows.json"
    command = [TMESH, *ARENA, "--adversary", "mute", "--json", str(path)]
    if output == "latin-1":
        environment["PYTHONIOENCODING"] = output
    target = {"closed": " >&-", "full": " >/dev/full"}.get(output, "")
    done = subprocess.run(
        ["sh", "-c", f'exec "$@"{target}', "sh", *command],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert path.exists(), done.stderr
    assert done.returncode == (BAD_INPUT if output == "full" else 0)
    assert "Traceback" not in done.stderr


def test_an_interrupted_arena_keeps_its_runs_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same command measures only what is missing: a planted value stays in its row."""
    path, runs = tmp_path / "rows.json", tmp_path / "runs"
    command = [*ARENA, "--json", str(path), "--runs", str(runs)]
    command += ["--adversary", "mute", "--adversary", "flip"]
    measure = Arena.measure

    def interrupt(run: object) -> None:
        raise KeyboardInterrupt

    def interrupted(arena: Arena, done: Callable[[object], object]) -> None:
        measure(arena, interrupt)

    with monkeypatch.context() as patched:
        patched.setattr(Arena, "measure", interrupted)
        assert main(command) == INTERRUPTED
    said = capsys.readouterr().err
    assert f"2 runs are missing; the others are in {runs}, and the same command continues" in said
    assert said.count("\n") == 1
    assert len(json.loads(path.read_text())) == 1
    kept = json.loads(runs.read_text())
    kept["result"]["generations"] = 99
    runs.write_text(json.dumps(kept) + "\n")
    for _ in range(2):
        assert main(command) == 0
        rows = json.loads(path.read_text())
        assert [row["adversary"] for row in rows] == ["none", "mute", "flip"]
        assert [row["generations"] for row in rows].count(99) == 1
    assert runs.read_text().count("\n") == 3


def test_ctrl_c_reaches_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(seed: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tmesh.cli.linear", interrupted)
    assert main(["run", "--linear"]) == INTERRUPTED
    assert capsys.readouterr().err.count("\n") == 1


def test_without_standard_error_no_message_reaches_the_results(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert fails(InvalidInput("a reason")) == BAD_INPUT
    assert capsys.readouterr().out == ""
