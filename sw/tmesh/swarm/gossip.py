"""One hyper-gossip update on a device: dephase → mean → purify."""

import numpy as np

from tmesh.devices.interface import Device
from tmesh.golden.reference import ComplexArray, partial_swap


def dephase(rho: ComplexArray) -> ComplexArray:
    """Keep the diagonal: the outcome probabilities in the decision basis.

    Without it liars who push off-axis keep states pure and undecided for ever.
    """
    return rho * np.eye(2)


def mean(device: Device, own: ComplexArray, statements: ComplexArray) -> ComplexArray:
    """Equal-weight mean of `own` (m, 2, 2) and `statements` (m, k, 2, 2), by collisions.

    Collision t with sin²η = 1/(t+1) leaves t/(t+1) of the running mean and adds 1/(t+1) of the
    statement; exact for commuting states, so for dephased ones.
    """
    for t in range(statements.shape[1]):
        u = partial_swap(np.arcsin(np.sqrt(1 / (t + 2))))
        own, _ = device.evolve(u, own, statements[:, t])
    return own


def update(device: Device, own: ComplexArray, statements: ComplexArray, kappa: int) -> ComplexArray:
    """The new states (m, 2, 2) of m agents that each heard k statements."""
    return device.purify(mean(device, dephase(own), dephase(statements)), kappa)
