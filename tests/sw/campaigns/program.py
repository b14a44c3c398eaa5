"""A campaign as a program, for tests that stop it: ``program.py STORE MARKS SECONDS``.

A worker adds the line ``import`` to the file MARKS when it imports this file, which takes half a
second. Each run adds a line when it begins, so a test sees how often each was measured. Runs with a
seed of 3 or more take SECONDS.
"""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tmesh.campaigns import Campaign, Store

CELLS: list[Mapping[str, Any]] = [{"slope": 2}, {"slope": 3}]
SEEDS = range(6)


def mark(text: str) -> None:
    """Add a line to MARKS."""
    with Path(sys.argv[2]).open("a") as marks:
        marks.write(f"{text}\n")


if __name__ == "__mp_main__":  # the import in a worker
    mark("import")
    time.sleep(0.5)


def line(cell: Mapping[str, Any], seed: int) -> int:
    """The value of a line through the origin."""
    mark(f"{cell['slope']} {seed}")
    if seed >= 3:
        time.sleep(int(sys.argv[3]))
    return int(cell["slope"] * seed)


if __name__ == "__main__":
    with Store(Path(sys.argv[1])) as store:
        campaign = Campaign(line, CELLS, SEEDS, store)
        campaign.measure(lambda run: print(run.seed, flush=True), workers=2)
        print([campaign.results(cell) for cell in CELLS])
