"""The link over a bad wire: `python -m tmesh_sim.faults` carries a million bytes each way, or, with
--engine, as many of commands and replies of an engine."""

import argparse
import dataclasses
import itertools
import sys
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from tmesh.config import core_config
from tmesh.devices import Device, open_device
from tmesh.devices.link import LinkDevice
from tmesh.entry import guarded
from tmesh.link import Link
from tmesh_hw.digest import build_digest
from tmesh_hw.export import simulation_verilog
from tmesh_hw.link import LinkedEngine
from tmesh_hw.synthesis.netlist import netlist

from tmesh_sim.board import VerilatedBytes
from tmesh_sim.cells import with_models
from tmesh_sim.echo import Echo
from tmesh_sim.harness import Source


class BadWire:
    """A `tmesh.link.Transport` to a simulated board: each byte is changed in a bit, lost, and
    followed by another with chance `rate` each, and as often what follows comes later."""

    def __init__(self, board: VerilatedBytes, rate: float, seed: int) -> None:
        self._board, self._rate = board, rate
        self._rng = np.random.default_rng(seed)
        self._outward = self._inward = b""
        self.faults = 0
        self.there = self.back = 0

    def write(self, data: bytes) -> None:
        """See `tmesh.link.Transport`."""
        self.there += len(data)
        self._outward += self._spoiled(data)

    def read(self) -> bytes:
        """See `tmesh.link.Transport`."""
        now = len(self._outward) if self._punctual(self._outward) else len(self._outward) // 2
        taken, came = self._board.clock(self._outward[:now])
        self._outward = self._outward[taken:]
        self.back += len(came)
        self._inward += self._spoiled(came)
        now = len(self._inward) if self._punctual(self._inward) else len(self._inward) // 2
        result, self._inward = self._inward[:now], self._inward[now:]
        return result

    def close(self) -> None:
        """Bytes in flight are lost."""
        self._outward = self._inward = b""

    def _punctual(self, data: bytes) -> bool:
        late = self._rng.random() < 1 - (1 - self._rate) ** len(data)
        self.faults += late
        return not late

    def _spoiled(self, data: bytes) -> bytes:
        rng = self._rng
        result = np.frombuffer(data, dtype=np.uint8).copy()
        flips, drops, inserts = rng.random((3, len(result))) < self._rate
        self.faults += int(np.count_nonzero([flips, drops, inserts]))
        result[flips] ^= np.uint8(1) << rng.integers(0, 8, np.count_nonzero(flips), dtype=np.uint8)
        added = rng.integers(0, 256, np.count_nonzero(inserts), dtype=np.uint8)
        behind = np.cumsum(~drops)[inserts]
        return np.insert(result[~drops], behind, added).tobytes()


def packets(
    rng: np.random.Generator, link: int, words: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.bool_]]:
    """Random words, half their bytes zeros, and where packets end."""
    size = (words, link // 8)
    data = rng.integers(0, 256, size, dtype=np.uint8) * rng.integers(0, 2, size, dtype=np.uint8)
    return data.view(np.uint32), rng.random(words) < 0.2


def echoed(words: npt.NDArray[np.uint32], last: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint32]:
    """The answer of `Echo`."""
    marks = np.zeros_like(words)
    marks[:, 0] = last
    return words ^ marks


@dataclasses.dataclass(frozen=True)
class Carried:
    """Figures of a run: bytes of words that arrived, bytes on the wire both ways, faults, and words
    that came back changed."""

    payload: int
    there: int
    back: int
    faults: int
    wrong: int


def carry(
    payload: int, link: int, rate: float, seed: int, depth: int = 256, family: str | None = None
) -> Carried:
    """Send `payload` bytes of words and more to a simulated `Echo` and back, over a `BadWire`.
    family: of devices, whose cells it is made of; see `tmesh_hw.synthesis.netlist`."""
    rng = np.random.default_rng(seed)
    echo = Echo(link=link, depth=depth)
    text = simulation_verilog(echo) if family is None else netlist(echo, family)
    plain = Source(lambda: text, text)
    board = VerilatedBytes(plain if family is None else with_models(plain, family))
    wire = BadWire(board, rate, seed)
    # A clock of 100 MHz; the wire carries a byte every cycle.
    end = Link("echo", lambda: wire, link, 0.2, 1e-4, lambda: board.cycles / 100e6)
    end.connect()
    done = wrong = 0
    while done < payload:
        words, last = packets(rng, link, 2000)
        replies = end.exchange(words, last, len(words))
        wrong += int(np.count_nonzero(replies != echoed(words, last)))
        done += words.nbytes
    end.close()
    board.close()
    return Carried(done, wire.there, wire.back, wire.faults, wrong)


def engine() -> VerilatedBytes:
    """The engine of the configuration `board` and its link, without a serial line."""
    config = core_config("board")
    digest = build_digest(config)
    top = LinkedEngine(config=config, digest=digest)
    return VerilatedBytes(Source(lambda: simulation_verilog(top), f"{digest} linked"))


def compute(board: VerilatedBytes, payload: int, rate: float, seed: int) -> Carried:
    """Let an engine of the configuration `board` compute over a `BadWire` until `payload` bytes of
    words went each way; `wrong` counts calls whose results differ from the model's."""
    rng = np.random.default_rng(seed)
    config = core_config("board")
    wire = BadWire(board, rate, seed)
    wrong = 0
    with (
        LinkDevice("engine", lambda: wire, config, 0.2, 3e-4, lambda: board.cycles / 1e8) as device,
        open_device("model", config) as model,
    ):
        for call in itertools.cycle(_calls(rng, config.agents)):
            state = rng.bit_generator.state
            found = call(device)
            rng.bit_generator.state = state
            wrong += not all(map(np.array_equal, found, call(model)))
            if min(device.link.carried) >= payload:
                break
        done = min(device.link.carried)
    return Carried(done, wire.there, wire.back, wire.faults, wrong)


def _calls(
    rng: np.random.Generator, agents: int
) -> list[Callable[[Device], Sequence[npt.NDArray[np.generic]]]]:
    """Calls of a device, each with other operands every time; together they change every state."""

    def load(device: Device) -> list[npt.NDArray[np.generic]]:
        r = rng.normal(size=(agents, 3))
        device.load(r / np.linalg.norm(r, axis=1, keepdims=True))
        return [device.read()]

    def gossip(device: Device) -> list[npt.NDArray[np.generic]]:
        pairs = rng.permuted(np.tile(np.arange(agents), (500, 1)), axis=1)[:, :2]
        device.gossip(pairs, np.linalg.qr(rng.normal(size=(4, 4)))[0], write="both")
        return [device.read()]

    def update(device: Device) -> list[npt.NDArray[np.generic]]:
        members = rng.permuted(np.tile(np.arange(agents), (100, 1)), axis=1)[:, :5]
        return [*device.update(members[:, 0], members[:, 1:], 4), device.read()]

    def spectra(device: Device) -> list[npt.NDArray[np.generic]]:
        x = rng.normal(size=(20, 4, 4)) / 8
        return list(device.eigh(x + x.swapaxes(1, 2)))

    return [load, gossip, update, spectra]


def main() -> None:
    """A row for each size of words."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--bytes", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", action="store_true")
    chosen = parser.parse_args()
    if chosen.engine:
        print(
            "| bytes each way | sent | received | faults | wrong results |\n|--:|--:|--:|--:|--:|"
        )
        c = compute(engine(), chosen.bytes, chosen.rate, chosen.seed)
        figures = (c.payload, c.there, c.back, c.faults, c.wrong)
        print("|", " | ".join(f"{n:,}" for n in figures), "|")
        return
    print("| word | bytes each way | sent | received | faults | wrong words |")
    print("|---|--:|--:|--:|--:|--:|")
    for link in (32, 64, 128):
        c = carry(chosen.bytes, link, chosen.rate, chosen.seed)
        figures = (c.payload, c.there, c.back, c.faults, c.wrong)
        print(f"| {link} bits |", " | ".join(f"{n:,}" for n in figures), "|", flush=True)


if __name__ == "__main__":
    sys.exit(guarded(main))
