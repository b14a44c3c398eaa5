"""The base of Byzantine agents, and the plot of those of one run."""

import dataclasses
import hashlib
import importlib
import importlib.util
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from tmesh.agent import Agent, Effect, Memo, Send
from tmesh.agent.agent import Evidence, undecided
from tmesh.agent.coin import side
from tmesh.agent.deliberation import Deliberation
from tmesh.agent.message import Bundle, decode
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
    """Knowledge that the Byzantine agents of one run share.

    agents: all of them, as the bits of a number. wanted: the outcome that each decision, by its id,
    shall have: one that fewer honest agents prefer. rng: their source of randomness. memo: their
    results of checks.
    """

    agents: int
    wanted: dict[bytes, int]
    rng: random.Random
    memo: Memo = dataclasses.field(default_factory=Memo)


class Byzantine(Agent):
    """An agent that breaks rules, or bends them. The base class keeps them all.

    A kind is a subclass with a `name`. The round model uses a part of it: `lies` says in
    which rounds it lies, `believe` gives its evidence, from round `silent_from` on it sends no
    more (`staggered`: each of them a round later than the one before), and if it is `deaf` it hears
    only its fellows and one honest agent. In a run of messages `lie` also makes its false
    statement, and `filter` sees its effects before the host. A kind knows `plot` and everything
    that it received. As the leader of a coin it may withhold it, see `publishes`. Of agents that
    `launders`, each second one is `hidden`: it lies to its fellows alone.
    """

    name: ClassVar[str] = ""
    silent_from: ClassVar[int | None] = None
    staggered: ClassVar[bool] = False
    launders: ClassVar[bool] = False
    deaf: ClassVar[bool] = False
    kinds: ClassVar[dict[str, type["Byzantine"]]] = {}

    def __init_subclass__(cls) -> None:
        if cls.name:
            Byzantine.kinds[cls.name] = cls

    def __init__(
        self, genesis: Genesis, signer: Signer, plot: Plot, evidence: Evidence = undecided
    ) -> None:
        # Honest agents trust their memo, so it is another one.
        super().__init__(genesis, signer, evidence, self_check=False, memo=plot.memo)
        self.plot, self.rules = plot, genesis.rules

    @classmethod
    def lies(cls, count: int, amplified: bool, rank: int, gone: int) -> bool:
        """Whether its statement of round `count` is a lie. rank: its place among its fellows, of
        whom `gone` are excluded. amplified: whether it amplifies in this round."""
        return False

    @classmethod
    def claims(cls, z: int, certain: int) -> int:
        """The opinion that it states in a lie, where nobody checks. z: the true one; certain: that
        of an agent that is certain of the plot's outcome."""
        return z

    @classmethod
    def publishes(cls, favours: bool) -> bool:
        """Whether it states a coin that it leads, which falls for its outcome or not. Before
        a coin that it withholds, it falls silent."""
        return True

    @classmethod
    def believe(cls, evidence: Sequence[float], wanted: int) -> Sequence[float]:
        """The evidence that it states, where it has some, and the plot wants an outcome."""
        return evidence

    def lie(self, statement: Statement, stage: Stage) -> Statement:
        """The statement that it signs instead of a true one."""
        return statement

    def listen(self, before: tuple[int, ...], rule: Listen) -> list[int] | None:
        """The list of its next statement, given the last one; None to wait."""
        heard = rule(before)
        if heard is None or not self.deaf:
            return heard
        honest = [one for one in heard if not self.fellow(one)]
        return sorted([one for one in heard if self.fellow(one)] + honest[:1])

    def filter(self, effects: list[Effect]) -> list[Effect]:
        """The effects that the host carries out."""
        if not self._silent():
            return effects
        return [one for one in effects if not isinstance(one, Send)]

    def open(self, decision: Decision, evidence: Sequence[float] | None = None) -> list[Effect]:
        some = self._evidence(decision) if evidence is None else evidence
        return super().open(decision, self.believe(some, self.plot.wanted.get(decision.id, 0)))

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

    @property
    def rank(self) -> int:
        """The agent's place among its fellows."""
        return self._rank(self.me)

    @property
    def hidden(self) -> bool:
        """Whether it shows itself to its fellows alone."""
        return self.hides(self.me)

    def hides(self, agent: int) -> bool:
        """Whether an agent is a fellow that shows itself to its fellows alone."""
        return self.launders and self.fellow(agent) and self._rank(agent) % 2 == 1

    def _rank(self, agent: int) -> int:
        return sum(self.plot.agents >> one & 1 for one in range(agent))

    def _silent(self) -> bool:
        some = list(self.deliberations.values())
        if self.silent_from is not None:
            last = self.silent_from + self.staggered * self.rank
            return all(one.round > last for one in some)
        return any(self._withholds(one.stage) for one in some if one.stage is not None)

    def _withholds(self, stage: Stage) -> bool:
        """Whether the stage's coin would be in its last statement, and it does not publish it."""
        coin = stage.coin
        if coin.leader != self.me or stage.round <= coin.stated:
            return False
        falls = side(coin.sign(self._context.signer), 0) < 0
        return not self.publishes(int(falls) == self.plot.wanted.get(stage.decision.id, 0))

    def _done(self) -> list[Effect]:
        return self.filter(super()._done())


class Rewriting(Byzantine):
    """Changes bundles on their way out."""

    def rewrite(self, bundle: Bundle, to: int) -> Bundle:
        """The bundle that one neighbour gets instead."""
        return bundle

    def filter(self, effects: list[Effect]) -> list[Effect]:
        return [self._rewritten(one) if isinstance(one, Send) else one for one in effects]

    def _rewritten(self, effect: Send) -> Send:
        message = decode(effect.message)
        if not isinstance(message, Bundle):
            return effect
        return Send(effect.to, self.rewrite(message, effect.to).encoded)


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
        liar, plot = self._liar, self._liar.plot
        gone = (liar.excluded & plot.agents).bit_count()
        amplified = bool(statement.opinions.amplified)
        if liar.hidden or liar.lies(statement.round, amplified, liar.rank, gone):
            statement = liar.lie(statement, self)
        super().state(statement)
        last = self.history.last(liar.me)
        if liar.hidden and last is not None:
            # Its fellows use the statement as if they had checked it.
            plot.memo.entries[last.statement.id] = last

    def listen(self, before: tuple[int, ...]) -> list[int] | None:
        return self._liar.listen(before, super().listen)


def kind(name: str) -> type[Byzantine]:
    """A kind by its name, or a class elsewhere by `module:Class` or `path/file.py:Class`.

    Raises `InvalidInput` for a name that no kind has.
    """
    if ":" in name:
        module, _, attribute = name.partition(":")
        try:
            found = getattr(_module(module), attribute)
        except (Exception, SystemExit) as error:  # of a user's own module
            raise InvalidInput(f"byzantine: {name}: {type(error).__name__}: {error}") from None
        if not (isinstance(found, type) and issubclass(found, Byzantine)):
            raise InvalidInput(f"byzantine: {name} is no Byzantine")
        return found
    if name not in Byzantine.kinds:
        raise InvalidInput(f"byzantine: {name!r} is none of {', '.join(names())}")
    return Byzantine.kinds[name]


def _module(name: str) -> ModuleType:
    """A module by its name or its file; a file is executed once."""
    if not name.endswith(".py"):
        return importlib.import_module(name)
    path = Path(name).resolve()
    alias = f"tmesh.adversaries.file_{hashlib.sha256(bytes(path)).hexdigest()[:16]}"
    if alias not in sys.modules:
        spec = importlib.util.spec_from_file_location(alias, path)
        if spec is None or spec.loader is None:
            raise InvalidInput("not a Python file")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[alias] = module
    return sys.modules[alias]


def names() -> list[str]:
    """The names of all kinds that are built in."""
    return sorted(Byzantine.kinds)
