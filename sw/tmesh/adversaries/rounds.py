"""Liars. A new one is a class with a name and what it says; a scenario file names it.

They follow the protocol in all but what they say, know every state, and may tell each listener
something else. `tmesh.swarm` gives them a `View` of many messages at once.
"""

import dataclasses
import importlib
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np

from tmesh.errors import InvalidInput
from tmesh.golden.reference import FloatArray
from tmesh.numbers import BoolArray, IntArray


@dataclasses.dataclass(frozen=True)
class View:
    """What liars know when they are asked, m messages at once.

    senders, receivers: agents (m,). honest: what the senders would truly say (m, 3), and `first`,
    what they said at the start. states: of all agents (n, 3), and which of them lie (n,). camps:
    the side, ±1 along z, that the most honest agents of a sender's swarm started on (m,). swarms:
    the swarm of each agent (n,), where several run at once. round: so many have gone by. coin: how
    far the means of the receivers will be moved (m,), NaN where liars cannot know it.
    """

    senders: IntArray
    receivers: IntArray
    honest: FloatArray
    first: FloatArray
    states: FloatArray
    lying: BoolArray
    camps: FloatArray
    swarms: IntArray
    round: float
    coin: FloatArray
    rng: np.random.Generator

    @cached_property
    def mean(self) -> FloatArray:
        """Mean state of the honest agents in each sender's swarm, (m, 3)."""
        honest = ~self.lying
        count = np.bincount(self.swarms[honest], minlength=int(self.swarms.max()) + 1)
        sums = [
            np.bincount(self.swarms[honest], self.states[honest, i], len(count)) for i in range(3)
        ]
        means = np.stack(sums, axis=1) / np.maximum(count, 1)[:, None]
        return np.asarray(means[self.swarms[self.senders]])

    @cached_property
    def share(self) -> FloatArray:
        """Share of liars in each sender's swarm, (m,)."""
        return np.asarray(
            (np.bincount(self.swarms, self.lying) / np.bincount(self.swarms))[
                self.swarms[self.senders]
            ]
        )

    def along_z(self, z: FloatArray | float) -> FloatArray:
        """Vectors (m, 3) with these z."""
        r = np.zeros((len(self.senders), 3))
        r[:, 2] = z
        return r


@dataclasses.dataclass(frozen=True)
class Poll:
    """What liars know when they are asked for their votes, m times at once.

    listeners: who asks (m,), in `epoch` (m,), and of which epoch `about` (m,) the votes are.
    hidden: outcomes (m, outcomes) that the liars could lock in it, and the honest alone could not.
    first: whether a listener is the first of the honest agents who attested an outcome, (m,).
    """

    listeners: IntArray
    epoch: IntArray
    about: IntArray
    hidden: BoolArray
    first: BoolArray

    @cached_property
    def nothing(self) -> BoolArray:
        """No votes (m, 2, outcomes): attestations and commits."""
        return np.zeros((len(self.listeners), 2, self.hidden.shape[1]), dtype=np.bool_)


class Adversary:
    """One kind of liar.

    forges: signs in another agent's name. replays: sends what another agent has signed. held: how
    long it holds its messages back, in mean round trips.
    """

    name: ClassVar[str] = ""
    forges: ClassVar[bool] = False
    replays: ClassVar[bool] = False
    held: ClassVar[float] = 0.0
    kinds: ClassVar[dict[str, type["Adversary"]]] = {}

    def __init_subclass__(cls) -> None:
        if cls.name:
            Adversary.kinds[cls.name] = cls

    @property
    def authentic(self) -> bool:
        """Whether listeners can believe that it said what it says."""
        return not (self.forges or self.replays)

    def statements(self, view: View) -> FloatArray:
        """Bloch vectors (m, 3) for the messages of `view`; NaN for silence."""
        return view.honest

    def votes(self, poll: Poll) -> BoolArray:
        """Whether it signs an attestation of, and a commit to, each outcome for each listener,
        (m, 2, outcomes): by default nothing, which makes quorums rarest."""
        return poll.nothing


class Crash(Adversary):
    """Honest for two rounds, then silent."""

    name = "crash"

    def statements(self, view: View) -> FloatArray:
        return view.honest if view.round < 2 else np.full_like(view.honest, np.nan)


class Mute(Adversary):
    """Silent from the start."""

    name = "mute"

    def statements(self, view: View) -> FloatArray:
        return np.full_like(view.honest, np.nan)


class Stubborn(Adversary):
    """Always certain of the side on which fewer honest agents started."""

    name = "stubborn"

    def statements(self, view: View) -> FloatArray:
        return view.along_z(-view.camps)


class Random(Adversary):
    """A random pure state in every message."""

    name = "random"

    def statements(self, view: View) -> FloatArray:
        r = view.rng.normal(size=view.honest.shape)
        return np.asarray(r / np.linalg.norm(r, axis=1, keepdims=True))


class Flip(Adversary):
    """The opposite of what it thinks."""

    name = "flip"

    def statements(self, view: View) -> FloatArray:
        return -view.honest


class Equivocate(Adversary):
    """Certain of one outcome to half of the listeners, of the other to the rest."""

    name = "equivocate"

    def statements(self, view: View) -> FloatArray:
        return view.along_z(np.where(view.receivers % 2, -1.0, 1.0))

    def votes(self, poll: Poll) -> BoolArray:
        votes = poll.nothing.copy()
        there = np.nonzero(poll.about == poll.epoch)[0]
        votes[there, :, poll.listeners[there] % 2] = True
        return votes


class DoubleSpend(Equivocate):
    """Spends one token twice: as `Equivocate`, and signs all outcomes of all epochs to everyone."""

    name = "double-spend"

    def votes(self, poll: Poll) -> BoolArray:
        return ~poll.nothing


class HideLock(Equivocate):
    """As `Equivocate`, and lets one agent see a lock and nobody else while its epoch lasts, and the
    others when it is over, so that some are bound and the rest are not."""

    name = "hide-lock"

    def votes(self, poll: Poll) -> BoolArray:
        votes = poll.nothing.copy()
        votes[:, 0] = poll.hidden & (poll.first | (poll.about < poll.epoch))[:, None]
        return votes


class Late(Equivocate):
    """As `Equivocate`, and signs everything an epoch too late."""

    name = "late"

    def votes(self, poll: Poll) -> BoolArray:
        return poll.nothing | (poll.about < poll.epoch)[:, None, None]


class Minority(Adversary):
    """Certain of the side that the honest mean is not on now."""

    name = "minority"

    def statements(self, view: View) -> FloatArray:
        return view.along_z(np.where(view.mean[:, 2] > 0, -1.0, 1.0))


class Hold(Adversary):
    """Balances: brings the mean that a listener forms to zero, or, where it knows the coin, to what
    the coin makes zero, so that nothing is ever decided."""

    name = "hold"

    def statements(self, view: View) -> FloatArray:
        share = np.maximum(view.share, 1e-9)
        needed: FloatArray = -(np.nan_to_num(view.coin) + view.mean[:, 2] * (1 - share)) / share
        return view.along_z(np.minimum(np.maximum(needed, -1.0), 1.0))


class Phase(Adversary):
    """A pure superposition: no entropy, and no outcome."""

    name = "phase"

    def statements(self, view: View) -> FloatArray:
        r = view.along_z(0.0)
        r[:, 0] = 1.0
        return r


class Stale(Adversary):
    """What it said at the start, as if all since were held back."""

    name = "delay"
    held = 1.0

    def statements(self, view: View) -> FloatArray:
        return view.first


class Forge(Adversary):
    """Certain of the other side in another agent's name, without his key."""

    name = "forge"
    forges = True

    def statements(self, view: View) -> FloatArray:
        return view.along_z(-view.camps)


class Replay(Adversary):
    """What another agent said at the start, as its own."""

    name = "replay"
    replays = True

    def statements(self, view: View) -> FloatArray:
        return np.roll(view.first, 1, axis=0)


class Invalid(Adversary):
    """Three times a pure state: more weight than one agent has."""

    name = "invalid"

    def statements(self, view: View) -> FloatArray:
        return view.along_z(-3.0 * view.camps)


def adversary(name: str) -> Adversary:
    """By name, or by the path `module:Class` of a class of one's own.

    Raises ``ValueError`` for what there is not.
    """
    if ":" in name:
        module, _, attribute = name.partition(":")
        try:
            kind = getattr(importlib.import_module(module), attribute)
            made = kind() if isinstance(kind, type) and issubclass(kind, Adversary) else None
        except (Exception, SystemExit) as error:  # of a user's own module
            raise InvalidInput(f"adversary: {name}: {type(error).__name__}: {error}") from None
        if made is None:
            raise InvalidInput(f"adversary: {name} is no Adversary")
        return made
    if name not in Adversary.kinds:
        raise InvalidInput(f"adversary: {name!r} is none of {', '.join(Adversary.kinds)}")
    return Adversary.kinds[name]()


def names() -> Sequence[str]:
    """Of all that are built in."""
    return tuple(Adversary.kinds)
