"""Bad frames against both ends of the link: `python -m tmesh_sim.fuzz` tries a million each way."""

import argparse
import dataclasses
import sys
import zlib

import numpy as np
from cobs import cobs
from tmesh import frames
from tmesh.entry import guarded
from tmesh.frames import Kind
from tmesh.link import Frame, Link, decode, encode
from tmesh_hw.export import simulation_verilog

from tmesh_sim.board import VerilatedBytes
from tmesh_sim.echo import Echo
from tmesh_sim.faults import echoed, packets

#: Bits of a word of the board that is tried.
WORD = 64

#: Bad frames before a good one, there and back; the board answers every bad one.
SHARES = 40, 1


def damaged(rng: np.random.Generator, wire: bytes) -> bytes:
    """A frame with bits or bytes changed, lost, repeated or added, or cut in two."""
    data = bytearray(wire)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(data) + 1))
        match int(rng.integers(5)):
            case 0:
                data[at : at + 1] = bytes(b ^ 1 << rng.integers(8) for b in data[at : at + 1])
            case 1:
                del data[at : at + int(rng.integers(1, 20))]
            case 2:
                data[at:at] = rng.bytes(int(rng.integers(1, 8)))
            case 3:
                data[at:at] = data[: int(rng.integers(1, 30))]
            case _:
                data[at : at + 1] = b"\0"
    return bytes(data)


def foreign(rng: np.random.Generator, frame: Frame) -> bytes:
    """A whole frame that means nothing to a receiver that expects `frame`: of another session, of
    other words, of words from before or from beyond, with an acknowledgement of words that were
    never sent, or of an unknown kind."""
    some = rng.integers(0, 1 << 32, (int(rng.integers(1, 4)), WORD // 32), dtype=np.uint32)
    bad = dataclasses.replace(
        frame, kind=Kind.DATA, words=some, last=np.ones(len(some), dtype=np.bool_)
    )
    far = int(rng.integers(1000, 20_000))
    match int(rng.integers(6)):
        case 0:
            session = frame.session ^ int(rng.integers(1, 1 << 16))
            bad = dataclasses.replace(bad, session=session)
        case 1:
            bad = dataclasses.replace(bad, position=(frame.position + far) % (1 << 16))
        case 2:
            position = (frame.position - len(some) - far) % (1 << 16)
            bad = dataclasses.replace(bad, position=position)
        case 3:
            ahead = (frame.acknowledged + 10_000 + far) % (1 << 16)
            bad = dataclasses.replace(bad, words=some[:0], last=bad.last[:0], acknowledged=ahead)
        case 4:
            return _of_no_kind(bad)
        case _:
            bad = dataclasses.replace(bad, words=np.repeat(some, 2, axis=1), link=2 * WORD)
    return encode(bad)[:-1]


def _of_no_kind(frame: Frame) -> bytes:
    """A whole frame of a kind that there is not; `encode` makes none."""
    content = bytearray(cobs.decode(encode(frame)[:-1]))[: -frames.CRC_BYTES]
    content[0] |= len(Kind)
    check = zlib.crc32(content).to_bytes(frames.CRC_BYTES, "little")
    return bytes(cobs.encode(bytes(content) + check))


class Noise:
    """A `tmesh.link.Transport` to a simulated board: every frame comes whole, but after bad ones
    made of it, and of nothing; `inputs` counts them, there and back."""

    def __init__(self, board: VerilatedBytes, seed: int) -> None:
        self._board = board
        self._rng = np.random.default_rng(seed)
        self._rest = b""
        self.inputs = [0, 0]

    def write(self, data: bytes) -> None:
        """See `tmesh.link.Transport`."""
        data = self._among_bad(data, 0)
        came = b""
        while data:
            taken, more = self._board.clock(data, 4 * len(data))
            data, came = data[taken:], came + more
        self._rest += came

    def read(self) -> bytes:
        """See `tmesh.link.Transport`."""
        _, came = self._board.clock(b"")
        whole, end, self._rest = (self._rest + came).rpartition(b"\0")
        return self._among_bad(whole + end, 1)

    def close(self) -> None:
        """Nothing to let go of."""

    def _among_bad(self, data: bytes, way: int) -> bytes:
        rng, result = self._rng, b""
        for wire in filter(None, data.split(b"\0")):
            frame = decode(wire, WORD)
            if frame is None:
                raise AssertionError("a frame that was sent is damaged")
            for kind in rng.integers(0, 10, SHARES[way]).tolist():
                if kind == 0:
                    bad = rng.bytes(int(rng.integers(1, 60)))
                elif kind == 1:
                    bad = foreign(rng, frame)
                else:
                    bad = damaged(rng, wire)
                result += bad + b"\0"
                self.inputs[way] += 1 + bad.count(b"\0")
            result += wire + b"\0"
        return result


def fuzz(inputs: int, seed: int) -> tuple[list[int], int, int]:
    """Carry words over `Noise` until either end has received `inputs` bad frames.

    Returns the bad frames of each end, the words sent, and how many of these came back wrong.
    """
    rng = np.random.default_rng(seed)
    board = VerilatedBytes(simulation_verilog(Echo(link=WORD, depth=32)))
    noise = Noise(board, seed)
    end = Link("echo", lambda: noise, WORD, 0.2, 1e-3, lambda: board.cycles / 100e6)
    end.connect()
    done = wrong = 0
    while min(noise.inputs) < inputs:
        words, last = packets(rng, WORD, 50)
        replies = end.exchange(words, last, len(words))
        wrong += int(np.count_nonzero(replies != echoed(words, last)))
        done += len(words)
    board.close()
    return noise.inputs, done, wrong


def main() -> None:
    """Print what was tried."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    (there, back), words, wrong = fuzz(chosen.inputs, chosen.seed)
    print(
        f"bad frames to the board {there:,}, to the host {back:,}; words {words:,}, wrong {wrong}"
    )


if __name__ == "__main__":
    sys.exit(guarded(main))
