"""The time of resident two-body operations under cocotb: the same core and Verilator, driven from
Python."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tmesh.config import CoreConfig
from tmesh.devices.client import EngineClient, Words
from tmesh.golden.engine import EngineModel
from tmesh.numbers import IntArray
from tmesh_hw.digest import build_digest
from tmesh_hw.engine import Engine, distance, word_layout
from tmesh_hw.export import TOP
from tmesh_hw.ip import package, ports

from tmesh_sim.benches.runner import payloads, simulate
from tmesh_sim.harness import CXXFLAGS
from tmesh_sim.packing import fields


def seconds(
    config: CoreConfig, r: IntArray, form: IntArray, pairs: IntArray, repeats: int
) -> Iterator[tuple[str, float]]:
    """Of meetings `pairs` (m, 2) of agents with Bloch vectors `r` (n, 3) under an operator, both on
    the grid, the fastest of some repetitions, by how cocotb's runner builds the engine with its AXI
    ports; building, loading and the start of the simulator are not counted.

    The packets are those of `EngineClient`, and replies that are not the model's are an error.
    """
    digest = build_digest(config)
    model = EngineModel(config, digest)
    flows: list[tuple[Words, Words]] = []

    def exchange(words: Words, last: npt.NDArray[np.bool_], answers: int) -> Words:
        ends = np.flatnonzero(last) + 1
        replies = [model.execute(part) for part in np.split(words, ends[:-1])]
        flows.append((_rows(words, last), np.concatenate([_rows(x) for x in replies])))
        return np.concatenate(replies)

    client = EngineClient(config, distance(config.gossip_lanes), exchange)
    client.write_states(np.arange(len(r)), r)
    client.write_operator(0, form)
    parts = [flows[:]]
    for _ in range(repeats):
        client.gossip(0, pairs, both=False)
        parts.append(flows[sum(map(len, parts)) :])
    layout = fields(word_layout(config.link))
    vectors: dict[str, Any] = {}
    for n, part in enumerate(parts):
        for name, rows in zip(("sent", "expected"), zip(*part, strict=True), strict=True):
            vectors[f"{name}{n}"] = payloads(np.concatenate(rows).astype(np.int64), layout)
    text = package.verilog(Engine(config=config, digest=digest), TOP)
    seen = [port.name for port in ports(config)]
    for by, touched, make in (
        ("as it comes", None, ""),
        (f"ports alone, {CXXFLAGS}", seen, f"OPT_FAST={CXXFLAGS}"),
    ):
        with tempfile.TemporaryDirectory() as name:
            archive, measured = Path(name, "vectors.npz"), Path(name, "seconds")
            np.savez(archive, **vectors)
            variables = {"TMESH_VECTORS": str(archive), "TMESH_SECONDS": str(measured)}
            simulate(text, "rate_bench", Path(name), variables, touched, make)
            yield by, float(measured.read_text(encoding="utf-8"))


def _rows(words: Words, last: npt.NDArray[np.bool_] | None = None) -> Words:
    """Words with their last flags, by default of one packet."""
    if last is None:
        last = np.arange(len(words)) == len(words) - 1
    return np.column_stack([words, last.astype(np.uint32)])
