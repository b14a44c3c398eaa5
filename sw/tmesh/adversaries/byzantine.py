"""The base of Byzantine agents, and what those of one run share."""

import dataclasses
import random
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from tmesh.agent import Agent, Effect
from tmesh.agent.agent import Evidence, undecided
from tmesh.agent.deliberation import Deliberation
from tmesh.agent.opinion import Opinions, tree
from tmesh.agent.records import Record
from tmesh.agent.stage import Stage
from tmesh.agent.statement import Place, Statement
from tmesh.errors import InvalidInput
from tmesh.finality import Decision
from tmesh.genesis import Genesis
from tmesh.ledger import Signer

#: How an agent makes the list of its next statement.
Listen = Callable[[tuple[int, ...]], list[int] | None]


@dataclasses.dataclass
class Plot:
    """What the Byzantine agents of one run know and share.

    agents: all of them, as the bits of a number. wanted: the outcome that each decision, by its id,
    shall have: one that fewer honest agents prefer. rng: their source of randomness.
    """

    agents: int
    wanted: dict[bytes, int]
    rng: random.Random


class Byzantine(Agent):
    """An agent that breaks rules, or bends them. The base class keeps them all.

    A kind is a subclass with a `name`. `lie` changes what it states, `filter` its effects before
    the host sees them, `believe` its evidence. It sees `plot`, and everything that it received.
    """

    name: ClassVar[str] = ""
    kinds: ClassVar[dict[str, type["Byzantine"]]] = {}

    def __init_subclass__(cls) -> None:
        if cls.name:
            Byzantine.kinds[cls.name] = cls

    def __init__(
        self, genesis: Genesis, signer: Signer, plot: Plot, evidence: Evidence = undecided
    ) -> None:
        # Its own memo: what it takes for checked, it need not have checked.
        super().__init__(genesis, signer, evidence, self_check=False)
        self.plot, self.rules = plot, genesis.rules

    def lie(self, statement: Statement, stage: Stage) -> Statement:
        """The statement that it signs instead of a true one."""
        return statement

    def listen(self, before: tuple[int, ...], rule: Listen) -> list[int] | None:
        """The list of its next statement, given the last one; None to wait."""
        return rule(before)

    def filter(self, effects: list[Effect]) -> list[Effect]:
        """The effects that the host carries out."""
        return effects

    def believe(self, decision: Decision, evidence: Sequence[float]) -> Sequence[float]:
        """The evidence that it states, where it has some."""
        return evidence

    def open(self, decision: Decision, evidence: Sequence[float] | None = None) -> list[Effect]:
        some = self._evidence(decision) if evidence is None else evidence
        return super().open(decision, self.believe(decision, some))

    def certain(self, statement: Statement, outcome: int) -> Statement:
        """The statement with settled opinions for an outcome."""
        z = tree(len(statement.opinions.z) + 1).certain(outcome, self.rules)
        streak = (self.rules.beta,) * len(z)
        opinions = Opinions(z, streak, (1 << len(z)) - 1)
        return dataclasses.replace(statement, opinions=opinions)

    def wanted(self, statement: Statement) -> int:
        """The outcome that the plot wants."""
        return self.plot.wanted.get(statement.place.decision, 0)

    def fellow(self, agent: int) -> bool:
        """Whether an agent belongs to the plot."""
        return self.plot.agents >> agent & 1 == 1

    def _deliberation(
        self, decision: Decision, z: tuple[int, ...], records: list[Record]
    ) -> Deliberation:
        return _Lying(self, self._context, decision, z, records)

    def _done(self) -> list[Effect]:
        return self.filter(super()._done())


class _Lying(Deliberation):
    """A deliberation whose stages are the agent's."""

    def __init__(self, liar: Byzantine, *arguments: Any) -> None:
        self._liar = liar
        super().__init__(*arguments)

    def _stage(self, place: Place) -> Stage:
        return _LyingStage(self._liar, *self._parts(place))


class _LyingStage(Stage):
    """A stage whose lists and statements go through the agent's `listen` and `lie`."""

    def __init__(self, liar: Byzantine, *arguments: Any) -> None:
        self._liar = liar
        super().__init__(*arguments)

    def state(self, statement: Statement) -> None:
        super().state(self._liar.lie(statement, self))

    def listen(self, before: tuple[int, ...]) -> list[int] | None:
        return self._liar.listen(before, super().listen)


def kind(name: str) -> type[Byzantine]:
    """A kind by its name. Raises `InvalidInput` for a name that no kind has."""
    if name not in Byzantine.kinds:
        raise InvalidInput(f"adversary: {name!r} is none of {', '.join(Byzantine.kinds)}")
    return Byzantine.kinds[name]
