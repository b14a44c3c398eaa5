"""Words that pass the link, counted from the last reset.

Both queues keep `depth` words in a block memory. A word that is written, or committed, arrives two
cycles later; then one leaves every other cycle.
"""

import operator
from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from tmesh.errors import InvalidInput
from tmesh.frames import POSITION_BITS

from tmesh_hw.engine.words import word_layout

#: Words of the deepest queue: positions must tell words before from words behind.
DEEPEST = 1 << (POSITION_BITS - 2)


def _check_depth(depth: int) -> int:
    if not 2 <= operator.index(depth) <= DEEPEST or depth & (depth - 1):
        raise InvalidInput(f"depth must be a power of two from 2 to {DEEPEST}, not {depth!r}")
    return depth


class CommitQueue(wiring.Component):
    """Words that leave once they are committed.

    Parameters
    ----------
    link: bits of a word. depth: words, a power of two.

    Members
    -------
    i: stream of words; one every other cycle, and not ready when full
    o: stream of words
    commit, discard: written words stay, or are forgotten, with one that is written in this cycle;
       no word is written when the words before it are committed
    clear: forget all, and count from 0
    written: position of the next word to be written
    committed: of the first that is not committed
    limit: of the first without room
    """

    def __init__(self, *, link: int, depth: int) -> None:
        self.link, self.depth = link, _check_depth(depth)
        word = stream.Signature(word_layout(link))
        super().__init__(
            {
                "i": In(word),
                "o": Out(word),
                "commit": In(1),
                "discard": In(1),
                "clear": In(1),
                "written": Out(POSITION_BITS),
                "committed": Out(POSITION_BITS),
                "limit": Out(POSITION_BITS),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        memory = Memory(shape=word_layout(self.link), depth=self.depth, init=[])
        m.submodules.memory = memory
        write, read = memory.write_port(), memory.read_port()
        taken, following, enters = Signal(POSITION_BITS), Signal(POSITION_BITS), Signal()
        takes = self.o.valid & self.o.ready
        room = Signal(init=1)
        m.d.comb += [
            self.limit.eq(taken + self.depth),
            self.i.ready.eq(room & ~write.en),
            enters.eq(self.i.valid & self.i.ready),
            following.eq(taken + takes),
            read.addr.eq(following),
            self.o.payload.eq(read.data),
        ]
        m.d.sync += [
            # It holds at most `depth`, a power of two; seen once a word is written.
            room.eq((self.written ^ taken)[: self.depth.bit_length()] != self.depth),
            # Written a cycle later, which is before it can be committed.
            write.en.eq(enters),
            write.addr.eq(self.written),
            write.data.eq(self.i.payload),
            self.written.eq(self.written + enters),
            taken.eq(following),
            self.o.valid.eq((taken != self.committed) & ~takes),
        ]
        with m.If(self.commit):
            m.d.sync += self.committed.eq(self.written)
        with m.If(self.discard):
            m.d.sync += self.written.eq(self.committed)
        with m.If(self.clear):
            m.d.sync += [self.written.eq(0), self.committed.eq(0), taken.eq(0), self.o.valid.eq(0)]
        return m


class ReplayQueue(wiring.Component):
    """Words that stay until they are acknowledged, and can be sent again.

    Parameters
    ----------
    link: bits of a word. depth: words, a power of two.

    Members
    -------
    i, o: streams of words
    update: take notice of `acknowledged`, the position of the first word that must be kept, and of
       `rewind`: go back to it. A position that is not one of a word kept, or the next, is ignored.
       Nothing is taken in this cycle, and no word comes in the next four, or five if it goes back,
       after which all holds.
    clear: forget all, and count from 0
    position: of the word at `o`, or the next to come
    """

    def __init__(self, *, link: int, depth: int) -> None:
        self.link, self.depth = link, _check_depth(depth)
        word = stream.Signature(word_layout(link))
        super().__init__(
            {
                "i": In(word),
                "o": Out(word),
                "update": In(1),
                "acknowledged": In(POSITION_BITS),
                "rewind": In(1),
                "clear": In(1),
                "position": Out(POSITION_BITS),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        memory = Memory(shape=word_layout(self.link), depth=self.depth, init=[])
        m.submodules.memory = memory
        write, read = memory.write_port(), memory.read_port()
        written, kept = Signal(POSITION_BITS), Signal(POSITION_BITS)
        following, settle, back, apply = Signal(POSITION_BITS), Signal(3), Signal(), Signal()
        takes = self.o.valid & self.o.ready

        # After an update `settle` is a cycle that checks and keeps the acknowledged position, one
        # that counts again, and one that decides whether to go back. `ahead` are the words from the
        # first kept one to the acknowledged position, then to the next to be sent; `whole` the
        # words to the next to be written.
        ahead, whole, beyond = Signal(POSITION_BITS), Signal(POSITION_BITS), Signal()
        m.d.comb += [
            self.i.ready.eq((written ^ kept)[: self.depth.bit_length()] != self.depth),
            write.en.eq(self.i.valid & self.i.ready),
            write.addr.eq(written),
            write.data.eq(self.i.payload),
            following.eq(Mux(apply, kept, self.position + takes)),
            read.addr.eq(following),
            self.o.payload.eq(read.data),
            beyond.eq(ahead > whole),
        ]
        m.d.sync += [
            written.eq(written + write.en),
            self.position.eq(following),
            self.o.valid.eq(
                (self.position != written) & ~(takes | self.update | settle.any() | apply)
            ),
            ahead.eq(Mux(self.update, self.acknowledged, self.position) - kept),
            whole.eq(written - kept),
            settle.eq(Cat(self.update, settle)),
            # An acknowledged word need not be sent, even if it has not been sent since a rewind.
            apply.eq(settle[2] & (back | beyond)),
        ]
        with m.If(self.update):
            m.d.sync += back.eq(self.rewind)
        with m.If(settle[0] & ~beyond):
            m.d.sync += kept.eq(kept + ahead)
        with m.If(self.clear):
            m.d.sync += [
                written.eq(0),
                kept.eq(0),
                self.position.eq(0),
                self.o.valid.eq(0),
                settle.eq(0),
                apply.eq(0),
            ]
        return m
