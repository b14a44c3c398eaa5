"""Yosys from its wheel: on one component, in a separate process, or as a command."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tmesh.errors import ToolError

_RUN = """
import sys
from pyosys import libyosys
libyosys.run_pass(f"script {sys.argv[1]}", libyosys.Design())
"""

#: Commands before ``synth_ecp5``. No memory reads an address that it writes in the same cycle,
#: unless the word read is not used. So no memory needs a bypass; simulated netlists have memories
#: that give a wrong word then. Equal registers with `keep` are kept only as cells, once each has
#: its reset: registers that share it later would be made of gates.
PREPARE_ECP5 = (
    "setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2 r:CLK_ENABLE=1 %i",
    "proc",
    "opt_clean",
    "opt_dff -nodffe",
    "setattr -set keep 1 a:keep=1 %ci t:$*dff* %i",
)

#: ``synth_ecp5`` in the order that survives instantiated multipliers: its own abc9 step can end
#: Yosys without a word.
SYNTH_ECP5 = (
    *PREPARE_ECP5,
    "synth_ecp5 -run begin:map_luts",
    "abc -lut 4:7 -dress",
    "clean",
    "synth_ecp5 -run map_cells:",
)

#: For iCE40UP5K; without ``-dsp`` a multiplier is 774 LUTs.
SYNTH_ICE40 = ("synth_ice40 -dsp -device u",)

#: Memories alone are mapped, which takes a sixth of the time up to the gates. Multipliers that are
#: no instances of a DSP stay ``$mul``.
MACROS_ECP5 = (
    *PREPARE_ECP5,
    "synth_ecp5 -run begin:coarse",
    "flatten",
    "opt_expr",
    "opt_clean",
    "memory -nomap",
    "opt_clean",
    "synth_ecp5 -run map_ram:map_ffram",
)


def run(rtlil: str, *commands: str) -> str:
    """Run commands on RTLIL text; ``{out}`` in a command names the file to return.

    Raises ``RuntimeError`` with Yosys's last lines when it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "top.il"), Path(folder, "out")
        source.write_text(rtlil, encoding="utf-8")
        script = Path(folder, "script.ys")
        script.write_text(
            "\n".join([f"read_rtlil {source}", *(c.format(out=out) for c in commands)])
        )
        # Yosys prints, and a fault in it must not end ours.
        command = [sys.executable, "-c", _RUN, str(script)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-3:])
            raise ToolError(f"Yosys failed: {last}")
        return out.read_text(encoding="utf-8")


def main() -> None:
    """The command of Amaranth's build plans: a script, and a log of it."""
    from pyosys import libyosys

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("-q", action="store_true", help="print nothing; so it is in any case")
    parser.add_argument("-l", dest="log", default="yosys.log")
    parser.add_argument("script")
    arguments = parser.parse_args()
    libyosys.run_pass(f"tee -q -o {arguments.log} script {arguments.script}", libyosys.Design())


if __name__ == "__main__":
    main()
