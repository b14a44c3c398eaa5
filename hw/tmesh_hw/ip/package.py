"""`make verilog`: the engine as one Verilog file with a FuseSoC core file, and its tables."""

import argparse
import dataclasses
import re
from pathlib import Path

from amaranth.back import rtlil
from tmesh.config import CONFIGS, CoreConfig, core_config
from tmesh.errors import InvalidInput

from tmesh_hw import yosys
from tmesh_hw.digest import build_digest
from tmesh_hw.engine import Engine, MicrocodedEngine, component
from tmesh_hw.export import TOP
from tmesh_hw.ip.registers import REGISTERS
from tmesh_hw.ip.top import IpTop, ports

#: Flat, so that no module of it can share a name with another one's, and without what nobody reads.
_PASSES = ("proc", "flatten", "opt_expr", "opt_clean -purge", "splitnets -driver", "memory_collect")

#: What `verilator -Wall` is not to say of the Verilog, each with the reason.
WAIVED = {
    "WIDTHEXPAND": "operands are extended as IEEE 1364 says; constants have their shortest width",
    "WIDTHTRUNC": "the same in conditions, where any bit counts",
    "CASEOVERLAP": "one-hot selections; the design never sets two bits",
    "PROCASSINIT": "registers have a value at power-up and another when clocked",
    "UNUSEDSIGNAL": "carries and rounded bits that arithmetic drops, byte addresses of registers",
}

_CORE = """\
CAPI=2:
name: "tmesh:accelerator:{top}:0.1.0"
description: "Fixed-point tensor accelerator for small density matrices, configuration {name}"

filesets:
  rtl:
    files:
      - {top}.v: {{file_type: verilogSource}}
  lint:
    files:
      - {top}.vlt: {{file_type: vlt}}

targets:
  default: &default
    filesets: [rtl]
    toplevel: {top}
  lint:
    <<: *default
    filesets: [lint, rtl]
    default_tool: verilator
    tools:
      verilator:
        mode: lint-only
        verilator_options: ["-Wall"]
"""


def verilog(engine: Engine | MicrocodedEngine) -> str:
    """Verilog text of `IpTop` with top module `TOP`; the same text for the same source."""
    top = IpTop(engine)
    signals = list(top.signals.values())
    text = rtlil.convert(top, name=TOP, ports=signals, emit_src=False)
    return yosys.run(text, *_PASSES, "write_verilog -norename -noattr {out}")


def waivers() -> str:
    """`WAIVED` as a Verilator configuration file."""
    lines = ["`verilator_config"]
    for rule, reason in WAIVED.items():
        lines += [f"// {reason}", f'lint_off -rule {rule} -file "*{TOP}.v"']
    return "\n".join(lines) + "\n"


def write(config: str | CoreConfig, folder: Path) -> None:
    """Write ``tmesh.v``, ``tmesh.core`` and ``tmesh.vlt``.

    Raises ``ValueError`` for a configuration without resident states."""
    name, config = config if isinstance(config, str) else "custom", core_config(config)
    if not config.gossip_lanes:
        raise InvalidInput(f"config must have resident states to take packets, not {name!r}")
    text = verilog(component(config, build_digest(config)))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{TOP}.v").write_text(text, encoding="utf-8")
    (folder / f"{TOP}.core").write_text(_CORE.format(top=TOP, name=name), encoding="utf-8")
    (folder / f"{TOP}.vlt").write_text(waivers(), encoding="utf-8")


def parameters() -> dict[str, str]:
    """What each field of `CoreConfig` means, from its docstring."""
    names = "|".join(field.name for field in dataclasses.fields(CoreConfig))
    text = " ".join((CoreConfig.__doc__ or "").split())
    _, *parts = re.split(rf"(?:^|(?<=\. ))({names}): ", text)
    return {
        name: meaning.strip().rstrip(".") for name, meaning in zip(*[iter(parts)] * 2, strict=True)
    }


def tables() -> str:
    """Parameters, ports and registers as Markdown."""
    meanings, default = parameters(), CONFIGS["default"]
    lines = ["| parameter | `default` | |", "|---|--:|---|"]
    for name, meaning in meanings.items():
        lines.append(f"| `{name}` | {getattr(default, name)!r} | {meaning} |")
    lines += ["", "| port | bits | | |", "|---|--:|---|---|"]
    link = {str(default.link): "`link`"}
    for port in ports(default):
        width = link.get(str(port.width), port.width) if "axis" in port.name else port.width
        direction = "out" if port.output else "in"
        lines.append(f"| `{port.name}` | {width} | {direction} | {port.meaning} |")
    lines += ["", "| address | register | access | |", "|--:|---|---|---|"]
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
    try:
        write(arguments.config, arguments.out)
    except ValueError as error:
        parser.error(str(error))
    print(f"{arguments.out}/{TOP}.v, {TOP}.core, {TOP}.vlt")


if __name__ == "__main__":
    main()
