"""Exported Verilog under other people's tools, and the rules of AXI in its structure."""

import re
from pathlib import Path
from typing import Any

import pytest
from tmesh.config import CONFIGS, CoreConfig
from tmesh_hw.blocks import PauliLane, Queue
from tmesh_hw.eigen import HermitianJacobi
from tmesh_hw.engine import component
from tmesh_hw.export import simulation_verilog, verilog
from tmesh_hw.ip import package
from tmesh_hw.portable import WAIVED
from tmesh_sim.exports import exports, findings, icarus, lint, paths
from tmesh_sim.vectors import build

#: All blocks, and little of each.
SMALL = CoreConfig(lanes=1, gossip_lanes=1, agents=64, operators=2, rounds=1, eigenvectors=False)

#: One export of each kind, as quick to read as there is one.
EXPORTS = {
    "engine": lambda: package.verilog(component(SMALL), "tmesh_small"),
    "microcoded engine": lambda: package.verilog(component(CONFIGS["icebreaker"]), "tmesh_ice"),
    "solver": lambda: verilog(HermitianJacobi(f=8, n=2, cordics=2)),
    "iterative solver": lambda: verilog(build("jacobi_4", 14, 1)),
    "queue": lambda: verilog(build("queue", 14, 1)),
}


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {name: make() for name, make in EXPORTS.items()}


@pytest.mark.parametrize("name", EXPORTS)
def test_other_tools_take_it_without_a_word(name: str, texts: dict[str, str]) -> None:
    """Verilator's linter, Icarus, and Yosys, in seconds; and no output depends on an input in the
    same clock."""
    found = findings(texts[name])
    assert found.verilator == ""
    assert found.paths == set()
    assert found.seconds < 60
    if found.icarus is None:
        pytest.skip("all but Icarus: iverilog is not on PATH (Debian: apt-get install iverilog)")
    assert found.icarus == ""


@pytest.mark.parametrize("name", EXPORTS)
def test_it_is_one_module_and_has_no_wires_of_no_width(name: str, texts: dict[str, str]) -> None:
    text = texts[name]
    assert len(re.findall(r"^module ", text, re.MULTILINE)) == 1
    assert "[-1:0]" not in text
    # The program of the microcoded engine has 2,048 words; those of zeros are cleared in a loop.
    assert text.count("] = ") < 4_000
    assert name != "microcoded engine" or "for (n = 0; n < 65536; n = n + 1)" in text


def test_each_waiver_is_needed(texts: dict[str, str], tmp_path: Path) -> None:
    """By one of the exports; and none hides what it is not for."""
    warned = set()
    for name in ("engine", "iterative solver", "queue"):
        source = tmp_path / "export.v"
        source.write_text(texts[name].replace("// verilator lint_off", "//"))
        warned |= set(re.findall(r"^%Warning-(\w+):", lint(source), re.MULTILINE))
    assert warned == set(WAIVED)
    after = tmp_path / "two.v"
    after.write_text(
        texts["queue"] + "module two(input a, output [1:0] b); assign b = a; endmodule"
    )
    assert "WIDTHEXPAND" in lint(after)


@pytest.mark.parametrize(
    "fault",
    ["assign m_axis_tvalid = s_axis_tvalid;", "assign s_axis_tready = m_axis_tready;"],
)
def test_a_path_from_input_to_output_is_found(
    fault: str, texts: dict[str, str], tmp_path: Path
) -> None:
    source, name = tmp_path / "export.v", fault.split()[1]
    source.write_text(re.sub(rf"assign {name} = .*;", fault, texts["queue"]))
    assert paths(source)[0] == {fault.split()[-1].strip(";")}


def test_the_solver_alone_has_such_paths_and_says_so(tmp_path: Path) -> None:
    """The queues of the export cut these paths."""
    source = tmp_path / "export.v"
    source.write_text(simulation_verilog(HermitianJacobi(f=8, n=2, cordics=2)))
    assert {"s_axis_tvalid", "s_axis_tdata"} <= paths(source)[0]


def test_two_exports_do_not_have_one_name(texts: dict[str, str], tmp_path: Path) -> None:
    """Nor has a configuration of the same block: both are read by one tool."""
    blocks: list[Any] = [Queue(8, depth=4), Queue(9, depth=4), Queue(8, depth=8)]
    made = [verilog(block) for block in blocks]
    names = [name for text in made for name in re.findall(r"^module (\S+)\(", text, re.MULTILINE)]
    assert len(set(names)) == len(names) == 3
    assert all(re.fullmatch(r"tmesh_queue_[0-9a-f]{8}", name) for name in names)
    assert verilog(Queue(8, depth=4)) == made[0]
    assert "module mine(" in verilog(Queue(8, depth=4), "mine")
    source = tmp_path / "all.v"
    source.write_text("".join(made))
    assert icarus(source) in ("", None)


@pytest.mark.parametrize("name", ["", "2nd", "a-b", "a b", "a;b"])
def test_a_name_that_no_module_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"name must be a Verilog identifier, not '{name}'"):
        verilog(Queue(8, depth=4), name)


def test_a_component_that_cannot_wait_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be able to wait .* not PauliLane"):
        verilog(PauliLane(f=8))


def test_every_configuration_is_among_the_exports() -> None:
    """``make exports`` leaves none out."""
    assert {*CONFIGS} <= {name for name, _ in exports()}
