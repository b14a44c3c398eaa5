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


class SwarmRules(Settings):
    """Two agents with the same rules compute the same opinion from the same statements.

    - k: neighbours that an agent draws, about; from k/2 to 2k.
    - amplify, kappa: `purify` takes the power κ of the mean; in `interfere` an agent's own opinion
      interferes with it, r' = 2(a+b)/(3+a·b).
    - epsilon, beta: an opinion settles after β amplified updates in a row with less than ε nat of
      entropy.
    - f: fraction bits of an opinion, so its unit is 2⁻ᶠ.
    - cap: the most that an opening statement may state for one side.
    - averaging: rounds after which an agent amplifies without the frontier test, in the first
      epoch; epoch e has e times as many. After twice as many rounds an agent makes no more
      statements in that epoch and generation: too few agents are present.
    - level: `closure` recomputes every statement before it is used, `off` none; `sampled`
      recomputes those of drawn neighbours, from citations that others answer for.
    - spot: at level `sampled` the random walks back from each statement that an agent hears; it
      checks every step on them.
    - horizon: at level `sampled` the citations back that a statement sums up, more than the links
      between any two agents of the draw.
    - beat: seconds between an agent's checks for missing statements. The next three count beats.
    - grace, patience: an agent waits `grace` beats in every round for all of its list, and beyond
      that `patience` beats an epoch for each neighbour.
    - epoch_beats: length of the first epoch; epoch e is e times as long.
    """

    k: Annotated[int, Field(ge=1, le=255, description="drawn neighbours, about")] = 8
    amplify: Annotated[
        Literal["purify", "interfere"], Field(description="how agreement is amplified")
    ] = "purify"
    kappa: Annotated[Kappa, Field(description="order of purification")] = 4
    epsilon: Annotated[
        float,
        Field(gt=0, lt=0.7, allow_inf_nan=False, description="entropy of a certain opinion, nats"),
    ] = 0.1
    beta: Annotated[
        int, Field(ge=1, le=1 << 31, description="certain updates until an opinion settles")
    ] = 3
    f: Annotated[int, Field(ge=8, le=16, description="fraction bits of an opinion")] = 16
    cap: Annotated[
        float, Field(gt=0, lt=1, allow_inf_nan=False, description="the most of an opening")
    ] = 0.8
    averaging: Annotated[
        int, Field(ge=1, le=1 << 16, description="rounds of averaging in the first epoch")
    ] = 120
    level: Annotated[
        Literal["closure", "sampled", "off"], Field(description="which statements are recomputed")
    ] = "closure"
    spot: Annotated[int, Field(ge=0, le=255, description="walks back from a statement")] = 4
    horizon: Annotated[int, Field(ge=2, le=32, description="citations back in a summary")] = 5
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

    def limit(self, epoch: int) -> int:
        """The rounds of averaging in an epoch."""
        return self.averaging * epoch

    def last(self, epoch: int) -> int:
        """The last round in an epoch."""
        return 2 * self.limit(epoch)

    @cached_property
    def certain(self) -> int:
        """The least |z|, in units of 2⁻ᶠ, from which on the core's entropy is below ε."""
        z = np.arange(self.one + 1)
        r = np.stack([0 * z, 0 * z, z], axis=1)
        uncertain = rounds.outcome_entropy(r, self.f) >= int(np.ceil(self.epsilon * self.one))
        return int(np.max(np.nonzero(uncertain)[0], initial=-1)) + 1
