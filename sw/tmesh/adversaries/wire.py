"""Byzantine agents whose messages every receiver rejects: they carry no valid signature."""

import dataclasses

from tmesh.adversaries.byzantine import Byzantine
from tmesh.agent import Effect, Send
from tmesh.agent.message import Bundle, decode
from tmesh.agent.opinion import Opinions, tree
from tmesh.agent.statement import Statement


class Forge(Byzantine):
    """Adds a statement in the name of each receiver to what it sends, signed with its own key."""

    name = "forge"

    def filter(self, effects: list[Effect]) -> list[Effect]:
        return [self._forged(one) if isinstance(one, Send) else one for one in effects]

    def _forged(self, effect: Send) -> Send:
        message = decode(effect.message)
        if not isinstance(message, Bundle) or not message.statements:
            return effect
        like = message.statements[0]
        z = tree(len(like.opinions.z) + 1).certain(self.wanted(like), self.rules)
        forged = Statement(like.place, effect.to, 0, 0, b"", Opinions.opening(z))
        forged = forged.signed(self._context.signer)
        message = dataclasses.replace(message, statements=(*message.statements, forged))
        return Send(effect.to, message.encoded)


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
