"""Verilog for other people's tools: simulators, linters and synthesis."""

import itertools
import re

from tmesh.errors import InvalidInput

from tmesh_hw import yosys

#: Flat, so that no module of it can share a name with another one's, and without unread signals.
_PASSES = ("proc", "flatten", "opt_expr", "opt_clean -purge", "splitnets -driver", "memory_collect")

#: Warnings of `verilator -Wall` that the Verilog waives, each with the reason.
WAIVED = {
    "WIDTHEXPAND": "operands are extended as IEEE 1364 says; constants have their shortest width",
    "WIDTHTRUNC": "the same in conditions, where any bit counts",
    "CASEOVERLAP": "one-hot selections; the design never sets two bits",
    "PROCASSINIT": "registers have a value at power-up and another when clocked",
    "DECLFILENAME": "a file may have another name than its module",
    "UNUSEDSIGNAL": "carries and rounded bits that arithmetic drops, byte addresses of registers",
}

#: A name in Verilog that needs no backslash.
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

#: Words that cannot be names (IEEE 1364-2005, annex B; IEEE 1800 has more).
_KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """
    always and assign automatic begin buf bufif0 bufif1 case casex casez cell cmos config
    deassign default defparam design disable edge else end endcase endconfig endfunction
    endgenerate endmodule endprimitive endspecify endtable endtask event for force forever fork
    function generate genvar highz0 highz1 if ifnone incdir include initial inout input instance
    integer join large liblist library localparam macromodule medium module nand negedge nmos
    nor noshowcancelled not notif0 notif1 or output parameter pmos posedge primitive pull0 pull1
    pulldown pullup pulsestyle_ondetect pulsestyle_onevent rcmos real realtime reg release
    repeat rnmos rpmos rtran rtranif0 rtranif1 scalared showcancelled signed small specify
    specparam strong0 strong1 supply0 supply1 table task time tran tranif0 tranif1 tri tri0 tri1
    triand trior trireg unsigned use uwire vectored wait wand weak0 weak1 while wire wor xnor
    xor bit byte logic int interface package program class enum struct union
    """,
    )
)

#: The initial words of a memory, a line for each.
_WORDS = re.compile(
    r"  initial begin\n((?:    (?P<memory>\\\S+ |\w+)\[\d+\] = \d+'\w+;\n)"
    r"(?:    (?P=memory)\[\d+\] = \d+'\w+;\n)*)  end\n"
)

#: Words that one `initial` sets: Yosys reads it in a time that grows with their square.
_TOGETHER = 256


def portable_verilog(rtlil: str, top: str, name: str) -> str:
    """RTLIL as one Verilog-2005 module called `name` instead of `top`.

    Waivers for Verilator are comments of the text itself. Raises ``ValueError`` for a name that no
    module can have.
    """
    if not _IDENTIFIER.fullmatch(name) or name in _KEYWORDS:
        raise InvalidInput(f"name must be a Verilog identifier, not {name!r}")
    passes = (f"hierarchy -top {top}", *_PASSES, f"rename {top} {name}")
    text = yosys.run(rtlil, *passes, "write_verilog -noattr {out}")
    return _waived(_short(text))


def _short(verilog: str) -> str:
    """Memories of zeros are cleared by a loop, and only where they are simulated.

    A line for each word takes some synthesis tools minutes to read, and so does the loop, which
    they unroll. They need neither: a block memory of an FPGA begins with zeros unless told
    otherwise. Other memories are set in parts.
    """
    loops = itertools.count(1)

    def content(match: re.Match[str]) -> str:
        words = match[1].splitlines(keepends=True)
        values = {word.rpartition(" = ")[2].strip() for word in words}
        places = [int(word[word.index("[") + 1 : word.index("]")]) for word in words]
        whole = places == list(range(len(words)))
        if whole and len(values) == 1 and re.fullmatch(r"\d+'h0+;", value := values.pop()):
            return (
                f"`ifndef SYNTHESIS\n  initial begin : zeros_{next(loops)}\n    integer n;\n"
                f"    for (n = 0; n < {len(words)}; n = n + 1) {match['memory']}[n] = {value}\n"
                "  end\n`endif\n"
            )
        parts = [words[n : n + _TOGETHER] for n in range(0, len(words), _TOGETHER)]
        return "".join(f"  initial begin\n{''.join(part)}  end\n" for part in parts)

    return _WORDS.sub(content, verilog)


def _waived(verilog: str) -> str:
    lines = ["// verilator lint_save"]
    for rule, reason in WAIVED.items():
        lines += [f"// {reason}", f"// verilator lint_off {rule}"]
    return "\n".join([*lines, verilog.rstrip("\n"), "// verilator lint_restore", ""])
