"""The Verilator harness: whole batches, caching, waveforms, and runs that hang."""

from pathlib import Path

import numpy as np
import pytest
from tmesh.errors import SimulationError, ToolError
from tmesh_hw.blocks import ComplexMultiply
from tmesh_hw.export import simulation_verilog
from tmesh_hw.synthesis import Ecp5
from tmesh_hw.vendor import VERILATOR
from tmesh_sim.cells import with_models
from tmesh_sim.harness import Source, VerilatedCore, build
from tmesh_sim.packing import fields, ports
from tmesh_sim.vectors import build as block
from tmesh_sim.vectors import vectors

DUT = ComplexMultiply(width=10)
TEXT = simulation_verilog(DUT)
PORTS = [fields(layout) for layout in ports(DUT)]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMESH_CACHE", str(tmp_path))


def test_a_batch_and_its_cycles(tmp_path: Path) -> None:
    inputs, expected = vectors("complex_multiply", DUT, 50, seed=1)
    with VerilatedCore(ports(DUT), TEXT, trace=tmp_path / "waves" / "core.vcd") as core:
        replies, cycles = core.run(inputs)
    np.testing.assert_array_equal(replies, expected)
    # The last reply is seen `latency` cycles after the last input, in the cycle of its transfer.
    assert cycles == 50 + DUT.latency
    assert (tmp_path / "waves" / "core.vcd").stat().st_size > 1000


def test_only_what_changed_is_built_again() -> None:
    first = build(TEXT, *PORTS)
    written = first.stat().st_mtime_ns
    assert build(TEXT, *PORTS) == first
    assert first.stat().st_mtime_ns == written
    assert build(TEXT + "// changed\n", *PORTS) != first


def test_a_run_that_hangs_ends_with_a_reason() -> None:
    """TVALID of the replies tied low: nothing ever arrives, and the core stays usable."""
    name = ".o__valid(m_axis_tvalid)"
    assert name in TEXT
    mute = TEXT.replace(name, ".o__valid()")
    inputs, _ = vectors("complex_multiply", DUT, 5, seed=1)
    with VerilatedCore(ports(DUT), mute) as core:
        for _ in range(2):
            with pytest.raises(SimulationError, match="no progress for 100 cycles"):
                core.run(inputs, patience=100)
        with pytest.raises(ValueError, match=r"inputs must be \(n, 5\)"):
            core.run(inputs[:, :3])


def test_broken_verilog_is_reported() -> None:
    with pytest.raises(ToolError, match="Verilator failed"):
        build("module tmesh; wire x = ; endmodule", *PORTS)
    with pytest.raises(ValueError, match=r"trace must end in \.fst or \.vcd, not 'core.wav'"):
        build(TEXT, *PORTS, Path("core.wav"))


def test_no_body_of_the_engine_can_be_told_from_another() -> None:
    """What rests, or is a memory or one register for Verilator, is a macro or many copies on ECP5:
    the same replies in as many cycles, between operators, meetings and rounds of all kinds."""
    dut = block("engine", 14, 1)
    inputs, expected = vectors("engine", dut, 60, seed=5)
    texts, cycles = [], []
    for platform in (VERILATOR, None, Ecp5()):
        texts.append(text := simulation_verilog(dut, platform))
        source = with_models(Source(lambda text=text: text, text), "ecp5")
        with VerilatedCore(ports(dut), source if platform == Ecp5() else text) as core:
            replies, taken = core.run(inputs, answers=len(expected))
        # Words are unsigned.
        np.testing.assert_array_equal(replies & 0xFFFFFFFF, expected)
        cycles.append(taken)
    assert len(set(texts)) == 3
    assert len(set(cycles)) == 1
