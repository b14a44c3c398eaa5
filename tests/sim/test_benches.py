"""The cocotb benches from plain pytest: exported Verilog on Verilator, bit for bit."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from tmesh.golden import pauli, reference
from tmesh_hw.export import TOP, simulation_verilog, verilog
from tmesh_sim.benches import rate, runner
from tmesh_sim.benches.runner import BENCHES, run
from tmesh_sim.engine_packets import engine_config

#: Each block once at each format, with many lanes at the wide one. `make sim` runs all benches.
SOME = [
    (name, f, lanes)
    for name, f, lanes in BENCHES
    if (lanes > 1) == (f == 16) or {case[2] for case in BENCHES if case[0] == name} == {1}
]


@pytest.mark.parametrize(("name", "f", "lanes"), SOME)
def test_bench(name: str, f: int, lanes: int, tmp_path: Path) -> None:
    run(name, f, lanes, tmp_path, transactions=80, seed=f + lanes)


#: Exports that break a rule of AXI, each with the message of the bench.
FAULTS = {
    "a top that resets by the clock alone": (
        simulation_verilog,
        "m_axis_tvalid is high in a reset",
    ),
    "a VALID that falls when a command does": (
        lambda dut: re.sub(
            r"assign m_axis_tvalid = (.*);",
            r"assign m_axis_tvalid = (\1) & s_axis_tdata[0];",
            verilog(dut, TOP),
        ),
        "m_axis_tvalid fell before m_axis_tready rose",
    ),
    "a payload that follows the command": (
        lambda dut: re.sub(
            r"assign m_axis_tdata = (.*);",
            r"assign m_axis_tdata = (\1) ^ s_axis_tdata;",
            verilog(dut, TOP),
        ),
        "changed before m_axis_tready",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_export_that_breaks_axi_is_found(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, said = FAULTS[fault]
    monkeypatch.setattr(runner, "verilog", lambda dut, name: make(dut))
    with pytest.raises((AssertionError, SystemExit)):  # the runner leaves where a test fails
        run("queue", 14, 1, tmp_path, transactions=40, seed=3)
    assert said in (tmp_path / "test.log").read_text(encoding="utf-8")


def test_what_is_timed_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to build the engine give the model's replies, and a time."""
    monkeypatch.setattr(rate, "CXXFLAGS", "-O0")
    config, rng = dataclasses.replace(engine_config(14, 1), rounds=0), np.random.default_rng(1)
    r = rng.integers(-9000, 9000, (config.agents, 3))
    form = config.q.quantise(pauli.rows(reference.partial_swap(0.5)))
    pairs = np.array([[0, 1], [1, 2], [2, 0], [3, 4]])
    measured = dict(rate.seconds(config, r, form, pairs, repeats=2))
    assert list(measured) == ["as it comes", "ports alone, -O0"]
    assert min(measured.values()) > 0
