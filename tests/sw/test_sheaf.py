"""Cellular sheaves: dimensions against dense ranks, obstruction, and who is named."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from tmesh.sheaf import CellularSheaf, Incidence


def dense_betti(sheaf: CellularSheaf) -> tuple[int, int]:
    """The oracle: ranks by singular values."""
    deltas = [sheaf.coboundary(k).toarray() for k in range(len(sheaf.incidences))]
    ranks = [int(np.linalg.matrix_rank(delta)) if delta.size else 0 for delta in deltas]
    return deltas[0].shape[1] - ranks[0], deltas[0].shape[0] - sum(ranks)


def graph(rng: np.random.Generator, nodes: int, share: float) -> np.ndarray:
    found = nx.gnp_random_graph(nodes, share, seed=int(rng.integers(1 << 31)))
    return np.array(found.edges, dtype=np.int64).reshape(-1, 2)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 14), st.floats(0, 0.6), st.sampled_from([1, 2, 3]))
def test_dimensions_on_random_graphs(seed: int, nodes: int, share: float, dim: int) -> None:
    """Constant sheaves: dim H⁰ counts components, dim H¹ = d(|E| − |V| + c); and random maps."""
    rng = np.random.default_rng(seed)
    edges = graph(rng, nodes, share)
    constant = CellularSheaf.on_graph(nodes, edges, dim=dim)
    parts = nx.number_connected_components(nx.from_edgelist(edges.tolist())) if len(edges) else 0
    parts += nodes - len(np.unique(edges))
    assert constant.betti() == (dim * parts, dim * (len(edges) - nodes + parts))
    maps = rng.integers(-2, 3, (len(edges), 2, 2, dim)).astype(np.float64)
    general = CellularSheaf.on_graph(nodes, edges, dim=dim, maps=maps)
    assert general.betti() == dense_betti(general)


def test_frames_have_a_global_section_only_without_holonomy() -> None:
    """Agents on a ring, each with its own axes: a turn that does not close leaves its axis."""
    ring = np.array([[n, (n + 1) % 6] for n in range(6)])
    turns = Rotation.random(6, random_state=1).as_matrix()
    maps = np.stack([turns[ring[:, 0]], turns[ring[:, 1]]], axis=1)
    assert CellularSheaf.on_graph(6, ring, maps=maps).betti() == (3, 3)
    maps[0, 0] = Rotation.from_rotvec([0, 0, 0.3]).as_matrix() @ maps[0, 0]
    assert CellularSheaf.on_graph(6, ring, maps=maps).betti() == (1, 1)


def test_dimensions_on_hyperedges_and_complexes() -> None:
    rng = np.random.default_rng(2)
    hyperedges = [rng.choice(12, size, replace=False) for size in (3, 4, 2, 5)]
    frames = Rotation.random(12, random_state=2).as_matrix()
    sheaf = CellularSheaf.on_hyperedges(12, hyperedges, frames=frames)
    assert sheaf.betti() == dense_betti(sheaf)
    square = [[0, 1], [1, 2], [2, 3], [3, 0], [0, 2]]
    for triangles, holes in (([], 2), ([[0, 1, 2]], 1), ([[0, 1, 2], [0, 2, 3]], 0)):
        assert CellularSheaf.on_complex(4, square, triangles).betti() == (1, holes)
        assert CellularSheaf.on_complex(4, square, triangles, dim=2).betti() == (2, 2 * holes)
    # Stalks of dimensions 1 and 2, a map that forgets, on a filled triangle.
    edges = Incidence(
        coface=np.array([0, 0, 1, 1, 2, 2]),
        face=np.array([0, 1, 1, 2, 0, 2]),
        sign=np.array([-1, 1, -1, 1, -1, 1]),
        maps=[np.array([[1.0, 0.0]]) if n in (0, 4) else np.array([[1.0]]) for n in range(6)],
    )
    face = Incidence(
        np.zeros(3, dtype=np.int64), np.arange(3), np.array([1, 1, -1]), np.ones((3, 1, 1))
    )
    mixed = CellularSheaf([[2, 1, 1], [1, 1, 1], [1]], [edges, face])
    assert mixed.betti() == dense_betti(mixed) == (2, 0)


def test_the_kernel_of_the_laplacian_is_the_cohomology() -> None:
    square = [[0, 1], [1, 2], [2, 3], [3, 0], [0, 2]]
    sheaf = CellularSheaf.on_complex(4, square, [[0, 1, 2]])
    for k, dimension in enumerate(sheaf.betti()):
        values = np.linalg.eigvalsh(sheaf.laplacian(k).toarray())
        assert np.count_nonzero(np.abs(values) < 1e-12) == dimension


def test_claims_with_an_explanation_have_no_obstruction() -> None:
    rng = np.random.default_rng(3)
    edges = graph(rng, 40, 0.15)
    sheaf = CellularSheaf.on_graph(40, edges)
    b = sheaf.coboundary() @ rng.normal(size=120)
    norm, rest = sheaf.obstruction(b)
    assert norm < 1e-8
    assert rest.shape == (len(edges),)
    tree = np.array([[n, n + 1] for n in range(30)])
    assert CellularSheaf.on_graph(31, tree).obstruction(rng.normal(size=90))[0] < 1e-8


def test_one_lie_on_a_ring_spreads_and_is_found() -> None:
    """Least squares leaves 0.125 on each of eight edges; the sparse fit leaves it where it is."""
    ring = np.array([[n, (n + 1) % 8] for n in range(8)])
    sheaf = CellularSheaf.on_graph(8, ring, dim=1)
    b = np.zeros(8)
    b[3] = 1
    norm, rest = sheaf.obstruction(b)
    np.testing.assert_allclose(rest, 0.125)
    assert norm == pytest.approx(8**-0.5)
    across = [[n, (n + 2) % 8] for n in range(8)]
    wide = CellularSheaf.on_graph(8, [*ring.tolist(), *across], dim=1)
    left = wide.explain(np.concatenate([b, np.zeros(8)]))
    assert left[3] == pytest.approx(1, abs=1e-3)
    assert np.delete(left, 3).max() < 1e-3


def mesh(seed: int, nodes: int, radius: float) -> np.ndarray:
    return np.array(nx.random_geometric_graph(nodes, radius, seed=seed).edges, dtype=np.int64)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.integers(0, 10**6))
def test_no_honest_agent_is_named(seed: int) -> None:
    """200 agents, 20 liars, at most six of them next to any honest one; τ = 0.1, F = 6."""
    rng = np.random.default_rng(seed)
    edges, liars = mesh(seed, 200, 0.15), rng.choice(200, 20, replace=False)
    lies = np.isin(np.arange(200), liars)
    near = np.zeros(200, dtype=np.int64)
    for u, v in edges.tolist():
        near[u] += lies[v]
        near[v] += lies[u]
    sheaf = CellularSheaf.on_graph(200, edges)
    x = np.array([0, 0, 0.5]) + rng.uniform(-0.02, 0.02, (200, 3))
    x[lies] = rng.uniform(-1, 1, (20, 3))
    named = sheaf.localise(x, tau=0.1, faults=6)
    assert not np.any(~lies[named] & (near[named] <= 6))


def test_liars_are_found() -> None:
    found = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        sheaf = CellularSheaf.on_graph(200, mesh(seed, 200, 0.16))
        x = np.array([0, 0, 0.5]) + rng.uniform(-0.02, 0.02, (200, 3))
        liars = rng.choice(200, 20, replace=False)
        x[liars] = [0, 0, -0.8]
        found += len(np.intersect1d(sheaf.localise(x, tau=0.1, faults=6), liars))
    assert found / 10 >= 18


def test_long_paths_are_no_less_exact() -> None:
    """Eigenvalues of (π/n)² are not taken for zeros, and smooth claims are explained."""
    nodes = 50_000
    path = np.stack([np.arange(nodes - 1), np.arange(1, nodes)], axis=1)
    sheaf = CellularSheaf.on_graph(nodes, path, dim=1)
    assert sheaf.betti() == (1, 0)
    claims = sheaf.coboundary() @ np.sin(np.linspace(0, 3, nodes))
    assert sheaf.obstruction(claims)[0] < 1e-9 * np.linalg.norm(claims)
    assert not sheaf.explain(np.zeros(nodes - 1)).any()


def test_filtration_merges_what_agrees_best() -> None:
    sheaf = CellularSheaf.on_graph(4, [[0, 1], [1, 2], [2, 3], [3, 0]], dim=1)
    x = [0.0, 0.1, 0.5, 0.5]
    np.testing.assert_allclose(sheaf.filtration(x), [0, 0.1, 0.4])
    assert sheaf.consistency_radius(x) == pytest.approx(0.5)
    assert sheaf.consistency_radius(x, sheaf.weights(x, 0.1)) < 0.1


def test_pruning_leaves_the_others() -> None:
    sheaf = CellularSheaf.on_graph(4, [[0, 1], [1, 2], [2, 3], [3, 0]], dim=2)
    left = sheaf.without([2])
    assert left.betti() == (2, 0)
    assert left.consistency_radius(np.zeros(6)) == 0


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: CellularSheaf.on_graph(2, [[0, 2]]), "edges: nodes are numbered 0 to 1"),
        (lambda: CellularSheaf.on_graph(2, [[1, 1]]), "edges: a cell has the same node twice"),
        (lambda: CellularSheaf.on_graph(2, [[0, 1]], maps=np.eye(3)), r"maps must be \(1, 2, d, 3"),
        (lambda: CellularSheaf.on_hyperedges(2, [[0, 3]]), "agents are numbered 0 to 1"),
        (lambda: CellularSheaf.on_complex(3, [[0, 1]], [[0, 1, 2]]), "has a side that is no edge"),
        (
            lambda: CellularSheaf.on_graph(2, [[0, 1]]).residuals([1.0]),
            "on nodes has 6 parts, not 1",
        ),
        (lambda: CellularSheaf.on_graph(1, []).residuals([np.nan, 0, 0]), "a cochain holds nan"),
    ],
)
def test_mistakes_are_named(call: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        call()  # type: ignore[operator]
