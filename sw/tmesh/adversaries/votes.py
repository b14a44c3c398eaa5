"""Byzantine agents that lie when they vote."""

import dataclasses

from tmesh.adversaries.byzantine import Byzantine
from tmesh.agent import Effect, Send
from tmesh.agent.message import Bundle, decode
from tmesh.finality import Act, Signed


class DoubleSpend(Byzantine):
    """Spends a token twice: votes for one outcome to half of its neighbours, for the next one to
    the rest."""

    name = "double-spend"

    def filter(self, effects: list[Effect]) -> list[Effect]:
        return [self._twice(one) if isinstance(one, Send) else one for one in effects]

    def _twice(self, effect: Send) -> Send:
        message = decode(effect.message)
        if not isinstance(message, Bundle) or effect.to % 2:
            return effect
        votes = tuple(
            self._other(message.decision, one) if one.author == self.me else one
            for one in message.votes
        )
        return Send(effect.to, dataclasses.replace(message, votes=votes).encoded)

    def _other(self, name: bytes, signed: Signed) -> Signed:
        decision, vote = self.deliberations[name].decision, signed.vote
        if vote.act == Act.ENTER:
            return signed
        other = vote._replace(outcome=(vote.outcome + 1) % len(decision.labels))
        return Signed(self.me, other, decision.sign(self._context.signer, other))
