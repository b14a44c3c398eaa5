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
from tmesh.frames import POSITION_BITS
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


#: Words that a queue is given, and the bits of one.
WORDS, WORD = 3_000, 32


def test_only_what_is_committed_leaves() -> None:
    """Words that come, are committed or forgotten, and leave at random; a full queue takes none."""
    queue, rng = CommitQueue(link=WORD, depth=8), np.random.default_rng(1)
    kept: list[int] = []
    left: list[int] = []

    async def bench(ctx: Any) -> None:
        written: list[int] = []
        full = 0
        for number in range(WORDS):
            enters, decides = rng.random() < 0.6, rng.random() < 0.2
            commits = decides and not enters and rng.random() < 0.7
            discards = decides and not commits
            ctx.set(queue.i.payload.data, number)
            ctx.set(queue.i.valid, enters)
            ctx.set(queue.commit, commits)
            ctx.set(queue.discard, discards)
            ctx.set(queue.o.ready, rng.random() < 0.5)
            sampled = (queue.i.ready, queue.o.valid, queue.o.ready, queue.o.payload.data)
            assert ctx.get(queue.committed) == len(kept)
            assert ctx.get(queue.limit) == len(left) + queue.depth
            _, _, taken, valid, ready, word = await ctx.tick().sample(*sampled)
            full += len(kept) + len(written) - len(left) == queue.depth
            if enters and taken:
                written.append(number)
            if valid and ready:
                left.append(word)
            if commits:
                kept.extend(written)
            if decides:
                written.clear()
            assert len(kept) + len(written) - len(left) <= queue.depth
        assert full > 10

    _simulate(queue, bench)
    assert left == kept[: len(left)]
    assert len(left) > WORDS // 20


def test_words_are_sent_again_until_they_are_acknowledged() -> None:
    """Acknowledged, and not to be believed, at random, as more words are written."""
    queue, rng = ReplayQueue(link=WORD, depth=8), np.random.default_rng(1)

    async def bench(ctx: Any) -> None:
        words: list[int] = []
        acknowledged = position = rewinds = 0
        for number in range(WORDS // 10):
            update = rng.random() < 0.5
            claimed = int(rng.integers(acknowledged - 3, len(words) + 4))
            believed = update and acknowledged <= claimed <= len(words)
            rewind = bool(rng.random() < 0.3)
            ctx.set(queue.update, update)
            ctx.set(queue.rewind, rewind)
            ctx.set(queue.acknowledged, claimed % (1 << POSITION_BITS))
            ctx.set(queue.o.ready, 0)
            back = False
            for cycle in range(20):
                ctx.set(queue.i.payload.data, 100 * number + cycle)
                ctx.set(queue.i.valid, rng.random() < 0.3)
                if cycle == 1:
                    ctx.set(queue.update, 0)
                if cycle >= 6 or not update:
                    ctx.set(queue.o.ready, rng.random() < 0.5)
                sampled = (queue.i.valid, queue.i.ready, queue.o.valid, queue.o.ready)
                _, _, *flags, word = await ctx.tick().sample(*sampled, queue.o.payload.data)
                enters, room, valid, ready = flags
                if cycle == 5:
                    acknowledged = claimed if believed else acknowledged
                    rewinds += update and rewind and position > acknowledged
                    back = update and (rewind or position < acknowledged)
                    position = acknowledged if back else position
                assert not (valid and update and 1 <= cycle < 5 + back)
                if valid and ready:
                    assert word == words[position]
                    position += 1
                if enters and room:
                    words.append(100 * number + cycle)
                assert len(words) - acknowledged <= queue.depth or cycle < 5
            assert ctx.get(queue.position) == position
        assert rewinds > 10
        assert len(words) > 100

    _simulate(queue, bench)


def _simulate(queue: Any, bench: Callable[[Any], Any]) -> None:
    simulator = Simulator(queue)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


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
