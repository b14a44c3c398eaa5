"""A Verilated stream component as a shared library, built once and called with whole batches."""

import ctypes
import dataclasses
import functools
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tmesh import checks
from tmesh.closing import Closing
from tmesh.errors import InvalidInput, SimulationError, ToolError
from tmesh.files import cache_folder
from tmesh.numbers import IntArray

from tmesh_sim.packing import Field, fields
from tmesh_sim.toolchain import (
    building,
    run_tool,
    tool_versions,
    verilator_environment,
    verilator_program,
)

#: Cycles without a transfer on either side after which a run is given up; the slowest command, 4×4
#: eigenvectors on an iterative CORDIC, takes 10 000.
PATIENCE = 50_000

#: The result of `tmesh_run` if the Verilog stops.
_STOPPED = -2

_SOURCE = Path(__file__).with_name("harness.cpp")
_FLAGS = (
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--noassert",
    # Tables of branches that are seldom taken are slower than the branches.
    "-fno-table",
    "-Wno-fatal",
    "-Wno-WIDTH",
    "-Werror-USERERROR",
)
#: How what is Verilated is optimised.
CXXFLAGS = "-O2"
#: As a library: no program replaces its functions, so they call each other directly.
_LIBRARY = "-fPIC -fno-semantic-interposition -fno-plt"
#: A netlist takes longer to compile than it ever runs.
_CXXFLAGS_NETLIST = "-O1"


def _ports(i: list[Field], o: list[Field]) -> str:
    def table(name: str, values: list[int]) -> str:
        return f"static const unsigned {name}[] = {{{', '.join(map(str, values))}}};\n"

    def words(layout: list[Field]) -> int:
        return -(-sum(field.width for field in layout) // 32) + 1

    return (
        table("I_WIDTHS", [field.width for field in i])
        + table("O_WIDTHS", [field.width for field in o])
        + table("O_SIGNED", [int(field.signed) for field in o])
        + f"enum {{ I_WORDS = {words(i)}, O_WORDS = {words(o)} }};\n"
    )


def _trace_flags(trace: Path | None) -> tuple[list[str], str]:
    if trace is None:
        return [], ""
    if trace.suffix == ".fst":
        header, name = "verilated_fst_c.h", "VerilatedFstC"
    elif trace.suffix == ".vcd":
        header, name = "verilated_vcd_c.h", "VerilatedVcdC"
    else:
        raise InvalidInput(f"trace must end in .fst or .vcd, not {trace.name!r}")
    defines = f' -DTRACE_HEADER=\\"{header}\\" -DTRACE_CLASS={name}'
    return [f"--trace-{trace.suffix[1:]}"], defines


@dataclasses.dataclass(frozen=True)
class Source:
    """Verilog that is made only if it is not built yet; `key` must tell it from any other.

    `library` is a file of modules that it may instantiate.
    """

    make: Callable[[], str]
    key: str
    library: Path | None = None


def build(source: str | Source, i: list[Field], o: list[Field], trace: Path | None = None) -> Path:
    """The shared library for Verilog of a stream component; see `shared_library`."""
    return shared_library(source, _SOURCE, _ports(i, o), trace)


def shared_library(
    source: str | Source, driver: Path, header: str, trace: Path | None = None
) -> Path:
    """The shared library for Verilog, from the cache or built now: `driver` in C++, which is given
    `header` as ports.h, has its entry points.

    The cache key is a digest of everything that goes in, so a change of any of it rebuilds.
    """
    if isinstance(source, str):
        source = Source(functools.partial(str, source), source)
    trace_flags, defines = _trace_flags(trace)
    flags = [*_FLAGS, *trace_flags]
    if source.library:
        flags += ["-v", str(source.library), f"-I{source.library.parent}"]
    cxxflags = (_CXXFLAGS_NETLIST if source.library else CXXFLAGS) + defines
    compiled = [*flags, _LIBRARY, cxxflags]
    inputs = [source.key, header, driver.read_text(), compiled, tool_versions()]
    digest = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:24]
    target = cache_folder() / f"{digest}.so"
    if target.exists():
        return target
    with building(target) as folder:
        if folder is None:
            return target
        (folder / "tmesh.v").write_text(source.make())
        (folder / "ports.h").write_text(header)
        shutil.copy(driver, folder)
        command = [
            verilator_program(),
            "--cc",
            "--build",
            "-j",
            "2",
            "--top-module",
            "tmesh",
            *flags,
        ]
        command += ["--lib-create", "tmesh_core", "-CFLAGS", f"{_LIBRARY} {cxxflags} -I.."]
        command += ["-Mdir", "obj", "tmesh.v", driver.name]
        try:
            run_tool(command, folder, verilator_environment(), target.with_suffix(".log"))
        except ToolError as error:
            if "lz4.h" in str(error):
                reason = "an FST trace needs lz4.h (Debian: liblz4-dev); use a .vcd trace instead"
                raise ToolError(reason) from None
            raise
        shutil.copy(folder / "obj" / "libtmesh_core.so", folder / "done.so")
        (folder / "done.so").replace(target)
    return target


class VerilatedCore(Closing):
    """A running Verilated component with one stream in and one out.

    Rows are as in `tmesh_sim.packing`. `cycles` counts the clocks of the last batch.
    """

    def __init__(
        self, layouts: tuple[Any, Any], source: str | Source, trace: Path | None = None
    ) -> None:
        """layouts: of the payloads in and out."""
        self._i, self._o = (fields(layout) for layout in layouts)
        library = ctypes.CDLL(str(build(source, self._i, self._o, trace)))
        library.tmesh_open.restype = ctypes.c_void_p
        library.tmesh_open.argtypes = [ctypes.c_char_p]
        library.tmesh_close.argtypes = [ctypes.c_void_p]
        library.tmesh_run.restype = ctypes.c_int64
        pointer = np.ctypeslib.ndpointer(dtype=np.int32, ndim=2, flags="C_CONTIGUOUS")
        library.tmesh_run.argtypes = [
            ctypes.c_void_p,
            ctypes.c_int64,
            pointer,
            ctypes.c_int64,
            pointer,
            ctypes.c_int64,
        ]
        self._library = library
        if trace is not None:
            trace.parent.mkdir(parents=True, exist_ok=True)
        self._trace = str(trace or "").encode()
        self._handle: int | None = library.tmesh_open(self._trace)

    def run(
        self, inputs: IntArray, answers: int | None = None, patience: int = PATIENCE
    ) -> tuple[IntArray, int]:
        """Replies (answers, fields) to `inputs` (n, fields), and the clock cycles that it took; an
        answer to each input unless told otherwise.

        Raises `SimulationError` when nothing moves for `patience` cycles, or a ``$fatal`` of the
        Verilog says why it cannot go on; the core is then reset.
        """
        if self._handle is None:
            raise SimulationError("the simulator is closed")
        rows = self._rows(inputs)
        count = len(rows) if answers is None else checks.integer("answers", answers, least=0)
        patience = checks.integer("patience", patience, least=1)
        replies = np.zeros((count, len(self._o)), dtype=np.int32)
        cycles = self._library.tmesh_run(self._handle, len(rows), rows, count, replies, patience)
        if cycles < 0:
            self.close()
            self._handle = self._library.tmesh_open(self._trace)
            if cycles == _STOPPED:
                raise SimulationError("a cell is used in a way that its model does not have")
            raise SimulationError(f"the core made no progress for {patience} cycles")
        return replies.astype(np.int64), int(cycles)

    def _rows(self, inputs: IntArray) -> npt.NDArray[np.int32]:
        """`inputs` as the library takes them: a field is given signed or as its bits."""
        form = f" (n, {len(self._i)})"
        rows = checks.integers("inputs", inputs, form)
        if rows.ndim != 2 or rows.shape[1] != len(self._i):
            raise InvalidInput(f"inputs must be{form}, not {rows.shape}")
        for n, field in enumerate(self._i):
            # A row has 32 bits for a field; the rest of a wider one is 0.
            width = min(field.width, 32)
            least, most = -(1 << width - 1) * (width == field.width), (1 << width) - 1
            column = rows[:, n]
            if not (np.min(column, initial=0) >= least and np.max(column, initial=0) <= most):
                bad = column[(column < least) | (column > most)][0]
                raise InvalidInput(f"inputs: field {n} has {width} bits, no room for {bad}")
        return np.ascontiguousarray((rows & 0xFFFFFFFF).astype(np.uint32)).view(np.int32)

    def close(self) -> None:
        """Free the model and finish the trace file."""
        if self._handle is not None:
            self._library.tmesh_close(self._handle)
            self._handle = None
