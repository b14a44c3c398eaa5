"""Byzantine agents whose messages every receiver rejects: they carry no valid signature."""

import dataclasses

from tmesh.adversaries.byzantine import Byzantine, Rewriting
from tmesh.agent import Effect, Send
from tmesh.agent.message import Bundle
from tmesh.agent.opinion import Opinions, tree
from tmesh.agent.statement import Statement


class Forge(Rewriting):
    """Adds a statement in the name of each receiver to what it sends, signed with its own key."""

    name = "forge"

    def rewrite(self, bundle: Bundle, to: int) -> Bundle:
        if not bundle.statements:
            return bundle
        like = bundle.statements[0]
        z = tree(len(like.opinions.z) + 1).certain(self.wanted(like), self.rules)
        forged = Statement(like.place, to, 0, 0, b"", Opinions.opening(z))
        forged = forged.signed(self._context.signer)
        return dataclasses.replace(bundle, statements=(*bundle.statements, forged))


class Replay(Byzantine):
    """Sends each message that it receives to another neighbour, once more."""

    name = "replay"

    def receive(self, message: bytes) -> list[Effect]:
        effects = super().receive(message)
        targets = sorted({one.to for one in effects if isinstance(one, Send)})
        return [*effects, Send(self.plot.rng.choice(targets), message)] if targets else effects


class Garbage(Byzantine):
    """Sends random bytes beside each message."""

    name = "garbage"

    def filter(self, effects: list[Effect]) -> list[Effect]:
        noise: list[Effect] = [
            Send(one.to, self.plot.rng.randbytes(40)) for one in effects if isinstance(one, Send)
        ]
        return effects + noise
