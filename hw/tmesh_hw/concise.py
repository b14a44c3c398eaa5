"""Yosys's Verilog, said in fewer words: a simulator follows it faster."""

import re

#: A bit, and the same bit again and again: how Yosys extends a sign.
_BITS = re.compile(r"((?:\\\S+ |[A-Za-z_]\w*) ?\[\d+\])((?:, \1)+)")

#: A register that takes its next value.
_REGISTER = re.compile(r"  always @\((\w+ \S+)\)\n    (\S+) +<= (\\\$\d+) ;\n")

#: A combinational process, and an assignment in it.
_PROCESS = re.compile(r"  always @\* begin\n.*?^  end\n", re.DOTALL | re.MULTILINE)
_ASSIGNMENT = re.compile(r"^( +)(\S+) (\[[\d:]+\])? ?= ", re.MULTILINE)

#: What wakes a process that depends on no signal.
_WAKE = re.compile(r"    if \(\\\$auto\$\S+ \) begin end\n")


def concise(verilog: str) -> str:
    """The same circuit: repeated bits are counted, and a register is assigned where its next value
    was, if that had no other use."""
    counted = _BITS.sub(lambda m: f"{{{len(m[2].split(', '))}{{{m[1]}}}}}", verilog)
    modules = re.split(r"(?<=^endmodule\n)", counted, flags=re.MULTILINE)
    return "".join(map(_clocked, modules))


def _clocked(module: str) -> str:
    registers = {m[3]: m for m in _REGISTER.finditer(module)}
    for process in _PROCESS.findall(module):
        targets = {m[2] for m in _ASSIGNMENT.finditer(process)}
        register = registers.get(targets.pop()) if len(targets) == 1 else None
        # Its own uses of the next value, its declaration, and the register.
        if register and module.count(f"{register[3]} ") == process.count(f"{register[3]} ") + 2:
            module = module.replace(process, _assigning(process, register[1], register[2]))
            module = module.replace(register[0], "")
            module = re.sub(rf"  reg (\[\d+:0\] )?{re.escape(register[3])} ;\n", "", module)
    return module


def _assigning(process: str, edge: str, register: str) -> str:
    """The process at an edge of the clock; that a register stays what it is need not be said."""
    body = _ASSIGNMENT.sub(
        lambda m: f"{m[1]}{register} {m[3] or ''} <= ", _WAKE.sub("", process)
    ).replace("always @*", f"always @({edge})", 1)
    name = re.escape(register)
    return re.sub(rf"\A(.*\n)    {name}  <= {name} ?;\n", r"\1", body)
