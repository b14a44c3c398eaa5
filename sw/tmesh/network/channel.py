"""A radio's effects on one message: delay, loss, duplication. All figures are assumptions."""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from tmesh.errors import InvalidInput
from tmesh.settings import Settings

#: A time. Its limit keeps sums of many times far from the largest float.
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Channel(Settings):
    """Delay, loss and duplication of messages.

    delay: a message takes `minimum` seconds and a random part of mean `spread`: none (`fixed`),
    uniform from 0 to twice that, or lognormal with parameter `sigma`. Messages overtake each other
    wherever it varies. duplicates: probability of a second copy, with an independent delay.

    Loss alternates between a good and a bad state (Gilbert 1960, Elliott 1963): of each link, one
    step a message, `worsen` and `recover` the probabilities of a change, `loss` and `burst_loss`
    those of a loss in either. With `worsen` zero losses are independent.
    """

    delay: Literal["fixed", "uniform", "lognormal"] = "lognormal"
    minimum: Annotated[Seconds, Field(gt=0)] = 0.001
    spread: Seconds = 0.001
    sigma: Annotated[float, Field(ge=0, le=3, allow_inf_nan=False)] = 0.5
    loss: Probability = 0.0
    burst_loss: Probability = 0.0
    worsen: Probability = 0.0
    recover: Probability = 1.0
    duplicates: Probability = 0.0

    @model_validator(mode="after")
    def _lets_something_through(self) -> Self:
        if self.lost >= 1:
            raise InvalidInput("loss: the channel loses every message, so nothing can be decided")
        return self

    def delays(self, rng: np.random.Generator, count: int) -> list[float]:
        """Delays of `count` messages, in seconds."""
        if self.delay == "uniform":
            parts = rng.uniform(0, 2 * self.spread, count)
        elif self.delay == "lognormal":
            # exp(μ + σ²/2) is the mean.
            parts = self.spread * rng.lognormal(-(self.sigma**2) / 2, self.sigma, count)
        else:
            parts = np.full(count, self.spread)
        delays: list[float] = (self.minimum + parts).tolist()
        return delays

    @property
    def mean(self) -> float:
        """Mean delay in seconds."""
        return self.minimum + self.spread

    @property
    def lost(self) -> float:
        """Share of messages that are lost in the long run."""
        bad = self.worsen / (self.worsen + self.recover) if self.worsen else 0.0
        return (1 - bad) * self.loss + bad * self.burst_loss


#: Orders of magnitude to try a swarm under, assumed, not measured. They stand for a wired switch;
#: IEEE 802.11 in one room; an airborne ad-hoc mesh with fades; LoRa at some kbit/s.
PROFILES = {
    "ideal": Channel(delay="fixed", minimum=0.001, spread=0.0),
    "lan": Channel(delay="uniform", minimum=0.0002, spread=0.0001),
    "wifi": Channel(minimum=0.002, spread=0.003, sigma=0.8, loss=0.01, duplicates=0.002),
    "uav-mesh": Channel(
        minimum=0.005,
        spread=0.015,
        sigma=0.8,
        loss=0.03,
        burst_loss=0.6,
        worsen=0.02,
        recover=0.2,
        duplicates=0.005,
    ),
    "lora": Channel(
        minimum=0.2,
        spread=0.4,
        sigma=0.5,
        loss=0.05,
        burst_loss=0.8,
        worsen=0.02,
        recover=0.1,
        duplicates=0.01,
    ),
}
