"""The program of the microcoded engine."""

from tmesh.config import CoreConfig
from tmesh.errors import InvalidInput

from tmesh_hw.engine.microcode.commands import Commands
from tmesh_hw.engine.microcode.meetings import Meetings
from tmesh_hw.engine.microcode.rounds import Rounds
from tmesh_hw.engine.microcode.spectra import Spectra


class Program(Commands, Meetings, Rounds, Spectra):
    """The program of a configuration: the packets of `tmesh.packets` one after another, with the
    integers of `tmesh.golden.engine`.

    Raises ``ValueError`` for another format than Q(2, 14): the digits of a root, the shifts of a
    spectrum and the least weight are of that one.
    """

    #: Fraction bits.
    F = 14

    def __init__(self, config: CoreConfig) -> None:
        if config.f != self.F:
            raise InvalidInput(f"f must be {self.F} in microcode, not {config.f!r}")
        super().__init__(config)
        for part in (
            self._start,
            self._receive,
            self._reply,
            self._gather,
            self._states,
            self._write_operator,
            self._gossip,
            self._vector,
            self._row,
            self._renormalise,
            self._round,
            self._quotient,
            self._settle,
            self._update,
            self._interfere,
            self._evolve,
            self._observe,
            self._entropy,
        ):
            part()

    def words(self) -> list[int]:
        """Its words."""
        return self._p.words()
