"""The exported top: lint-clean, packaged so that FuseSoC builds it, documented as it is."""

import dataclasses
import itertools
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from amaranth import Cat, Elaboratable, Module, Signal
from amaranth.back import rtlil
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from tmesh.config import CONFIGS, CoreConfig
from tmesh_hw import yosys
from tmesh_hw.engine import Engine, component
from tmesh_hw.engine.words import word_layout
from tmesh_hw.ip import REGISTERS, package, ports
from tmesh_hw.ip.top import IpTop
from tmesh_sim.toolchain import verilator_environment

DOCS = Path(__file__).parents[2] / "docs" / "ip.md"

#: All blocks, and little of each.
SMALL = CoreConfig(lanes=1, gossip_lanes=1, agents=64, operators=2, rounds=1, eigenvectors=False)


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """FuseSoC's target `lint` of the core file in `folder`: ``verilator -Wall``."""
    environment = verilator_environment() | {"XDG_CACHE_HOME": str(folder), "PYTHONWARNINGS": ""}
    command = [str(Path(sys.executable).with_name("fusesoc")), "--cores-root", str(folder), "run"]
    command += ["--target", "lint", "--work-root", str(folder / "work"), "tmesh"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_package_lints_in_fusesoc(tmp_path: Path) -> None:
    """No warning but the waived ones, each of which is needed; and a fault would be noticed."""
    package.write(SMALL, tmp_path)
    done = lint(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    source = tmp_path / "tmesh.v"
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace("endmodule", "wire x; assign m_axis_tlast = x;\nendmodule"))
    (tmp_path / "tmesh.vlt").write_text("`verilator_config\n")
    broken = lint(tmp_path)
    assert broken.returncode != 0
    warned = set(re.findall(r"^%Warning-(\w+):", broken.stdout + broken.stderr, re.MULTILINE))
    assert warned == {*package.WAIVED, "UNDRIVEN"}


def test_there_is_no_vendor_in_it(tmp_path: Path) -> None:
    """One module, and nothing instantiated: not even of the board that it was made for."""
    package.write("icebreaker", tmp_path)
    words = (tmp_path / "tmesh.v").read_text(encoding="utf-8").split()
    assert words.count("module") == 1
    assert not any("MULT18X18D" in word or "SB_" in word for word in words)


def test_documented_tables_are_those_of_the_source() -> None:
    assert package.tables() in DOCS.read_text(encoding="utf-8"), "docs/ip.md is not current"


def test_addresses_and_names_are_unique() -> None:
    for field in ("address", "name"):
        values = [getattr(register, field) for register in REGISTERS]
        assert len(set(values)) == len(values)
    names = [port.name for port in ports(SMALL)]
    assert len(set(names)) == len(names)


#: Cells of Yosys that have a clock; what they give is no matter of the same one.
CLOCKED = "$dff,$dffe,$adff,$adffe,$sdff,$sdffe,$sdffce,$aldff,$mem_v2"


def depends(component: Any, ports: list[Any]) -> bool:
    """Whether an output depends on an input, but for the clock, in the same clock."""
    text = rtlil.convert(component, name="top", ports=ports, emit_src=False)
    passes = ["hierarchy -top top", "proc", "flatten", "opt_clean", "memory_dff", "memory_collect"]
    passes += [f"select -set cone o:* %ci*:-{CLOCKED}", "tee -o {out} select -list @cone i:* %i"]
    reached = set(yosys.run(text, *passes).split())
    return bool(reached - {"top/aclk"})


class Wire(Elaboratable):
    """What a register would mend."""

    def __init__(self) -> None:
        self.ports = [Signal(name="i"), Signal(name="o")]

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += self.ports[1].eq(~self.ports[0])
        return m


@pytest.mark.parametrize("config", [SMALL, CONFIGS["icebreaker"]])
def test_no_output_depends_on_an_input_in_the_same_clock(config: CoreConfig) -> None:
    """As AXI has it (IHI 0022, A3.2.1): two such ends would be a loop."""
    wire = Wire()
    assert depends(wire, wire.ports)
    top = IpTop(component(config))
    assert not depends(top, list(top.signals.values()))


class Counting(wiring.Component):
    """An engine of which each command is a word n, and its reply the words n, n + 1, n + 2, with
    pauses before each."""

    def __init__(self) -> None:
        self.config, self.digest = dataclasses.replace(SMALL, link=32), 0
        word = stream.Signature(word_layout(32))
        super().__init__({"i": In(word), "o": Out(word)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        number, left, pause = Signal(32), Signal(2), Signal(4, init=1)
        m.d.sync += pause.eq(Cat(pause[-1] ^ pause[0], pause))
        m.d.comb += [
            self.i.ready.eq(left == 0),
            self.o.valid.eq((left > 0) & pause[0]),
            self.o.payload.data.eq(number),
            self.o.payload.last.eq(left == 1),
        ]
        # What was offered stays.
        with m.If(self.o.valid & ~self.o.ready):
            m.d.sync += pause.eq(pause)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [number.eq(self.i.payload.data), left.eq(3)]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += [number.eq(number + 1), left.eq(left - 1)]
        return m


@pytest.mark.parametrize("seed", range(3))
def test_resets_by_software_tear_one_reply_at_most(seed: int) -> None:
    """At any moment, with stalls on each side: a torn reply has its end, what is offered stays, and
    each command after the reset is answered once, in order."""
    rng = np.random.default_rng(seed)
    top = IpTop(cast(Engine, Counting()))
    port = top.signals
    packets: list[list[int]] = [[]]
    # Commands of each turn; between two turns there is a reset.
    turns = [
        [1000 * turn + 10 * n + 10 for n in range(int(rng.integers(1, 6)))] for turn in range(40)
    ]

    async def wait(ctx: Any, clocks: int) -> None:
        for _ in range(clocks):
            await ctx.tick()

    async def clock(ctx: Any) -> None:
        for level in itertools.cycle((1, 0)):
            ctx.set(port["aclk"], level)
            await ctx.delay(5e-9)

    async def control(ctx: Any, value: int) -> None:
        values = {"awaddr": 0x14, "awvalid": 1, "wdata": value, "wstrb": 1, "wvalid": 1}
        for name, bits in values.items():
            ctx.set(port[f"s_axil_{name}"], bits)
        await ctx.tick().until(port["s_axil_awready"])
        ctx.set(port["s_axil_awvalid"], 0)
        ctx.set(port["s_axil_wvalid"], 0)
        await wait(ctx, int(rng.integers(1, 8)))

    async def host(ctx: Any) -> None:
        ctx.set(port["aresetn"], 1)
        ctx.set(port["s_axil_bready"], 1)
        ctx.set(port["s_axis_tlast"], 1)
        await wait(ctx, 3)
        for turn in turns:
            for command in turn:
                ctx.set(port["s_axis_tdata"], command)
                ctx.set(port["s_axis_tvalid"], 1)
                await ctx.tick().until(port["s_axis_tready"])
                ctx.set(port["s_axis_tvalid"], 0)
                await wait(ctx, int(rng.integers(0, 12)))
            if turn is not turns[-1]:
                await control(ctx, 1)
                await control(ctx, 0)
        await wait(ctx, 200)

    async def receiver(ctx: Any) -> None:
        while True:
            for level, longest in ((1, 8), (0, 40)):
                ctx.set(port["m_axis_tready"], level)
                await wait(ctx, int(rng.integers(1, longest)))

    async def watch(ctx: Any) -> None:
        offered: tuple[int, int] | None = None
        names = ("m_axis_tvalid", "m_axis_tready", "m_axis_tdata", "m_axis_tlast")
        samples = ctx.tick().sample(*(port[name] for name in names))
        async for _, _, valid, ready, word, last in samples:
            assert offered is None or (valid and offered == (word, last))
            offered = (word, last) if valid and not ready else None
            if valid and ready:
                packets[-1].append(word)
                if last:
                    packets.append([])

    simulator = Simulator(top)
    simulator.add_testbench(clock, background=True)
    simulator.add_testbench(host)
    simulator.add_testbench(receiver, background=True)
    simulator.add_process(watch)
    simulator.run()
    assert packets.pop() == []
    torn = [packet for packet in packets if packet[-1] == 0]
    assert 5 < len(torn) < len(turns)
    answered = [packet[0] for packet in packets]
    assert answered == sorted(set(answered))
    for packet in packets:
        whole = [packet[0] + n for n in range(3)]
        assert packet == whole or packet == [*whole[: len(packet) - 1], 0]
    for turn in turns:
        mine = [command for command in turn if command in answered]
        # None before it is missing.
        assert mine == turn[: len(mine)]
    assert turns[-1][-1] in answered


def test_a_core_without_packets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="config must have resident states"):
        package.write("narrow", tmp_path)
    assert not list(tmp_path.iterdir())
