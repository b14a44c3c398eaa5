"""The outcomes that agents prefer, and the links of a mesh."""

import numpy as np

from tmesh.golden.reference import FloatArray
from tmesh.network import Mesh
from tmesh.numbers import BoolArray


def preferred(belief: FloatArray, there: BoolArray) -> int:
    """The outcome that most of some agents prefer, from probabilities (agents, outcomes)."""
    return int(np.argmax(_counts(belief, there)))


def rival(belief: FloatArray, there: BoolArray) -> int:
    """The outcome with the second most agents."""
    counts = _counts(belief, there)
    counts[np.argmax(counts)] = -1
    return int(np.argmax(counts))


def links_of(mesh: Mesh) -> list[tuple[int, int]] | None:
    """The pairs that hear each other; None if all do, or if that changes."""
    if mesh.topology.speed or all(len(near) == mesh.agents - 1 for near in mesh.neighbours):
        return None
    return [
        (agent, other)
        for agent, near in enumerate(mesh.neighbours)
        for other in np.sort(near).tolist()
        if agent < other
    ]


def _counts(belief: FloatArray, there: BoolArray) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    favourites = np.argmax(belief[there], axis=1)
    return np.bincount(favourites, minlength=belief.shape[1])
