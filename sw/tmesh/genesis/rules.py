"""The rules that all agents of a swarm follow."""

from functools import partial
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from tmesh import checks
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
    """Two agents with the same rules compute the same opinion from the same statements."""

    f: Annotated[int, Field(ge=8, le=16, description="fraction bits of an opinion")] = 16
