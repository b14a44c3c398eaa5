"""The gateware's end of the link, piece by piece."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from cobs import cobs
from tmesh_hw.link import (
    CobsDecoder,
    CobsEncoder,
    CommitQueue,
    ReplayQueue,
    UartReceiver,
    UartTransmitter,
)
from tmesh_hw.link.wire import BYTE
from tmesh_sim.amaranth_bench import run


class Line(wiring.Component):
    """A transmitter and a receiver, each with its own clocks a bit."""

    def __init__(self, sent: int, received: int) -> None:
        self.ends = UartTransmitter(divisor=sent), UartReceiver(divisor=received)
        signatures = stream.Signature(BYTE), stream.Signature(BYTE, always_ready=True)
        super().__init__({"i": In(signatures[0]), "o": Out(signatures[1])})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.transmitter, m.submodules.receiver = transmitter, receiver = self.ends
        wiring.connect(m, wiring.flipped(self.i), transmitter.i)
        wiring.connect(m, receiver.o, wiring.flipped(self.o))
        m.d.comb += receiver.rx.eq(transmitter.tx)
        return m


@pytest.mark.parametrize(("sent", "received"), [(3, 3), (4, 4), (33, 33), (25, 26), (26, 25)])
def test_a_line_carries_bytes(sent: int, received: int) -> None:
    """With pauses and without, and with clocks that differ by 4 %."""
    data = np.array([0, 255, 0x55, 0xAA, 1, 128, *np.random.default_rng(1).integers(0, 256, 20)])
    for stall in (0.0, 0.9):
        done = run(Line(sent, received), data[:, None], stall=stall, seed=1)
        np.testing.assert_array_equal(done.replies[:, 0], data)
        if not stall:
            assert done.received[-1] - done.received[0] == 10 * sent * (len(data) - 1)


def _contents(rng: np.random.Generator, count: int) -> Iterator[bytes]:
    """Byte strings with and without zeros, of all lengths around those of a block."""
    lengths = [1, 2, 3, 253, 254, 255, 256, 508, 509, *rng.integers(1, 600, count).tolist()]
    for n, length in enumerate(lengths):
        yield rng.integers(n % 2, 256 if n % 3 else 3, length).astype(np.uint8).tobytes()


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_stuffing_is_that_of_cobs(stall: float) -> None:
    contents = list(_contents(np.random.default_rng(1), 3))
    rows = [(b, n == len(c) - 1) for c in contents for n, b in enumerate(c)]
    wanted = b"".join(bytes(cobs.encode(c)) + b"\0" for c in contents)
    done = run(CobsEncoder(), np.array(rows), stall=stall, seed=2, answers=len(wanted))
    assert done.replies[:, 0].astype(np.uint8).tobytes() == wanted
    assert _decoded(wanted) == contents


def _decoded(wire: bytes) -> list[bytes | None]:
    """What `CobsDecoder` makes of a wire, a byte every cycle; None for a bad frame."""
    dut = CobsDecoder()
    found: list[bytes | None] = []
    content = bytearray()

    async def drive(ctx: Any) -> None:
        ctx.set(dut.i.valid, 1)
        for byte in wire + b"\x01":  # one more, for the last to come out
            ctx.set(dut.i.payload.data, byte)
            _, _, valid, o = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid and o.end:
                found.append(None if o.bad else bytes(content))
                content.clear()
            elif valid:
                content.append(o.data)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(drive)
    simulator.run()
    return found


def test_every_short_string_is_read_as_by_cobs() -> None:
    """All of up to five bytes, of those that make a difference to so few, good and bad."""
    values = (1, 2, 3, 5, 255)
    strings = [bytes(s) for n in range(6) for s in itertools.product(values, repeat=n)]
    wanted: list[bytes | None] = []
    for string in strings:
        try:
            wanted.append(bytes(cobs.decode(string)))
        except cobs.DecodeError:
            wanted.append(None)
    assert wanted.count(None) > 1000
    assert _decoded(b"".join(s + b"\0" for s in strings)) == wanted


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: UartReceiver(divisor=2), "divisor must be at least 3, not 2"),
        (lambda: UartTransmitter(divisor=0), "divisor must be at least 3, not 0"),
        (lambda: CommitQueue(link=64, depth=48), "depth must be a power of two .*, not 48"),
        (lambda: ReplayQueue(link=64, depth=1 << 15), "depth must be .* to 16384, not 32768"),
    ],
)
def test_bad_parameters_are_named(make: Callable[[], Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make()
