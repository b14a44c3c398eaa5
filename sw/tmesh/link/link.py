"""The host's end of the link: it leads, and has the only timer."""

import secrets
import time
from collections.abc import Callable

import numpy as np

from tmesh import frames
from tmesh.errors import LinkError
from tmesh.frames import Kind
from tmesh.link.framing import Bools, Decoder, Frame, Words, encode
from tmesh.link.transport import Transport

#: Bytes of replies that may be in flight: less than the kernel keeps for a serial port.
WINDOW = 3072

#: How many times more patient the host becomes at most.
PATIENCE = 4

_TURN = 1 << frames.POSITION_BITS

#: Words that may be in flight to a board that has room for them.
_FLIGHT = _TURN // 4


class Link:
    """Words to an engine behind a transport and back, in order, each once.

    name: of the board in errors. connect: opens a transport. bits: of a word. timeout: seconds
    without progress before the link gives up. patience: seconds without a byte before the link asks
    for missing words. It doubles while this does not help, and is longest while useless bytes
    arrive. clock: for both, in seconds.
    """

    def __init__(
        self,
        name: str,
        transport: Callable[[], Transport],
        bits: int,
        timeout: float = 5.0,
        patience: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self._open, self.bits = name, transport, bits
        self._timeout, self._patience, self._clock = timeout, patience, clock
        self._most = frames.words_per_frame(bits)
        self._transport: Transport | None = None
        self._begin(0)

    def connect(self) -> None:
        """Open the transport, and reset the board: words in flight are forgotten.

        Raises `LinkError` if there is no board, or one of another version or size of words.
        """
        self.close()
        self._decoder = Decoder(self.bits)
        try:
            self._transport = self._open()
            self._reset(self._transport)
        except OSError as error:
            raise self._failed(error) from error
        except BaseException:
            self.close()
            raise

    def exchange(self, words: Words, last: Bools, answers: int) -> Words:
        """Send words (n, bits/32), `last` (n,) of which end a packet, and wait for `answers` words,
        (answers, bits/32); all are carried once, whatever the transport does.

        Raises `LinkError` if the board is gone or nothing moves any more; then the link is closed.
        """
        if self._transport is None:
            raise LinkError(f"{self.name}: not connected")
        try:
            return self._exchange(self._transport, words, last, answers)
        except OSError as error:
            raise self._failed(error) from error
        except BaseException:
            self.close()  # in the middle of a frame, perhaps
            raise

    @property
    def carried(self) -> tuple[int, int]:
        """Bytes of words that went and came since the reset."""
        return self._kept * self.bits // 8, self._expected * self.bits // 8

    @property
    def _widest(self) -> int:
        return WINDOW // (self.bits // 8 + 1)

    def close(self) -> None:
        """Let go of the board."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _failed(self, error: OSError) -> LinkError:
        self.close()
        if isinstance(error, LinkError):
            return error
        reason = " ".join((error.strerror or str(error)).split())
        return LinkError(f"{self.name}: {reason}")

    def _begin(self, session: int) -> None:
        self._session = session
        # Words since the reset: there are, the board has, were sent, the board has room for.
        self._end = self._kept = self._sent = self._limit = 0
        # Words that came since the reset, those of them that the board knows about, and all that it
        # was ever allowed to send.
        self._expected = self._told = self._allowed = 0
        # Words that may be in flight, both ways: fewer after each loss, more as they arrive.
        self._flight, self._window = _FLIGHT, self._widest

    def _reset(self, transport: Transport) -> None:
        deadline = self._clock() + self._timeout
        while self._clock() < deadline:
            # 0 is what a board has after power-up.
            self._begin(1 + (self._session + secrets.randbelow(_TURN - 2)) % (_TURN - 1))
            # The zero ends whatever came before.
            transport.write(b"\0" + self._frame(Kind.RESET))
            again = self._clock() + 2 * self._patience
            while self._clock() < again:
                for frame in self._decoder.feed(transport.read()):
                    if frame is None or frame.kind != Kind.RESET or frame.session != self._session:
                        continue
                    if frame.version != frames.VERSION:
                        raise LinkError(
                            f"{self.name}: the board's link has version {frame.version}, "
                            f"not {frames.VERSION}"
                        )
                    if frame.link != self.bits:
                        raise LinkError(
                            f"{self.name}: words of the board have {frame.link} bits, "
                            f"not {self.bits}"
                        )
                    # Else the board had this very session before.
                    if frame.position == frame.acknowledged == 0:
                        self._limit = frame.limit
                        return
        raise LinkError(f"{self.name}: no answer within {self._timeout:g} s")

    def _exchange(self, transport: Transport, words: Words, last: Bools, answers: int) -> Words:
        base, wanted = self._end, self._expected + answers
        self._end = end = base + len(words)
        received: list[Words] = []
        heard = moved = told = self._clock()
        patience = self._patience
        # Whether it has asked for missing words, and gone back to words that the board lacks: once
        # until a word moves.
        asked = went_back = False
        ask = False
        while self._kept < end or self._expected < wanted:
            stop = min(end, self._limit, self._kept + self._flight)
            while ask or self._sent < stop:
                here = slice(self._sent - base, min(stop, self._sent + self._most) - base)
                kind = Kind.AGAIN if ask else Kind.DATA
                transport.write(self._frame(kind, words[here], last[here]))
                self._sent += max(0, here.stop - here.start)
                ask = False
            if self._expected - self._told >= self._window // 4:
                transport.write(self._frame(Kind.DATA))
            data = transport.read()
            before = self._kept, self._expected
            for frame in self._decoder.feed(data):
                if frame is None:
                    ask = ask or not asked
                elif frame.session == self._session and frame.kind != Kind.RESET:
                    lacks, missing = self._take(frame, received)
                    if lacks and not went_back:
                        self._go_back()
                        went_back = True
                    ask = ask or (missing and not asked)
                    if self._expected > wanted:  # before more of them take memory
                        more = self._expected - wanted
                        raise LinkError(
                            f"{self.name}: {more} words of replies that were not requested"
                        )
            now = self._clock()
            if (self._kept, self._expected) != before:
                moved, patience, asked, went_back = now, self._patience, False, False
                self._flight = min(_FLIGHT, self._flight + self._kept - before[0])
                self._window = min(self._widest, self._window + self._expected - before[1])
            if data:
                heard = now
            if now - moved > self._timeout:
                raise LinkError(f"{self.name}: no progress for {self._timeout:g} s")
            if now - heard > patience or now - max(moved, told) > PATIENCE * self._patience:
                heard = told = now
                ask = True
                patience = min(2 * patience, PATIENCE * self._patience)
                self._go_back()
            if ask:
                asked = True
                self._window = max(self._most, self._window // 2)
        return np.concatenate(received) if received else np.empty((0, self.bits // 32), np.uint32)

    def _go_back(self) -> None:
        self._flight = max(self._most, (self._sent - self._kept) // 2)
        self._sent = self._kept

    def _take(self, frame: Frame, received: list[Words]) -> tuple[bool, bool]:
        """Learn from a frame: whether the board lacks words, and whether we lack some of its."""
        acknowledged = _nearest(self._kept, frame.acknowledged)
        if self._kept <= acknowledged <= self._end:
            self._kept = acknowledged
            self._sent = max(self._sent, acknowledged)
            self._limit = max(self._limit, _nearest(acknowledged, frame.limit))
        first = _nearest(self._expected, frame.position)
        fresh = self._expected - first
        if 0 <= fresh < len(frame.words):
            received.append(frame.words[fresh:])
            self._expected = first + len(frame.words)
        return frame.kind == Kind.AGAIN, fresh < 0

    def _frame(self, kind: Kind, words: Words | None = None, last: Bools | None = None) -> bytes:
        """The bytes of a frame from the next word on."""
        self._told = self._expected
        self._allowed = max(self._allowed, self._expected + self._window)
        frame = Frame(
            kind=kind,
            session=self._session,
            position=self._sent % _TURN,
            acknowledged=self._expected % _TURN,
            limit=self._allowed % _TURN,
            words=np.empty((0, self.bits // 32), np.uint32) if words is None else words,
            last=np.empty(0, np.bool_) if last is None else last,
            link=self.bits,
        )
        return encode(frame)


def _nearest(reference: int, position: int) -> int:
    """The count of words next to `reference` that has this position."""
    half = _TURN // 2
    return reference + (position - reference + half) % _TURN - half
