"""An identity of a build, without making it."""

import hashlib
from importlib.metadata import version
from pathlib import Path

import tmesh
from tmesh.config import CoreConfig
from tmesh.files import digest_sources

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
        digest_sources(digest, Path(str(package.__file__)).parent)
    return int.from_bytes(digest.digest()[:16], "little")
