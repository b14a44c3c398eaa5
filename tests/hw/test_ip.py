"""The exported top: lint-clean, packaged so that FuseSoC builds it, documented as it is."""

import dataclasses
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from tmesh.config import CONFIGS, CoreConfig
from tmesh_hw.engine import Engine
from tmesh_hw.engine.words import word_layout
from tmesh_hw.ip import REGISTERS, package, ports
from tmesh_hw.ip.top import IpTop

DOCS = Path(__file__).parents[2] / "docs" / "ip.md"

#: All blocks, and little of each.
SMALL = CoreConfig(lanes=1, gossip_lanes=1, agents=64, operators=2, rounds=1, eigenvectors=False)


def fusesoc(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command of the documentation in `folder`, which has a ``.venv``."""
    (folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    environment = os.environ | {"XDG_CACHE_HOME": str(folder), "PYTHONWARNINGS": ""}
    return subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True
    )


def test_the_documented_command_lints_the_package(tmp_path: Path) -> None:
    """As written, after the documented export; and a fault would be noticed."""
    export, command = (
        next(line.strip() for line in DOCS.read_text("utf-8").splitlines() if name in line)
        for name in ("make verilog CONFIG=", "fusesoc --cores-root")
    )
    config, folder = export.partition("CONFIG=")[2].split()[0], tmp_path / "build" / "verilog"
    source, _ = package.write(config, folder)
    done = fusesoc(command, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace("endmodule", "wire x; assign m_axis_tlast = x;\nendmodule"))
    (tmp_path / ".venv").unlink()
    broken = fusesoc(command, tmp_path)
    assert broken.returncode != 0
    assert "UNDRIVEN" in broken.stdout + broken.stderr


def test_each_configuration_has_a_name_of_its_own(tmp_path: Path) -> None:
    """For the module, its files and its core: two of them are parts of one FuseSoC tree."""
    other = dataclasses.replace(SMALL, operators=3)
    names = [package.module_name(config) for config in (*CONFIGS, SMALL, other)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"tmesh_[a-z0-9_]+", name) for name in names)
    assert package.module_name(CONFIGS["icebreaker"]) == "tmesh_icebreaker"
    made = [
        file for config in ("icebreaker", "ulx3s-25f") for file in package.write(config, tmp_path)
    ]
    for pattern, files in (
        (r"^module (\S+)\(", made[::2]),
        (r'^name: "(\S+)"', made[1::2]),
        (r"^      - (\S+):", made[1::2]),
    ):
        found = [re.findall(pattern, file.read_text("utf-8"), re.MULTILINE) for file in files]
        assert [len(names) for names in found] == [1, 1]
        assert found[0] != found[1]
    words = made[0].read_text(encoding="utf-8").split()
    assert not any("MULT18X18D" in word or "SB_" in word for word in words), "a vendor is in it"


def test_documented_tables_are_those_of_the_source() -> None:
    assert package.tables() in DOCS.read_text(encoding="utf-8"), "docs/ip.md is not current"


def test_addresses_and_names_are_unique() -> None:
    for field in ("address", "name"):
        values = [getattr(register, field) for register in REGISTERS]
        assert len(set(values)) == len(values)
    names = [port.name for port in ports(SMALL)]
    assert len(set(names)) == len(names)


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
