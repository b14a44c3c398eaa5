"""The cache folder, files that are whole or not there, and an import that writes nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tmesh.errors import FileError
from tmesh.files import cache_folder, check_writable, replacing, write_text


def test_the_cache_folder_is_absolute_and_an_empty_variable_is_unset(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for chosen, shared, expected in (
        ("own place", "", tmp_path / "own place"),
        (str(tmp_path / "own"), "elsewhere", tmp_path / "own"),
        ("", str(tmp_path / "shared"), tmp_path / "shared" / "tmesh"),
        ("", "relative", tmp_path / "home" / ".cache" / "tmesh"),
        ("", "", tmp_path / "home" / ".cache" / "tmesh"),
        ("~/deep/own", "", tmp_path / "home" / "deep" / "own"),
        ("", "", tmp_path / "home" / ".cache" / "tmesh"),
    ):
        monkeypatch.setenv("TMESH_CACHE", chosen)
        monkeypatch.setenv("XDG_CACHE_HOME", shared)
        assert cache_folder() == expected
        assert expected.is_dir()
    monkeypatch.delenv("TMESH_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / "home" / ".cache" / "tmesh"


@pytest.mark.parametrize("folder", ["/dev/null/cache", "/proc/cache"])
def test_a_cache_folder_that_cannot_be_made_is_one_line(
    monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setenv("TMESH_CACHE", folder)
    with pytest.raises(FileError, match=rf"^cache folder {folder}: .*: set TMESH_CACHE"):
        cache_folder()


def test_a_file_is_replaced_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "result.json"
    write_text(path, "first")
    with pytest.raises(KeyboardInterrupt), replacing(path) as new:  # noqa: PT012
        new.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "first"
    assert [one.name for one in path.parent.iterdir()] == ["result.json"]
    with pytest.raises(FileError, match=r"new folder/result\.json/x: File exists"):
        write_text(path / "x", "text")


def test_a_link_stays_a_link_and_permissions_stay(tmp_path: Path) -> None:
    path, link = tmp_path / "result.json", tmp_path / "link.json"
    path.write_text("first")
    path.chmod(0o600)
    link.symlink_to(path)
    check_writable(link)
    write_text(link, "second")
    assert link.is_symlink()
    assert path.read_text() == "second"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_device_and_a_pipe_are_written_and_not_replaced(tmp_path: Path) -> None:
    check_writable(Path(os.devnull))
    write_text(Path(os.devnull), "text")
    assert Path(os.devnull).is_char_device()
    done = subprocess.run(
        [sys.executable, "-c", _WRITE, "/dev/stdout"], capture_output=True, text=True
    )
    assert done.stdout == "text", done.stderr


_WRITE = """
import sys
from pathlib import Path
from tmesh.files import check_writable, write_text
check_writable(Path(sys.argv[1]))
write_text(Path(sys.argv[1]), "text")
"""


#: Prints every file that is opened for writing, and every folder that is made.
_WATCH = """
import os, sys
sys.dont_write_bytecode = True
def watch(event, arguments):
    if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        print("open", arguments[0])
    elif event in ("os.mkdir", "os.rename", "os.remove", "tempfile.mkstemp"):
        print(event, arguments[0])
sys.addaudithook(watch)
"""


def test_importing_writes_nothing() -> None:
    """Not even to look for a folder that can be written, nor with a home that cannot."""
    program = _WATCH + "import tmesh, tmesh.cli, tmesh.ledger, tmesh.finality, tmesh.sheaf\n"
    environment = {"PATH": os.environ["PATH"], "HOME": "/dev/null"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_compiled_functions_work_without_a_place_to_keep_them() -> None:
    program = (
        "import numpy as np\nfrom tmesh import schedule\n"
        "print(schedule.levels(np.array([[0, 1], [1, 2]]), False, 3).tolist())"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": "/dev/null"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[0, 0]", done.stderr


def test_compiled_functions_are_kept_in_the_cache_folder(tmp_path: Path) -> None:
    program = (
        "import numpy as np, numba\nfrom tmesh import schedule\n"
        "schedule.levels(np.array([[0, 1], [1, 2]]), False, 3)\n"
        "print(repr(numba.config.CACHE_DIR))"
    )
    environment = {"PATH": os.environ["PATH"], "TMESH_CACHE": str(tmp_path / "a cache")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "''", done.stderr  # the setting of others is as it was
    assert list((tmp_path / "a cache" / "numba").rglob("schedule.*levels*.nbi"))
