"""Byzantine agents that bend the rules: no fraud proof shows them."""

from collections.abc import Sequence
from typing import Any

from tmesh.adversaries.byzantine import Byzantine
from tmesh.agent import Effect, Send, SetTimer


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
