"""Byzantine agents that bend the rules: no fraud proof shows them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from tmesh.adversaries.byzantine import Byzantine
from tmesh.agent import Effect, Send, SetTimer, Statement
from tmesh.agent.message import Request, decode
from tmesh.agent.opinion import Opinions, tree
from tmesh.agent.stage import Stage
from tmesh.errors import InvalidInput


class Mute(Byzantine):
    """Never sends anything."""

    name = "mute"
    silent_from = 0

    def filter(self, effects: list[Effect]) -> list[Effect]:
        return [one for one in effects if not isinstance(one, Send)]


class Crash(Byzantine):
    """Keeps the rules for two rounds, and then sends nothing."""

    name = "crash"
    silent_from = 2


class Dwindle(Byzantine):
    """Keeps the rules for two rounds; then they fall silent one after another, a round apart."""

    name = "dwindle"
    silent_from = 2
    staggered = True


class Nap(Byzantine):
    """Silent from its third round on for thirty beats, and then back."""

    name = "nap"
    silent_from = 2

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._beats = 0

    def filter(self, effects: list[Effect]) -> list[Effect]:
        return super().filter(effects) if self._beats < 30 else effects

    def expire(self, timer: tuple[bytes, int]) -> list[Effect]:
        self._beats += timer[1] == 0 and any(one.round > 2 for one in self.deliberations.values())
        return super().expire(timer)


class EvidenceLiar(Byzantine):
    """States false evidence as strongly as it may, and then keeps all rules."""

    name = "evidence"

    @classmethod
    def believe(cls, evidence: Sequence[float], wanted: int) -> Sequence[float]:
        return [float(outcome == wanted) for outcome in range(len(evidence))]


class Deaf(EvidenceLiar):
    """Claims that honest neighbours are silent: hears its fellows and one honest agent."""

    name = "deaf"
    deaf = True


class Withhold(Byzantine):
    """Falls silent before it would state a coin."""

    name = "withhold"

    @classmethod
    def publishes(cls, favours: bool) -> bool:
        return False


class Bias(Byzantine):
    """Falls silent before it would state a coin that falls against its outcome."""

    name = "bias"

    @classmethod
    def publishes(cls, favours: bool) -> bool:
        return favours


class Launder(Byzantine):
    """Half of them state their outcome to the others alone, against all rules. The others cite
    that, keep the rules, and refuse to show what stands behind it. Level `sampled` makes it
    possible."""

    name = "launder"
    launders = True

    @classmethod
    def claims(cls, z: int, certain: int) -> int:
        return certain

    def lie(self, statement: Statement, stage: Stage) -> Statement:
        if not statement.round:
            return statement
        z = tree(len(statement.opinions.z) + 1).certain(self.wanted(statement), self.rules)
        opinions = Opinions(z, (0,) * len(z), statement.opinions.amplified)
        return dataclasses.replace(statement, opinions=opinions)

    def receive(self, message: bytes) -> list[Effect]:
        try:
            request = decode(message)
        except InvalidInput:
            return super().receive(message)
        if isinstance(request, Request) and not self.fellow(request.sender):
            doubts = tuple(one for one in request.doubts if not self.hides(one[0]))
            message = dataclasses.replace(request, doubts=doubts).encoded
        return super().receive(message)

    def filter(self, effects: list[Effect]) -> list[Effect]:
        if not self.hidden:
            return super().filter(effects)
        return [one for one in effects if not isinstance(one, Send) or self.fellow(one.to)]


class Slow(EvidenceLiar):
    """Holds each message back for three quarters of the grace that others give in a round."""

    name = "slow"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._held: dict[int, list[Effect]] = {}

    def filter(self, effects: list[Effect]) -> list[Effect]:
        held: list[Effect] = [one for one in effects if isinstance(one, Send)]
        if not held:
            return effects
        number = len(self._held)
        self._held[number] = held
        seconds = 0.75 * self.rules.beat * self.rules.grace
        rest = [one for one in effects if not isinstance(one, Send)]
        return [*rest, SetTimer(seconds, (_SLOW, number))]

    def expire(self, timer: tuple[bytes, int]) -> list[Effect]:
        name, number = timer
        return self._held.get(number, []) if name == _SLOW else super().expire(timer)


_SLOW = b"slow"
