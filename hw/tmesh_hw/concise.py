"""Yosys's Verilog, said in fewer words: a simulator follows it faster."""

import re

#: A bit, and the same bit again and again: how Yosys extends a sign.
_BITS = re.compile(r"((?:\\\S+ |[A-Za-z_]\w*) ?\[\d+\])((?:, \1)+)")

#: A register that takes its next value.
_REGISTER = re.compile(r"  always @\((\w+ \S+)\)\n    (\S+) +<= (\\\$\d+) ;\n")

#: A combinational process, the left side of an assignment in it, and a name there.
_PROCESS = re.compile(r"  always @\* begin\n.*?^  end\n", re.DOTALL | re.MULTILINE)
_LEFT = re.compile(r"^( +\S[^=\n]*) = ", re.MULTILINE)
_NAME = re.compile(r"\\\S+|[A-Za-z_]\w*")

#: A trigger for a process that depends on no signal.
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
        targets = {name for left in _LEFT.findall(process) for name in _NAME.findall(left)}
        register = registers.get(targets.pop()) if len(targets) == 1 else None
        # Its own uses of the next value, its declaration, and the register.
        if register and module.count(f"{register[3]} ") == process.count(f"{register[3]} ") + 2:
            module = module.replace(process, _assigning(process, *register.groups()))
            module = module.replace(register[0], "")
            module = re.sub(rf"  reg (\[\d+:0\] )?{re.escape(register[3])} ;\n", "", module)
    return module


def _assigning(process: str, edge: str, register: str, following: str) -> str:
    """The process at an edge of the clock; that a register stays what it is need not be said."""
    text = _WAKE.sub("", process).replace("always @*", f"always @({edge})", 1)
    text = _LEFT.sub(lambda m: f"{m[1].replace(following, register)} <= ", text)
    name = re.escape(register)
    return re.sub(rf"\A(.*\n)    {name}  <= {name} ?;\n", r"\1", text)
