"""Byzantine agents that bend the rules about time: no fraud proof shows them."""

from collections.abc import Sequence
from typing import Any

from tmesh.adversaries.byzantine import Byzantine, Listen
from tmesh.agent import Effect, Send, SetTimer
from tmesh.finality import Decision


class Mute(Byzantine):
    """Never sends anything."""

    name = "mute"

    def filter(self, effects: list[Effect]) -> list[Effect]:
        return [one for one in effects if not isinstance(one, Send)]


class Crash(Byzantine):
    """Keeps the rules for two rounds, and then stops."""

    name = "crash"

    def filter(self, effects: list[Effect]) -> list[Effect]:
        if all(one.round < 3 for one in self.deliberations.values()):
            return effects
        return [one for one in effects if not isinstance(one, Send)]


class EvidenceLiar(Byzantine):
    """States false evidence as strongly as it may, and then keeps all rules."""

    name = "evidence"

    def believe(self, decision: Decision, evidence: Sequence[float]) -> Sequence[float]:
        wanted = self.plot.wanted.get(decision.id, 0)
        return [float(outcome == wanted) for outcome in range(len(decision.labels))]


class Deaf(EvidenceLiar):
    """Claims that honest neighbours are silent: hears its fellows and one honest agent."""

    name = "deaf"

    def listen(self, before: tuple[int, ...], rule: Listen) -> list[int] | None:
        heard = rule(before)
        if heard is None:
            return None
        fellows = [one for one in heard if self.fellow(one)]
        honest = [one for one in heard if not self.fellow(one)]
        return sorted(fellows + honest[:1])


class Slow(EvidenceLiar):
    """Holds each message back for three quarters of the time that others wait for it."""

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
