"""The steps of the solver suffice where a search for bad matrices succeeds against fewer."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from tmesh.golden import bounds, jacobi
from tmesh.numbers import IntArray
from tmesh_sim import convergence
from tmesh_sim.convergence import climb, eigenvalue_errors, orthogonality, residuals, sampled
from tmesh_sim.vectors import spectra


def start(n: int, count: int, seed: int) -> IntArray:
    """Matrices of every spectrum."""
    return np.concatenate(list(spectra(np.random.default_rng(seed), count, n, 16).values()))


def test_the_search_for_4x4_eigenvalues_beats_nine_steps_but_not_ten() -> None:
    _, largest = climb(start(4, 1_000, 1), 16, 10, 12, 1, eigenvalue_errors)
    assert largest[9] > 4
    assert largest[10] < bounds.INNER_EIGENVALUE[4]


def test_the_search_does_not_beat_twelve_steps_for_4x4_eigenvectors() -> None:
    _, largest = climb(start(4, 1_000, 1), 16, 12, 6, 1, residuals)
    assert largest[12] < bounds.RESIDUAL[4]


def test_the_search_for_8x8_eigenvectors_does_not_beat_the_solver() -> None:
    _, largest = climb(start(8, 25, 2), 16, 56, 6, 2, residuals, survivors=20)
    assert largest[56] < bounds.RESIDUAL[8]


def test_the_search_for_8x8_eigenvalues_does_not_beat_the_solver() -> None:
    """Graded spectra are the worst."""
    graded = spectra(np.random.default_rng(3), 400, 8, 16)["graded"]
    _, largest = climb(graded, 16, 49, 8, 3, eigenvalue_errors, survivors=40)
    assert largest[49] < bounds.INNER_EIGENVALUE[8]


def test_the_search_beats_seven_sweeps_that_spare_no_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rotations inside a cluster of eigenvalues bring back what sweeps remove between clusters."""
    with monkeypatch.context() as plain:
        plain.setitem(jacobi.SPARED, 8, ())
        hard, largest = climb(start(8, 25, 2), 16, 49, 12, 2, residuals, survivors=20)
    assert largest[49] > bounds.RESIDUAL[8]
    assert residuals(hard, 16).max() < bounds.RESIDUAL[8]


@pytest.mark.parametrize("f", [16, 14, 9, 4])
@pytest.mark.parametrize("n", [2, 4, 8])
def test_every_spectrum_stays_within_its_limits(n: int, f: int) -> None:
    limits = bounds.INNER_EIGENVALUE[n], bounds.RESIDUAL[n], bounds.ORTHOGONALITY[n]
    largest, _ = sampled(n, f, 100, seed=f)
    assert len(largest) == 16
    for kind, errors in largest.items():
        assert all(np.array(errors) < limits), (kind, errors)


def test_the_command_prints_what_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "found.json"
    command = ["convergence", "--n", "4", "--cases", "20", "--generations", "2"]
    monkeypatch.setattr(sys, "argv", [*command, "--json", str(path)])
    convergence.main()
    found, printed = json.loads(path.read_text()), capsys.readouterr().out
    assert found["limits"]["residual"] == bounds.RESIDUAL[4]
    for kind, errors in found["spectra"].items():
        row = " | ".join(
            f"{errors[name]:.2f}" for name in ("eigenvalue", "residual", "orthogonality")
        )
        assert f"| {kind} | {row} |" in printed
    assert f"{found['search']['residual']['12']:.2f}" in printed


def test_the_search_for_orthogonality_stays_within_its_limit() -> None:
    _, largest = climb(start(4, 100, 3), 16, 12, 4, 3, orthogonality)
    assert largest[12] < bounds.ORTHOGONALITY[4]
