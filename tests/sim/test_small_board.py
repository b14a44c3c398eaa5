"""The smallest board, complete: serial line, link and microcoded engine, as a host sees it."""

import numpy as np
import tmesh
from tmesh.golden.reference import partial_swap
from tmesh_hw.boards import BOARDS
from tmesh_sim.board import SimulatedBoard


def test_it_gives_the_bits_of_the_model() -> None:
    """The host's code for hardware, the line at its real number of clocks a bit."""
    rng = np.random.default_rng(1)
    r = rng.normal(size=(50, 3))
    r = np.trunc(r / np.linalg.norm(r, axis=1, keepdims=True) * 2**14) / 2**14
    pairs = np.stack([rng.permutation(50)[:2] for _ in range(300)])
    agents, others = np.arange(20), rng.integers(20, 50, (20, 5))
    answers = []
    with (
        SimulatedBoard("icebreaker", BOARDS["icebreaker"].divisor) as board,
        tmesh.open_device(f"serial:{board.path}", "icebreaker") as serial,
        tmesh.open_device("model", "icebreaker") as model,
    ):
        for device in (serial, model):
            device.load(r)
            device.gossip(pairs, partial_swap(0.4), "both")
            entropy, outcome = device.update(agents, others, 4)
            seen = device.observe(np.arange(50))
            visibility = device.swap_test(pairs[:40])
            spectra = (seen.eigenvalues, seen.entropy, seen.purity, seen.diagonal)
            answers.append((entropy, outcome, visibility, *spectra, device.read()))
    for one, other in zip(*answers, strict=True):
        np.testing.assert_array_equal(one, other)
