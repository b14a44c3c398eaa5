"""What identifies a build without making it."""

import hashlib
from importlib.metadata import version
from pathlib import Path

import tmesh
from tmesh.config import CoreConfig

import tmesh_hw

#: Packages whose version may change the Verilog.
TOOLS = ("amaranth", "pyosys")


def build_digest(config: CoreConfig) -> int:
    """128 bits of the sources of the gateware and of the host package that it takes numbers from,
    of the tools' versions, and of `config`."""
    digest = hashlib.sha256(repr(config).encode())
    for name in TOOLS:
        digest.update(f"{name} {version(name)}\n".encode())
    for package in (tmesh_hw, tmesh):
        root = Path(str(package.__file__)).parent
        for path in sorted(root.rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return int.from_bytes(digest.digest()[:16], "little")
