"""`make figures`: the size and speed of each board's design, kept for every commit.

The file has one record for a board and commit, the newest last. Without a board nothing is built.
It prints the table and the changes since the record before, and draws the picture.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import tmesh
from tmesh.entry import guarded
from tmesh.errors import ToolError
from tmesh.files import write_text
from tmesh.golden.reference import partial_swap
from tmesh.report.picture import write

from tmesh_hw.boards.board import BOARDS, Board
from tmesh_hw.boards.build import SEED, Bitstream, build, route

#: Seeds of placement that a record has, the bitstream's first; seeds that cannot be routed are
#: counted and replaced, at most as many again.
SEEDS = 5

#: Meetings and matrices that cycles are counted over.
MEETINGS, MATRICES = 2000, 20

#: Figures of a record that a change is looked for in, and how they are written.
COUNTS = ("lut", "ff", "dsp", "ebr")
RATES = ("mhz_min", "mhz_median", "events", "eigen")


def cycles(board: Board) -> dict[str, float]:
    """Clocks of a two-body operation on resident states, and of the eigenvalues of a 4×4 matrix if
    the core has them. The Verilated core counts them in batches."""
    rng = np.random.default_rng(0)
    agents = min(1000, board.config.agents)
    r = rng.normal(size=(agents, 3))
    r /= np.linalg.norm(r, axis=1, keepdims=True)
    pairs = np.stack([rng.permutation(agents)[:2] for _ in range(MEETINGS)])
    found = {}
    with tmesh.open_device("verilator", board.config) as core:
        core.load(np.trunc(r * 2**12) / 2**12)
        before = core.cycles or 0
        core.gossip(pairs, partial_swap(0.3))
        found["events"] = ((core.cycles or 0) - before) / MEETINGS
        if board.config.cordics:
            g = rng.normal(size=(MATRICES, 4, 4)) + 1j * rng.normal(size=(MATRICES, 4, 4))
            before = core.cycles or 0
            core.eigvalsh((g + np.conj(np.swapaxes(g, -1, -2))) / 20)
            found["eigen"] = ((core.cycles or 0) - before) / MATRICES
    return found


def measure(made: Bitstream, seeds: int, source: str) -> dict[str, Any]:
    """The record of a build; source: the commit that it is of."""
    clocks, unrouted = [made.report.reached], 0
    while len(clocks) < seeds:
        try:
            clocks.append(route(made, SEED + len(clocks) + unrouted).reached)
        except ToolError:
            unrouted += 1
            if unrouted == seeds:
                raise
    clock, counted = made.board.config.clock_hz, cycles(made.board)
    return {
        "board": made.board.name,
        "commit": source,
        **{name: made.report.cells[name] for name in (*COUNTS, "spram")},
        "mhz": clock / 1e6,
        "mhz_min": round(min(clocks), 1),
        "mhz_median": round(statistics.median(clocks), 1),
        "seeds": len(clocks),
        "unrouted": unrouted,
        **{name: round(clock / count) for name, count in counted.items()},
    }


def commit() -> str:
    """The commit that is built, with a + if something was changed since."""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=10", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise ToolError(f"git: {done.stderr.strip()}")
    return done.stdout.strip()


def latest(records: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The records of each board, the newest last."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in BOARDS}
    for record in records:
        found[record["board"]].append(record)
    return found


def table(records: Sequence[dict[str, Any]]) -> str:
    """The newest of each board, as Markdown; watts are left for a reader with the board."""
    cells = ["| board | device | LUT | FF | DSP | EBR | clock, MHz |", "|---|---|" + "--:|" * 5]
    rates = ["| board | Fmax, MHz, minimum | Fmax, MHz, median | events/s | 4×4 eigen/s | W |"]
    rates.append("|---|" + "--:|" * 5)
    for name, history in latest(records).items():
        if not history:
            continue
        record, board = history[-1], BOARDS[name]
        counts = [f"{record[count]:,}" for count in COUNTS]
        cells.append(_row(board.title, board.device, *counts, f"{record['mhz']:g}"))
        speeds = [f"{record[rate]:,}" if rate in record else "–" for rate in ("events", "eigen")]
        reached = (f"{record[key]:.1f}" for key in ("mhz_min", "mhz_median"))
        rates.append(_row(board.title, *reached, *speeds, ""))
    return "\n".join([*cells, "", *rates])


def _row(*parts: str) -> str:
    return f"| {' | '.join(parts)} |"


def changes(records: Sequence[dict[str, Any]]) -> str:
    """Changes of each board from the second newest record to the newest."""
    lines = []
    for name, history in latest(records).items():
        if len(history) < 2:
            continue
        before, after = history[-2:]
        found = [
            f"{figure} {before.get(figure, '–')} → {after.get(figure, '–')}"
            for figure in (*COUNTS, *RATES)
            if before.get(figure) != after.get(figure)
        ]
        line = "; ".join(found) or "nothing"
        lines.append(f"{name}, {before['commit']} → {after['commit']}: {line}")
    return "\n".join(lines)


def draw(records: Sequence[dict[str, Any]], path: Path) -> None:
    """LUTs and the worst clock of every board, commit by commit."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for name, history in latest(records).items():
        x = range(len(history))
        for axis, key in zip(axes, ("lut", "mhz_min"), strict=True):
            axis.plot(x, [record[key] for record in history], "o-", label=BOARDS[name].title)
    for axis, title in zip(axes, ("LUTs", "Fmax of the worst seed, MHz"), strict=True):
        axis.set(title=title, xlabel="record", ylim=(0, None))
        axis.xaxis.get_major_locator().set_params(integer=True)
    axes[0].legend()
    write(figure, path)
    plt.close(figure)


def main() -> None:
    """Measure a board, if one is named; then print and draw what there is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("board", choices=[*BOARDS, ""], nargs="?", default="")
    parser.add_argument("--root", type=Path, default=Path("build/boards"))
    parser.add_argument("--file", type=Path, default=Path("docs/boards.json"))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    arguments = parser.parse_args()
    file = arguments.file
    records = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    if arguments.board:
        # Before what takes long.
        source = commit()
        made = build(BOARDS[arguments.board], arguments.root)
        record = measure(made, arguments.seeds, source)
        same = ("board", "commit")
        records = [r for r in records if any(r[key] != record[key] for key in same)] + [record]
        lines = ",\n".join(json.dumps(record) for record in records)
        write_text(file, f"[\n{lines}\n]\n")
    draw(records, file.with_suffix(".svg"))
    print(table(records))
    print(changes(records))


if __name__ == "__main__":
    sys.exit(guarded(main))
