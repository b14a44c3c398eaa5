"""`make verilog`: the engine as one Verilog file with a FuseSoC core file, and its tables."""

import argparse
import dataclasses
import hashlib
import re
import sys
from pathlib import Path

from amaranth.back import rtlil
from tmesh.config import CONFIGS, CoreConfig, core_config
from tmesh.entry import guarded
from tmesh.errors import InvalidInput
from tmesh.files import write_text

from tmesh_hw.digest import build_digest
from tmesh_hw.engine import Engine, MicrocodedEngine, component
from tmesh_hw.export import TOP
from tmesh_hw.ip.registers import REGISTERS
from tmesh_hw.ip.top import IpTop, ports
from tmesh_hw.portable import portable_verilog

_CORE = """\
CAPI=2:
name: "tmesh:accelerator:{name}:0.1.0"
description: "Fixed-point tensor accelerator for small density matrices, {config}"

filesets:
  rtl:
    files:
      - {name}.v: {{file_type: verilogSource}}

targets:
  default: &default
    filesets: [rtl]
    toplevel: {name}
  lint:
    <<: *default
    default_tool: verilator
    tools:
      verilator:
        mode: lint-only
        verilator_options: ["-Wall"]
"""


def module_name(config: str | CoreConfig) -> str:
    """The name of a configuration's module, files and core: no two configurations have the same, so
    they can be parts of one design."""
    if isinstance(config, CoreConfig):
        names = [name for name, named in CONFIGS.items() if named == config]
        digest = hashlib.sha256(repr(config).encode()).hexdigest()
        config = names[0] if names else digest[:16]
    return f"tmesh_{config.replace('-', '_')}"


def verilog(engine: Engine | MicrocodedEngine, name: str) -> str:
    """Verilog of `IpTop` as the one module `name`; the same text for the same source."""
    top = IpTop(engine)
    text = rtlil.convert(top, name=TOP, ports=list(top.signals.values()), emit_src=False)
    return portable_verilog(text, TOP, name)


def write(config: str | CoreConfig, folder: Path) -> tuple[Path, Path]:
    """Write the Verilog and the core file of a configuration, and return where they are.

    Raises ``ValueError`` for a configuration without resident states."""
    name, chosen = module_name(config), core_config(config)
    if not chosen.gossip_lanes:
        raise InvalidInput(f"config must have resident states to take packets, not {config!r}")
    source, core = folder / f"{name}.v", folder / f"{name}.core"
    text = verilog(component(chosen, build_digest(chosen)), name)
    write_text(source, text)
    write_text(core, _CORE.format(name=name, config=chosen))
    return source, core


def parameters() -> dict[str, str]:
    """The meaning of each field of `CoreConfig`, from its docstring."""
    names = "|".join(field.name for field in dataclasses.fields(CoreConfig))
    text = " ".join((CoreConfig.__doc__ or "").split())
    _, *parts = re.split(rf"(?:^|(?<=\. ))({names}): ", text)
    return {
        name: meaning.strip().rstrip(".") for name, meaning in zip(*[iter(parts)] * 2, strict=True)
    }


def tables() -> str:
    """Parameters, ports and registers as Markdown."""
    meanings, default = parameters(), CONFIGS["default"]
    lines = ["| parameter | `default` | meaning |", "|---|--:|---|"]
    for name, meaning in meanings.items():
        lines.append(f"| `{name}` | {getattr(default, name)!r} | {meaning} |")
    lines += ["", "| port | bits | direction | meaning |", "|---|--:|---|---|"]
    link = {str(default.link): "`link`"}
    for port in ports(default):
        width = link.get(str(port.width), port.width) if "axis" in port.name else port.width
        direction = "out" if port.output else "in"
        lines.append(f"| `{port.name}` | {width} | {direction} | {port.meaning} |")
    lines += ["", "| address | register | access | meaning |", "|--:|---|---|---|"]
    for register in REGISTERS:
        access = "read, write" if register.writable else "read"
        lines.append(
            f"| 0x{register.address:02X} | `{register.name}` | {access} | {register.meaning} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Write the files, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="default", help="a named configuration")
    parser.add_argument("--out", type=Path, default=Path("build/verilog"))
    parser.add_argument("--tables", action="store_true", help="print the tables of docs/ip.md")
    arguments = parser.parse_args()
    if arguments.tables:
        print(tables())
        return
    print(*write(arguments.config, arguments.out))


if __name__ == "__main__":
    sys.exit(guarded(main))
