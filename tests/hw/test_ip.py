"""The exported top: lint-clean, packaged so that FuseSoC builds it, documented as it is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tmesh.config import CoreConfig
from tmesh_hw.ip import REGISTERS, package, ports
from tmesh_sim.toolchain import verilator_environment

DOCS = Path(__file__).parents[2] / "docs" / "ip.md"

#: All blocks, and little of each.
SMALL = CoreConfig(lanes=1, gossip_lanes=1, agents=64, operators=2, rounds=1, eigenvectors=False)


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """FuseSoC's target `lint` of the core file in `folder`: ``verilator -Wall``."""
    environment = verilator_environment() | {"XDG_CACHE_HOME": str(folder), "PYTHONWARNINGS": ""}
    command = [str(Path(sys.executable).with_name("fusesoc")), "--cores-root", str(folder), "run"]
    command += ["--target", "lint", "--work-root", str(folder / "work"), "tmesh"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_package_lints_in_fusesoc(tmp_path: Path) -> None:
    """No warning but the waived ones, each of which is needed; and a fault would be noticed."""
    package.write(SMALL, tmp_path)
    done = lint(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    source = tmp_path / "tmesh.v"
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace("endmodule", "wire x; assign m_axis_tlast = x;\nendmodule"))
    (tmp_path / "tmesh.vlt").write_text("`verilator_config\n")
    broken = lint(tmp_path)
    assert broken.returncode != 0
    warned = set(re.findall(r"^%Warning-(\w+):", broken.stdout + broken.stderr, re.MULTILINE))
    assert warned == {*package.WAIVED, "UNDRIVEN"}


def test_there_is_no_vendor_in_it(tmp_path: Path) -> None:
    """One module, and nothing instantiated: not even of the board that it was made for."""
    package.write("icebreaker", tmp_path)
    words = (tmp_path / "tmesh.v").read_text(encoding="utf-8").split()
    assert words.count("module") == 1
    assert not any("MULT18X18D" in word or "SB_" in word for word in words)


def test_documented_tables_are_those_of_the_source() -> None:
    assert package.tables() in DOCS.read_text(encoding="utf-8"), "docs/ip.md is not current"


def test_addresses_and_names_are_unique() -> None:
    for field in ("address", "name"):
        values = [getattr(register, field) for register in REGISTERS]
        assert len(set(values)) == len(values)
    names = [port.name for port in ports(SMALL)]
    assert len(set(names)) == len(names)


def test_a_core_without_packets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="config must have resident states"):
        package.write("narrow", tmp_path)
    assert not list(tmp_path.iterdir())
