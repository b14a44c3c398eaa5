"""The boards that bitstreams are made for."""

import dataclasses
from collections.abc import Callable
from typing import Any

from amaranth import Elaboratable, Module
from amaranth.lib import io
from tmesh import frames
from tmesh.config import CONFIGS, CoreConfig

from tmesh_hw.boards.clock import add_clock
from tmesh_hw.link import SerialEngine


@dataclasses.dataclass(frozen=True)
class Board:
    """A board, its clock and its configuration, which has the same name.

    title: its maker's name. platform: makes the Amaranth platform; amaranth-boards is installed
    only where bitstreams are made. flash: the command that takes a bitstream. pins: column and row
    near which a device that is filled has its pins, for the floorplan. depth: words that the link
    keeps each way.
    """

    name: str
    title: str
    device: str
    platform: Callable[[], Any]
    flash: str
    pins: tuple[int, int] | None = None
    depth: int = 512
    baud: int = frames.BAUD

    @property
    def config(self) -> CoreConfig:
        """The core on it."""
        return CONFIGS[self.name]

    @property
    def divisor(self) -> int:
        """Clocks of a bit on the serial line."""
        return round(self.config.clock_hz / self.baud)


class BoardTop(Elaboratable):
    """The engine behind the serial line of a board's USB bridge, under a clock of the board's own.

    digest: identifies the build, 128 bits.
    """

    def __init__(self, board: Board, digest: int) -> None:
        self.board, self.digest = board, digest

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        board = self.board
        reset = add_clock(m, platform, board.config.clock_hz)
        m.submodules.engine = engine = SerialEngine(
            config=board.config, divisor=board.divisor, depth=board.depth, digest=self.digest
        )
        port = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer("i", port.rx)
        m.submodules.tx = tx = io.Buffer("o", port.tx)
        m.d.comb += [engine.rx.eq(rx.i), tx.o.eq(engine.tx), engine.reset.eq(reset)]
        return m


def _icebreaker() -> Any:
    from amaranth_boards.icebreaker import ICEBreakerPlatform

    return ICEBreakerPlatform()


def _ulx3s(size: str) -> Callable[[], Any]:
    def platform() -> Any:
        from amaranth_boards import ulx3s

        return getattr(ulx3s, f"ULX3S_{size}_Platform")()

    return platform


#: By name.
BOARDS = {
    board.name: board
    for board in (
        Board("icebreaker", "iCEBreaker", "iCE40UP5K", _icebreaker, "iceprog", depth=128),
        Board("ulx3s-25f", "ULX3S 25F", "LFE5U-25F", _ulx3s("25F"), "openFPGALoader -b ulx3s -f"),
        Board(
            "ulx3s-85f",
            "ULX3S 85F",
            "LFE5U-85F",
            _ulx3s("85F"),
            "openFPGALoader -b ulx3s -f",
            pins=(0, 72),
        ),
    )
}
