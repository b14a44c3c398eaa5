"""Byzantine agents that lie when they vote."""

import dataclasses

from tmesh.adversaries.byzantine import Rewriting
from tmesh.agent.message import Bundle
from tmesh.finality import Act, Signed


class DoubleSpend(Rewriting):
    """Spends a token twice: votes for one outcome to half of its neighbours, for the next one to
    the rest."""

    name = "double-spend"

    def rewrite(self, bundle: Bundle, to: int) -> Bundle:
        if to % 2:
            return bundle
        votes = [
            self._other(bundle.decision, one) if one.author == self.me else one
            for one in bundle.votes
        ]
        return dataclasses.replace(bundle, votes=tuple(votes))

    def _other(self, name: bytes, signed: Signed) -> Signed:
        decision, vote = self.deliberations[name].decision, signed.vote
        if vote.act == Act.ENTER:
            return signed
        other = vote._replace(outcome=(vote.outcome + 1) % len(decision.labels))
        return Signed(self.me, other, decision.sign(self._context.signer, other))
