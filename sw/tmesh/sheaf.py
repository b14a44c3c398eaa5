"""Cellular sheaves: whether local reports can be parts of one whole, and who prevents it.

A sheaf puts a vector space (a stalk) on every cell of a complex and a linear map on every pair of a
cell and one that it bounds. A cochain is a vector for every cell of one dimension; the coboundary δ
says how much those on the boundary of a cell disagree there (Curry 2014; Hansen, Ghrist 2019).

dim H¹ of a graph depends on the graph and the maps, never on data, so "H¹ = 0" is no test of
reports. What is measured here: residuals ‖(δx)_e‖ of statements x about agents, and, for claims b
about edges, their class in C¹/im δ, zero exactly if some assignment explains all of them.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.sparse.linalg import splu

from tmesh.errors import InvalidInput
from tmesh.golden.reference import FloatArray
from tmesh.numbers import IntArray

Matrix = Any  # a sparse matrix in CSR or CSC form

#: Eigenvalues of δᵀδ below this share of the largest count as zero.
TOLERANCE = 1e-13

#: What is added to δᵀδ to solve with it, as a share of its largest entry; refining takes the error
#: of that away, in at most so many steps.
SHIFT, REFINEMENTS = 1e-11, 50

#: Weighted least squares of a sparse fit, and the residual, as a share of the largest claim, below
#: which an edge counts as explained.
FITS, EXPLAINED = 30, 1e-6


@dataclasses.dataclass(frozen=True)
class Incidence:
    """Cells of one dimension on the boundary of those of the next: coface[n] has face[n] on its
    boundary with sign[n] (±1), and maps[n] takes the stalk of the face to that of the coface."""

    coface: IntArray
    face: IntArray
    sign: IntArray
    maps: Sequence[FloatArray] | FloatArray


class CellularSheaf:
    """A sheaf on a complex of dimension 1 or 2.

    Parameters
    ----------
    stalks: for every dimension the dimensions of its stalks, (cells,) each.
    incidences: from every dimension to the next.

    Raises ``ValueError`` where a map does not fit its stalks, or where going round a face by its
    two ways differs (δδ ≠ 0).
    """

    def __init__(self, stalks: Sequence[npt.ArrayLike], incidences: Sequence[Incidence]) -> None:
        self.stalks = [np.asarray(dims, dtype=np.int64) for dims in stalks]
        self.incidences = list(incidences)
        if len(self.stalks) != len(self.incidences) + 1 or len(self.incidences) not in (1, 2):
            raise InvalidInput(
                f"stalks of {len(self.stalks)} dimensions need one incidence fewer, 1 or 2, "
                f"not {len(self.incidences)}"
            )
        self._starts = [np.concatenate([[0], np.cumsum(dims)]) for dims in self.stalks]
        self._coboundaries = [self._assembled(k) for k in range(len(self.incidences))]
        if len(self._coboundaries) == 2:
            product = self._coboundaries[1] @ self._coboundaries[0]
            worst = float(np.max(np.abs(product.data), initial=0.0))
            if worst > 1e-9:
                raise InvalidInput(f"the maps do not commute around a face: δδ has {worst:.3g}")

    @classmethod
    def on_graph(
        cls, nodes: int, edges: npt.ArrayLike, *, dim: int = 3, maps: FloatArray | None = None
    ) -> Self:
        """On a graph with `edges` (m, 2): (δx)_e = F_ve x_v − F_ue x_u for e = (u, v).

        maps: (m, 2, d, dim), of u and of v; identities unless given.
        """
        pairs = _cells("edges", edges, 2, nodes)
        if maps is None:
            maps = np.broadcast_to(np.eye(dim), (len(pairs), 2, dim, dim))
        maps = np.asarray(maps, dtype=np.float64)
        if maps.ndim != 4 or maps.shape[:2] != (len(pairs), 2) or maps.shape[3] != dim:
            raise InvalidInput(f"maps must be ({len(pairs)}, 2, d, {dim}), not {maps.shape}")
        incidence = Incidence(
            coface=np.repeat(np.arange(len(pairs)), 2),
            face=pairs.reshape(-1),
            sign=np.tile([-1, 1], len(pairs)),
            maps=maps.reshape(-1, *maps.shape[2:]),
        )
        return cls([np.full(nodes, dim), np.full(len(pairs), maps.shape[2])], [incidence])

    @classmethod
    def on_hyperedges(
        cls,
        agents: int,
        hyperedges: Sequence[npt.ArrayLike],
        *,
        dim: int = 3,
        frames: FloatArray | None = None,
    ) -> Self:
        """On the incidence graph of `agents` and `hyperedges`, the nodes in this order, with an
        edge for every member: the hyperedge's state less the member's, taken from the member's own
        frame by `frames` (agents, dim, dim)."""
        members = [np.asarray(hyperedge, dtype=np.int64).reshape(-1) for hyperedge in hyperedges]
        sizes = np.array([len(some) for some in members], dtype=np.int64)
        agent = np.concatenate([*members, np.zeros(0, dtype=np.int64)])
        node = agents + np.repeat(np.arange(len(members)), sizes)
        if np.any((agent < 0) | (agent >= agents)):
            raise InvalidInput(f"hyperedges: agents are numbered 0 to {agents - 1}")
        maps = np.broadcast_to(np.eye(dim), (len(agent), 2, dim, dim)).copy()
        if frames is not None:
            turns = np.asarray(frames, dtype=np.float64)
            if turns.shape != (agents, dim, dim):
                raise InvalidInput(f"frames must be ({agents}, {dim}, {dim}), not {turns.shape}")
            maps[:, 0] = turns[agent]
        edges = np.stack([agent, node], axis=1)
        return cls.on_graph(agents + len(members), edges, dim=dim, maps=maps)

    @classmethod
    def on_complex(
        cls, nodes: int, edges: npt.ArrayLike, triangles: npt.ArrayLike, *, dim: int = 1
    ) -> Self:
        """The constant sheaf on a complex with `edges` (m, 2) and `triangles` (t, 3) of nodes,
        whose sides are edges. For other maps give all incidences to the class itself."""
        pairs, corners = _cells("edges", edges, 2, nodes), _cells("triangles", triangles, 3, nodes)
        graph = cls.on_graph(nodes, pairs, dim=dim)
        number = {pair: n for n, pair in enumerate(map(tuple, pairs.tolist()))}
        face, sign = [], []
        for a, b, c in corners.tolist():
            for u, v, forward in ((a, b, 1), (b, c, 1), (a, c, -1)):
                if (u, v) in number:
                    face.append(number[u, v])
                    sign.append(forward)
                elif (v, u) in number:
                    face.append(number[v, u])
                    sign.append(-forward)
                else:
                    raise InvalidInput(f"triangles: ({a}, {b}, {c}) has a side that is no edge")
        incidence = Incidence(
            coface=np.repeat(np.arange(len(corners)), 3),
            face=np.array(face, dtype=np.int64),
            sign=np.array(sign, dtype=np.int64),
            maps=np.broadcast_to(np.eye(dim), (len(face), dim, dim)),
        )
        stalks = [*graph.stalks, np.full(len(corners), dim)]
        return cls(stalks, [*graph.incidences, incidence])

    def coboundary(self, k: int = 0) -> Matrix:
        """δ_k, sparse, from cochains of dimension k to those of k + 1."""
        return self._coboundaries[k]

    def laplacian(self, k: int = 0) -> Matrix:
        """The Hodge Laplacian δ_kᵀδ_k + δ_{k−1}δ_{k−1}ᵀ, sparse; its kernel is H^k."""
        size = int(self._starts[k][-1])
        total = sparse.csr_matrix((size, size))
        if k < len(self._coboundaries):
            total = total + self._coboundaries[k].T @ self._coboundaries[k]
        if k > 0:
            total = total + self._coboundaries[k - 1] @ self._coboundaries[k - 1].T
        return total.tocsr()

    def betti(self) -> tuple[int, int]:
        """(dim H⁰, dim H¹)."""
        ranks = [_rank(delta) for delta in self._coboundaries]
        zero, one = (int(starts[-1]) for starts in self._starts[:2])
        return zero - ranks[0], one - sum(ranks)

    def residuals(self, x: npt.ArrayLike) -> FloatArray:
        """‖(δx)_e‖ of every edge, (edges,), for a vector on every node, (nodes, dim) or flat."""
        return self._norms(self._coboundaries[0] @ self._cochain(x, 0))

    def consistency_radius(self, x: npt.ArrayLike, weights: FloatArray | None = None) -> float:
        """The largest residual, each times its edge's weight if there are any (Robinson 2017)."""
        residuals = self.residuals(x)
        return float(np.max(residuals if weights is None else residuals * weights, initial=0.0))

    def filtration(self, x: npt.ArrayLike) -> FloatArray:
        """Radii, ascending, at which parts of a graph become one part that agrees to within the
        radius: one for each node but the first of each component."""
        nodes, residuals = len(self.stalks[0]), self.residuals(x)
        # Of edges between the same two nodes, the one that agrees best; a 0 would be no edge.
        order = np.argsort(residuals, kind="stable")
        ends, first = np.unique(np.sort(self._ends()[order], axis=1), axis=0, return_index=True)
        best = 1 + residuals[order][first]
        graph = sparse.csr_matrix((best, ends.T), shape=(nodes, nodes))
        return np.asarray(np.sort(minimum_spanning_tree(graph).data) - 1)

    def weights(self, x: npt.ArrayLike, tau: float) -> FloatArray:
        """How far each edge may be trusted, 1/(1 + (residual/τ)²): evidence, never a proof."""
        return np.asarray(1 / (1 + (self.residuals(x) / tau) ** 2))

    def obstruction(self, b: npt.ArrayLike) -> tuple[float, FloatArray]:
        """What no assignment explains of claims `b` on edges, (edges, dim) or flat: ‖b − δδ⁺b‖, and
        its norm on every edge. A contradiction on a cycle spreads over all of it: see `explain`."""
        rest = self._unexplained(self._cochain(b, 1), None)
        return float(np.linalg.norm(rest)), self._norms(rest)

    def explain(self, b: npt.ArrayLike) -> FloatArray:
        """What is left of claims `b` on every edge when as few edges as possible are given up: the
        minimum of Σ_e ‖(b − δx)_e‖, by reweighted least squares. Where the ends of a false edge
        have but one other edge each, any of them may be it."""
        claims = self._cochain(b, 1)
        if not np.any(claims):
            return self._norms(claims)
        least = EXPLAINED * float(np.max(self._norms(claims)))
        rest = self._unexplained(claims, None)
        for _ in range(FITS):
            rest = self._unexplained(claims, 1 / np.maximum(self._norms(rest), least))
        return self._norms(rest)

    def localise(self, x: npt.ArrayLike, tau: float, faults: int) -> IntArray:
        """Nodes in conflict, by more than `tau`, with more than `faults` distinct neighbours.

        If honest agents agree to within τ and none has more than `faults` faulty neighbours, no
        honest one is named.
        """
        ends = self._ends()[self.residuals(x) > tau]
        pairs = np.unique(np.sort(ends, axis=1), axis=0)
        counts = np.bincount(pairs.reshape(-1), minlength=len(self.stalks[0]))
        return np.nonzero(counts > faults)[0]

    def without(self, nodes: npt.ArrayLike) -> Self:
        """The sheaf on a graph that is left when nodes are proved faulty; the others keep their
        numbers. Those that are gone have stalks of dimension 0: cochains leave their rows out."""
        if len(self.incidences) != 1:
            raise InvalidInput("only a graph can be pruned")
        gone = np.zeros(len(self.stalks[0]), dtype=np.bool_)
        gone[np.asarray(nodes, dtype=np.int64)] = True
        incidence, ends = self.incidences[0], self._ends()
        edges = np.nonzero(~np.any(gone[ends], axis=1))[0]
        kept = np.nonzero(np.isin(incidence.coface, edges))[0]
        left = Incidence(
            coface=np.searchsorted(edges, incidence.coface[kept]),
            face=incidence.face[kept],
            sign=incidence.sign[kept],
            maps=[incidence.maps[n] for n in kept.tolist()],
        )
        return type(self)([np.where(gone, 0, self.stalks[0]), self.stalks[1][edges]], [left])

    def _assembled(self, k: int) -> Matrix:
        incidence, rows, columns = self.incidences[k], self._starts[k + 1], self._starts[k]
        high = self.stalks[k + 1][incidence.coface]
        low = self.stalks[k][incidence.face]
        if len(incidence.maps) != len(incidence.coface):
            raise InvalidInput(f"{len(incidence.coface)} incidences need as many maps")
        for n, block in enumerate(incidence.maps):
            if block.shape != (high[n], low[n]):
                raise InvalidInput(f"map {n} must be {high[n]}×{low[n]}, not {block.shape}")
        entries = high * low
        place = np.arange(entries.sum()) - np.repeat(np.cumsum(entries) - entries, entries)
        width = np.repeat(low, entries)
        i = np.repeat(rows[incidence.coface], entries) + place // np.maximum(width, 1)
        j = np.repeat(columns[incidence.face], entries) + place % np.maximum(width, 1)
        blocks = [np.zeros(0), *(np.ravel(block) for block in incidence.maps)]
        values = np.concatenate(blocks) * np.repeat(incidence.sign, entries)
        return sparse.csr_matrix((values, (i, j)), shape=(int(rows[-1]), int(columns[-1])))

    def _ends(self) -> IntArray:
        """The two nodes of every edge."""
        order = np.argsort(self.incidences[0].coface, kind="stable")
        return self.incidences[0].face[order].reshape(-1, 2)

    def _cochain(self, value: npt.ArrayLike, k: int) -> FloatArray:
        flat = np.asarray(value, dtype=np.float64).reshape(-1)
        if flat.size != self._starts[k][-1]:
            kind = ("nodes", "edges")[k]
            raise InvalidInput(
                f"a cochain on {kind} has {self._starts[k][-1]} parts, not {flat.size}"
            )
        if not np.all(np.isfinite(flat)):
            raise InvalidInput(f"a cochain holds {flat[~np.isfinite(flat)][0]}")
        return flat

    def _norms(self, y: FloatArray) -> FloatArray:
        """Of every edge's part."""
        edge = np.repeat(np.arange(len(self.stalks[1])), self.stalks[1])
        return np.sqrt(np.bincount(edge, weights=y**2, minlength=len(self.stalks[1])))

    def _unexplained(self, b: FloatArray, weights: FloatArray | None) -> FloatArray:
        """b − δx with the least sum of squares, each edge's weighted."""
        delta = self._coboundaries[0]
        scale = np.ones(len(b)) if weights is None else np.repeat(weights, self.stalks[1])
        weighted = sparse.diags(scale) @ delta
        square = (delta.T @ weighted).tocsc()
        if square.shape[0] == 0:
            return b
        # A little is added for the kernel, which the right side has no part in; refining takes the
        # error of that away again.
        shift = SHIFT * max(float(square.diagonal().max()), 1e-300)
        solve = splu(square + shift * sparse.identity(square.shape[0], format="csc")).solve
        rest = b
        for _ in range(REFINEMENTS):
            step = delta @ solve(weighted.T @ rest)
            rest = rest - step
            if np.linalg.norm(step) <= 1e-13 * np.linalg.norm(b):
                break
        return rest


def _cells(name: str, value: npt.ArrayLike, corners: int, nodes: int) -> IntArray:
    cells = np.asarray(value, dtype=np.int64).reshape(-1, corners)
    if np.any((cells < 0) | (cells >= nodes)):
        raise InvalidInput(f"{name}: nodes are numbered 0 to {nodes - 1}")
    if np.any(np.diff(np.sort(cells, axis=1), axis=1) == 0):
        raise InvalidInput(f"{name}: a cell has the same node twice")
    return cells


def _rank(delta: Matrix) -> int:
    """The rank, as the number of eigenvalues of the smaller of δᵀδ and δδᵀ that are not zero: by
    Sylvester's law that of positive pivots of δᵀδ − tolerance."""
    rows, columns = delta.shape
    square = (delta.T @ delta if columns <= rows else delta @ delta.T).tocsc()
    size = square.shape[0]
    if size == 0 or square.nnz == 0:
        return 0
    # The norm of rows bounds the largest eigenvalue.
    tolerance = TOLERANCE * float(abs(square).sum(axis=1).max())
    shifted = square - tolerance * sparse.identity(size, format="csc")
    factors = splu(
        shifted, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    return int(np.count_nonzero(factors.U.diagonal() > 0))
