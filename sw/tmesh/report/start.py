"""`make start`: seconds until a Verilated core answers, the first time and once it is built."""

import os
import subprocess
import sys
import tempfile
import time

from tmesh.entry import guarded

#: Configurations that are timed.
CONFIGURATIONS = ("sim-gossip", "default")

#: A process that opens a core and has it answer.
_PROGRAM = """
import sys, tmesh
with tmesh.open_device("verilator", sys.argv[1]) as device:
    device.load([[0, 0, 1]])
    device.observe([0])
"""


def seconds(config: str, cache: str) -> float:
    """From the start of a process to its end, with whatever `cache` holds already built."""
    start = time.perf_counter()
    environment = {**os.environ, "TMESH_CACHE": cache}
    subprocess.run([sys.executable, "-c", _PROGRAM, config], env=environment, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    print("| configuration | first time, s | once built, s |\n|---|--:|--:|")
    for config in CONFIGURATIONS:
        with tempfile.TemporaryDirectory() as cache:
            first = seconds(config, cache)
            again = min(seconds(config, cache) for _ in range(3))
        print(f"| {config} | {first:.0f} | {again:.1f} |", flush=True)


if __name__ == "__main__":
    sys.exit(guarded(main))
