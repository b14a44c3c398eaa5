"""Build and run a cocotb bench; `python -m tmesh_sim.benches.runner` runs them all."""

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner
from tmesh.entry import guarded
from tmesh.numbers import IntArray
from tmesh_hw.export import TOP, simulation_verilog, verilog
from tmesh_hw.ip import package, ports

from tmesh_sim.packing import Field, fields, pack
from tmesh_sim.toolchain import runtime_flags, verilator_environment
from tmesh_sim.vectors import build, cases, vectors

#: Ports that the bench of a block drives or reads.
PORTS = ["aclk", "aresetn"] + [
    f"{side}_axis_{name}" for side in "sm" for name in ("tdata", "tvalid", "tready")
]

#: A bench simulates for a second, so compiling is what takes time: without optimisation, and all in
#: one file.
QUICK = "OPT_FAST=-O0 OPT_SLOW=-O0 VM_PARALLEL_BUILDS=0"

#: Benches of engines with AXI ports, as others get them, driven by bus models, and their blocks.
IP = {"ip": "engine", "microcoded_ip": "microcoded_engine"}

#: (block, fraction bits, lanes) of every bench; engines of the narrow format have AXI ports.
BENCHES = [
    *(case for case in cases() if not (case[0] in IP.values() and case[1] == 14)),
    *((name, *case[1:]) for name in IP for case in cases() if case[:2] == (IP[name], 14)),
]


def run(name: str, f: int, lanes: int, folder: Path, *, transactions: int, seed: int) -> None:
    """Run one bench in `folder`. Raises ``AssertionError`` when a test in it fails."""
    block = IP.get(name, name)
    dut = build(block, f, lanes)
    sent, expected = vectors(block, dut, transactions, seed)
    i, o = (fields(port.payload.shape()) for port in (dut.i, dut.o))
    if name in IP:
        text, module = package.verilog(dut, TOP), "ip_bench"
        touched = [port.name for port in ports(dut.config)]
    else:
        # AXI cannot have what does not wait.
        waits = not dut.o.signature.always_ready
        text = verilog(dut, TOP) if waits else simulation_verilog(dut)
        module, touched = "stream_bench", PORTS
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "vectors.npz"
    np.savez(archive, sent=payloads(sent, i), expected=payloads(expected, o))
    variables = {
        "TMESH_VECTORS": str(archive),
        "TMESH_SEED": str(seed),
        "TMESH_SHAPE": f"{block} {f} {lanes}",
        **({"TMESH_STEADY": "1"} if dut.o.signature.always_ready else {}),
    }
    simulate(text, module, folder, variables, touched, f"{QUICK} {runtime_flags()}")


def simulate(
    text: str,
    module: str,
    folder: Path,
    variables: dict[str, str],
    touched: list[str] | None,
    make: str,
) -> None:
    """Build Verilog in `folder`, with variables for Verilator's makefile, and run the tests of a
    `module` on it, with variables of the environment. Raises ``AssertionError`` when one fails.

    touched: the ports that cocotb sees; None: everything, as the runner has it by itself. Builds
    and runs take twice as long then.
    """
    source = folder / "tmesh.v"
    source.write_text(text, encoding="utf-8")
    environment = verilator_environment()
    environment["MAKEFLAGS"] += f" {make}"
    os.environ.update(environment)
    runner = get_runner("verilator")
    arguments = ["-Wno-fatal", "-Wno-WIDTH", "--x-assign", "fast", "--x-initial", "fast"]
    if touched is not None:
        visible = folder / "visible.vlt"
        public = [f'public_flat_rw -module "{TOP}" -var "{port}"' for port in touched]
        visible.write_text("\n".join(["`verilator_config", *public, ""]), encoding="utf-8")
        arguments += ["--no-public-flat-rw", str(visible)]
    runner.build(
        sources=[source],
        hdl_toplevel=TOP,
        build_args=arguments,
        build_dir=folder,
        log_file=folder / "build.log",
    )
    results = runner.test(
        hdl_toplevel=TOP,
        test_module=f"tmesh_sim.benches.{module}",
        build_dir=folder,
        test_dir=folder,
        extra_env=variables,
        log_file=folder / "test.log",
    )
    tests, failures = get_results(results)
    assert tests >= 1, f"no test ran; see {folder}/test.log"
    assert failures == 0, f"see {folder}/test.log"


def payloads(
    rows: IntArray, layout: list[Field]
) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Rows as the bytes of payloads, little-endian."""
    size = -(-sum(field.width for field in layout) // 8)
    data = [pack(row, layout).to_bytes(size, "little") for row in rows]
    return np.frombuffer(b"".join(data), dtype=np.uint8).reshape(len(rows), size)


def report(bench: tuple[str, int, int]) -> tuple[bool, str]:
    """Run one bench: whether it passed, and its line."""
    name, f, lanes = bench
    seed = int(os.environ.get("TMESH_SEED", "1"))
    root = Path(os.environ.get("TMESH_BENCHES", "build/sim"))
    start = time.monotonic()
    try:
        folder = (root / f"{name}-f{f}-l{lanes}").resolve()
        run(name, f, lanes, folder, transactions=200, seed=seed)
        verdict = "ok"
    except (AssertionError, SystemExit, RuntimeError) as error:
        verdict = f"FAILED: {error}"
    seconds = time.monotonic() - start
    return verdict == "ok", (
        f"{name:18} Q(2,{f}) lanes {lanes:2}  seed {seed}  {seconds:5.1f} s  {verdict}"
    )


def main() -> int:
    """One line per bench, as many at once as there are cores; the exit status says whether all
    passed."""
    failed = 0
    with ProcessPoolExecutor() as pool:
        for passed, line in pool.map(report, BENCHES):
            print(line, flush=True)
            failed += not passed
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(guarded(main))
