"""The rules that all agents of a swarm follow."""

from functools import cached_property, partial
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from tmesh import checks
from tmesh.golden import rounds
from tmesh.settings import Settings

#: 4.0 and True equal integers, so a Literal alone lets them in.
Kappa = Annotated[Literal[1, 2, 4, 8], BeforeValidator(partial(checks.integer, "it"))]


class OpinionRules(Settings):
    """Rules of opinions and epochs, in a genesis and in a scenario.

    - k: neighbours in an update.
    - amplify, kappa: `purify` takes the power κ of the mean; in `interfere` an agent's own state
      interferes with it, r' = 2(a+b)/(3+a·b).
    - dephase: whether only diagonals count. Without it, superpositions can stop a swarm.
    - epsilon, beta: an opinion collapses after β updates in a row with less than ε nat of entropy.
    - timeout: rounds of the first epoch; epoch e lasts e times as long.
    """

    k: Annotated[int, Field(ge=1, le=255, description="neighbours in an update")] = 8
    amplify: Annotated[
        Literal["purify", "interfere"], Field(description="how agreement is amplified")
    ] = "purify"
    kappa: Annotated[Kappa, Field(description="order of purification")] = 4
    dephase: Annotated[bool, Field(description="whether only diagonals count")] = True
    epsilon: Annotated[
        float,
        Field(gt=0, lt=0.7, allow_inf_nan=False, description="entropy of a certain opinion, nats"),
    ] = 0.1
    beta: Annotated[
        int, Field(ge=1, le=1 << 31, description="certain updates until an opinion collapses")
    ] = 3
    timeout: Annotated[
        int, Field(ge=1, le=1 << 31, description="rounds of the first epoch; epoch e has e times")
    ] = 40


class SwarmRules(OpinionRules):
    """Two agents with the same rules compute the same opinion from the same statements.

    - f: fraction bits of an opinion, so its unit is 2⁻ᶠ.
    - cap: the most that an opening statement may state for one side.
    - averaging: rounds after which an agent amplifies without the frontier test, in the first
      epoch; epoch e has e times as many.
    - level: `closure` recomputes every statement before it is used, `off` none.
    - beat: seconds between an agent's checks of what it still needs. The next three count beats.
    - grace, patience: an agent waits `grace` beats in every round for all of its list, and beyond
      that `patience` beats an epoch for each neighbour.
    - epoch_beats: length of the first epoch; epoch e is e times as long.
    """

    f: Annotated[int, Field(ge=8, le=16, description="fraction bits of an opinion")] = 16
    cap: Annotated[
        float, Field(gt=0, lt=1, allow_inf_nan=False, description="the most of an opening")
    ] = 0.8
    averaging: Annotated[
        int, Field(ge=1, le=1 << 16, description="rounds of averaging in the first epoch")
    ] = 120
    level: Annotated[
        Literal["closure", "off"], Field(description="which statements are recomputed")
    ] = "closure"
    beat: Annotated[
        float, Field(gt=0, le=1e6, allow_inf_nan=False, description="seconds between checks")
    ] = 0.1
    grace: Annotated[int, Field(ge=0, le=1 << 16, description="beats a round for all")] = 3
    patience: Annotated[
        int, Field(ge=1, le=1 << 16, description="beats an epoch for one neighbour")
    ] = 18
    epoch_beats: Annotated[int, Field(ge=1, le=1 << 24, description="beats of the first epoch")] = (
        600
    )

    @cached_property
    def one(self) -> int:
        """A certain opinion, 2ᶠ."""
        return 1 << self.f

    @cached_property
    def most(self) -> int:
        """The cap in units of 2⁻ᶠ."""
        return int(self.cap * self.one)

    @cached_property
    def certain(self) -> int:
        """The least |z|, in units of 2⁻ᶠ, from which on the core's entropy is below ε."""
        z = np.arange(self.one + 1)
        r = np.stack([0 * z, 0 * z, z], axis=1)
        uncertain = rounds.outcome_entropy(r, self.f) >= int(np.ceil(self.epsilon * self.one))
        return int(np.max(np.nonzero(uncertain)[0], initial=-1)) + 1
