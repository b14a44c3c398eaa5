"""The host's end of the link: against the gateware over a bad wire, and against no board at all."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tmesh import frames
from tmesh.errors import InvalidInput
from tmesh.frames import Kind
from tmesh.golden.reference import FloatArray
from tmesh.link import Decoder, Frame, Link, LinkError, SerialTransport, decode, encode
from tmesh.numbers import IntArray
from tmesh_sim import faults, fuzz
from tmesh_sim.board import VerilatedBytes

DOCS = Path(__file__).parents[2] / "docs" / "link.md"


def test_documented_tables_are_those_of_the_code() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for table in frames.tables():
        assert table in text, f"docs/link.md does not have\n{table}"


U16 = st.integers(0, 0xFFFF)


@st.composite
def some_frames(draw: st.DrawFn) -> Frame:
    link = draw(st.sampled_from([32, 64, 128]))
    kind = draw(st.sampled_from(Kind))
    count = 0 if kind == Kind.RESET else draw(st.integers(0, 40))
    words = np.frombuffer(
        draw(st.binary(min_size=count * link // 8, max_size=count * link // 8)), "<u4"
    )
    last = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype=np.bool_)
    numbers = [draw(U16) for _ in range(4)]
    return Frame(kind, *numbers, words=words.reshape(-1, link // 32), last=last, link=link)


def same(one: Frame | None, other: Frame) -> bool:
    return one is not None and all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        for field in dataclasses.fields(Frame)
    )


@settings(derandomize=True, max_examples=200, deadline=None)
@given(some_frames(), st.binary(max_size=50), st.integers(1, 30))
def test_frames_come_back_whole_after_garbage(frame: Frame, garbage: bytes, step: int) -> None:
    wire = garbage + b"\0" + encode(frame)
    decoder = Decoder(frame.link)
    found = [f for n in range(0, len(wire), step) for f in decoder.feed(wire[n : n + step])]
    assert same(found[-1], frame)
    assert all(f is None for f in found[:-1])


@settings(derandomize=True, max_examples=100, deadline=None)
@given(some_frames(), st.data())
def test_a_damaged_frame_is_none(frame: Frame, data: st.DataObject) -> None:
    """Any one byte changed, lost or added; `python -m tmesh_sim.fuzz` does worse."""
    wire = encode(frame)[:-1]
    at = data.draw(st.integers(0, len(wire) - 1))
    byte = data.draw(st.integers(1, 255).filter(lambda b: b != wire[at]))
    for bad in (
        wire[:at] + bytes([byte]) + wire[at + 1 :],
        wire[:at] + wire[at + 1 :],
        wire[:at] + bytes([byte]) + wire[at:],
    ):
        assert decode(bad, frame.link) is None


def test_a_bad_byte_is_followed_by_another() -> None:
    """And one that is lost leaves the other in its place."""

    class Chosen:
        def random(self, size: tuple[int, int]) -> FloatArray:
            drops, inserts = [1, 0, 1, 1], [1, 0, 0, 1]
            return 1 - np.array([[0] * 4, drops, inserts], dtype=np.float64)

        def integers(self, low: int, high: int, count: int, dtype: type) -> IntArray:
            return np.arange(count, dtype=dtype)

    wire = faults.BadWire(cast(VerilatedBytes, None), 0.5, seed=0)
    wire._rng = cast(np.random.Generator, Chosen())
    assert wire._spoiled(b"abcd") == b"\0b\1"
    assert wire.faults == 5


@pytest.mark.parametrize("rate", [0.0, 1e-3])
def test_a_bad_wire_loses_and_repeats_nothing(rate: float) -> None:
    """The queue holds less than the host may send, and positions turn over at 65 536 words."""
    carried = faults.carry(560_000 if not rate else 20_000, 64, rate, seed=1, depth=32)
    assert carried.wrong == 0
    assert (carried.faults > 0) == (rate > 0)


@pytest.mark.parametrize("family", ["ecp5", "ice40"])
def test_the_synthesised_link_loses_and_repeats_nothing(family: str) -> None:
    """Its queues are block memories of the vendor, whose ports have rules of their own."""
    carried = faults.carry(20_000, 32, 1e-3, seed=1, depth=32, family=family)
    assert carried.wrong == 0 < carried.faults


def test_bad_frames_change_nothing() -> None:
    """A small part of what `python -m tmesh_sim.fuzz` tries."""
    inputs, words, wrong = fuzz.fuzz(4000, seed=1)
    assert min(inputs) >= 4000
    assert words > 0
    assert wrong == 0


class Script:
    """A transport that answers each frame of the host with what `answer` makes of it."""

    def __init__(self, answer: Callable[[Frame], bytes]) -> None:
        self._answer, self._decoder, self._bytes = answer, Decoder(64), b""
        self.closed = False

    def read(self) -> bytes:
        data, self._bytes = self._bytes, b""
        return data

    def write(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            assert frame is not None
            self._bytes += self._answer(frame)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda frame: b"", "board: no answer within 0.05 s"),
        (lambda frame: b"login: \0\r\n", "board: no answer within 0.05 s"),
        (
            lambda frame: encode(
                dataclasses.replace(frame, link=32, words=np.empty((0, 1), np.uint32))
            ),
            "board: words of the board have 32 bits, not 64",
        ),
        (
            lambda frame: encode(dataclasses.replace(frame, version=2)),
            "board: the board's link has version 2, not 1",
        ),
    ],
)
def test_a_peer_that_is_no_board_is_refused(answer: Callable[[Frame], bytes], reason: str) -> None:
    script = Script(answer)
    with pytest.raises(LinkError, match=reason):
        Link("board", lambda: script, 64, timeout=0.05, patience=0.01).connect()
    assert script.closed


def test_a_lost_board_is_an_error_and_connecting_begins_anew() -> None:
    """What was sent before the loss is not sent again, and nothing that comes late counts."""
    words = np.arange(8, dtype=np.uint32).reshape(4, 2)
    last = np.ones(4, dtype=np.bool_)
    sessions: list[int] = []
    lost = False

    def board(frame: Frame) -> bytes:
        if frame.kind == Kind.RESET:
            sessions.append(frame.session)
            return encode(dataclasses.replace(frame, limit=100))
        if lost:
            raise OSError(5, "Input/output error")
        assert frame.session == sessions[-1]
        late = dataclasses.replace(frame, session=sessions[0], words=frame.words + np.uint32(1))
        echo = dataclasses.replace(
            frame,
            position=0,
            acknowledged=frame.position + len(frame.words),
            limit=frame.position + 100,
        )
        return (encode(late) if len(sessions) > 1 else b"") + encode(echo)

    link = Link("board", lambda: Script(board), 64, timeout=0.2, patience=0.02)
    with pytest.raises(LinkError, match="board: not connected"):
        link.exchange(words, last, 4)
    link.connect()
    np.testing.assert_array_equal(link.exchange(words, last, 4), words)
    lost = True
    with pytest.raises(LinkError, match=r"^board: Input/output error$"):
        link.exchange(words, last, 4)
    with pytest.raises(LinkError, match="board: not connected"):
        link.exchange(words, last, 4)
    lost = False
    link.connect()
    assert len(set(sessions)) == 2
    np.testing.assert_array_equal(link.exchange(words + np.uint32(9), last, 4), words + 9)


def test_a_board_that_stops_is_given_up() -> None:
    def board(frame: Frame) -> bytes:
        return encode(frame) if frame.kind == Kind.RESET else b""

    link = Link("board", lambda: Script(board), 64, timeout=0.05, patience=0.01)
    link.connect()
    with pytest.raises(LinkError, match=r"board: no progress for 0\.05 s"):
        link.exchange(np.zeros((1, 2), np.uint32), np.ones(1, np.bool_), 1)


@pytest.mark.parametrize("noise", [b"\5", b"\5\0"])
def test_a_board_that_babbles_is_asked_again_and_given_up(noise: bytes) -> None:
    """Bytes that mean nothing are no progress."""
    now, asked = 0.0, 0

    def board(frame: Frame) -> bytes:
        nonlocal asked
        asked += frame.kind == Kind.AGAIN
        return encode(frame) if frame.kind == Kind.RESET else b""

    class Noisy(Script):
        def read(self) -> bytes:
            nonlocal now
            now += 0.01
            return super().read() or noise

    link = Link("board", lambda: Noisy(board), 64, timeout=5, patience=0.25, clock=lambda: now)
    link.connect()
    with pytest.raises(LinkError, match="board: no progress for 5 s"):
        link.exchange(np.zeros((1, 2), np.uint32), np.ones(1, np.bool_), 1)
    assert now < 6
    assert 4 <= asked <= 6


def test_a_frame_cut_off_earlier_is_not_read_after_connecting() -> None:
    """Half a frame from before would spoil the first answer."""
    resets = 0

    def board(frame: Frame) -> bytes:
        nonlocal resets
        resets += frame.kind == Kind.RESET
        return encode(frame) if frame.kind == Kind.RESET else encode(frame)[:5]

    link = Link("board", lambda: Script(board), 64, timeout=0.05, patience=0.01)
    link.connect()
    with pytest.raises(LinkError, match="no progress"):
        link.exchange(np.zeros((1, 2), np.uint32), np.ones(1, np.bool_), 1)
    link.connect()
    assert resets == 2


def test_bad_ports_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"serial port must be PATH .*, not '\?baud=3'"):
        SerialTransport("?baud=3", 1)
    with pytest.raises(ValueError, match="baud=fast"):
        SerialTransport("/dev/ttyUSB0?baud=fast", 1)
    for rate in (0, 1 << 31):
        with pytest.raises(ValueError, match=f"baud={rate}"):
            SerialTransport(f"/dev/ttyUSB0?baud={rate}", 1)
    missing = tmp_path / "ttyUSB0"
    with pytest.raises(LinkError, match=r"^board: .*could not open port .*ttyUSB0"):
        Link("board", lambda: SerialTransport(str(missing), 1), 64).connect()


def test_a_board_that_sends_more_than_was_asked_is_given_up() -> None:
    """Before its words take memory: it could acknowledge nothing and send for ever."""

    def board(frame: Frame) -> bytes:
        if frame.kind == Kind.RESET:
            return encode(frame)
        many = np.zeros((200, 2), np.uint32)
        last = np.zeros(200, np.bool_)
        return encode(dataclasses.replace(frame, acknowledged=0, words=many, last=last))

    link = Link("board", lambda: Script(board), 64, timeout=5, patience=0.01)
    link.connect()
    with pytest.raises(LinkError, match="board: 199 words of replies that were not requested"):
        link.exchange(np.zeros((1, 2), np.uint32), np.ones(1, np.bool_), 1)


FRAME = Frame(
    Kind.DATA, 1, 2, 3, 4, words=np.zeros((2, 2), np.uint32), last=np.zeros(2, np.bool_), link=64
)


@pytest.mark.parametrize(
    "changed",
    [
        {"session": 1 << 16},
        {"position": -1},
        {"acknowledged": 1.0},
        {"limit": True},
        {"link": 48},
        {"link": 32},
        {"version": 2},
        {"version": 16, "kind": Kind.RESET},
        {"kind": Kind.RESET},
        {"kind": 3},
        {"kind": False},
        {"kind": 1.0},
        {"link": 256, "words": np.zeros((2, 8), np.uint32)},
        {"words": []},
        {"words": np.uint32(1)},
        {"words": np.array(1, np.uint32)},
        {"last": [False, False]},
        {"words": np.zeros((2, 2))},
        {"last": np.zeros(3, np.bool_)},
        {"last": np.zeros(2, np.uint8)},
    ],
)
def test_a_frame_that_no_receiver_reads_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(
        InvalidInput, match=r"^(kind|session|position|acknowledged|limit|words|last|link|version)\b"
    ):
        dataclasses.replace(FRAME, **changed)


def test_a_frame_is_as_long_as_a_receiver_keeps() -> None:
    """The longest one that is sent is read; a longer one is neither sent nor read."""
    sent, count = b"", 1
    while True:
        words, last = np.full((count, 2), 0x01010101, np.uint32), np.ones(count, np.bool_)
        try:
            sent = encode(dataclasses.replace(FRAME, words=words, last=last))
        except InvalidInput:
            break
        count += 1
    [frame] = Decoder(64).feed(sent)
    assert frame is not None
    assert len(frame.words) == count - 1 > 400
    assert list(Decoder(64).feed(b"\1" * (len(sent) + 20) + b"\0")) == [None]
    decoder = Decoder(64)
    for _ in range(10_000):
        assert list(decoder.feed(b"\1" * 1000)) == []
    assert len(decoder._rest) < 5000
