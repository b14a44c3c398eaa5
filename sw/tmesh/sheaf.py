"""Cellular sheaves: whether local reports can be parts of one whole, and which agents prevent it.

A sheaf puts a vector space (a stalk) on every cell of a complex. It has a linear map from each cell
to each cell that it bounds. A cochain is a vector for every cell of one dimension. The coboundary δ
measures how much the vectors on the boundary of a cell disagree (Curry 2014; Hansen, Ghrist 2019).

dim H¹ of a graph depends on the graph and the maps, never on data, so "H¹ = 0" is no test of
reports. This module measures residuals ‖(δx)_e‖ of statements x about agents. For claims b about
edges it measures their class in C¹/im δ, which is zero exactly if some assignment explains all of
them.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.sparse.linalg import splu

from tmesh import checks
from tmesh.errors import InvalidInput
from tmesh.golden.reference import FloatArray
from tmesh.numbers import IntArray

Matrix = Any  # a sparse matrix in CSR or CSC form

#: Eigenvalues of δᵀδ below this share of the largest count as zero.
TOLERANCE = 1e-13

#: Maps that do not commute around a face, as a share of the product of the largest entries.
COMMUTE = 1e-9

#: The largest entry of a map: its square, summed over a cell, stays far inside float64.
LARGEST = 1e100

#: A share of the largest entry of δᵀδ, added to its diagonal to make it invertible. A refinement of
#: at most REFINEMENTS steps removes the error of that.
SHIFT, REFINEMENTS = 1e-11, 50

#: Weighted least squares of a sparse fit, and the residual, as a share of the largest claim, below
#: which an edge counts as explained.
FITS, EXPLAINED = 30, 1e-6


@dataclasses.dataclass(frozen=True)
class Incidence:
    """Cells of one dimension on the boundary of cells of the next. The cell coface[n] has face[n]
    on its boundary with sign[n] (±1), and maps[n] takes the stalk of the face to that of the
    coface."""

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

    Raises ``ValueError`` for an incidence of a cell that does not exist, an edge without two nodes,
    and a map that does not fit its stalks. It also does if the two ways around a face differ (δδ ≠
    0).
    """

    def __init__(self, stalks: Sequence[npt.ArrayLike], incidences: Sequence[Incidence]) -> None:
        dimensions = checks.items("stalks", stalks)
        self.stalks = [_dimensions(k, dims) for k, dims in enumerate(dimensions)]
        self.incidences: list[Incidence] = checks.items("incidences", incidences)
        if len(self.stalks) != len(self.incidences) + 1 or len(self.incidences) not in (1, 2):
            raise InvalidInput(
                f"stalks of {len(self.stalks)} dimensions need one incidence fewer, 1 or 2, "
                f"not {len(self.incidences)}"
            )
        self.incidences = [
            _incidence(k, one, len(self.stalks[k]), len(self.stalks[k + 1]))
            for k, one in enumerate(self.incidences)
        ]
        self._starts = [np.concatenate([[0], np.cumsum(dims)]) for dims in self.stalks]
        self._coboundaries = [self._assembled(k) for k in range(len(self.incidences))]
        if len(self._coboundaries) == 2:
            first, second = (_unit_matrix(delta) for delta in self._coboundaries)
            worst = float(np.max(np.abs((second @ first).data), initial=0.0))
            if not worst <= COMMUTE:
                raise InvalidInput(f"the maps do not commute around a face: δδ has {worst:.3g}")

    @classmethod
    def on_graph(
        cls, nodes: int, edges: npt.ArrayLike, *, dim: int = 3, maps: npt.ArrayLike | None = None
    ) -> Self:
        """On a graph with `edges` (m, 2): (δx)_e = F_ve x_v − F_ue x_u for e = (u, v).

        maps: (m, 2, d, dim), of u and of v; identities unless given.
        """
        nodes, dim = checks.integer("nodes", nodes, least=0), checks.integer("dim", dim, least=1)
        pairs = _cells("edges", edges, 2, nodes)
        if maps is None:
            maps = np.broadcast_to(np.eye(dim), (len(pairs), 2, dim, dim))
        maps = _maps("maps", maps)
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
        frames: npt.ArrayLike | None = None,
    ) -> Self:
        """On the incidence graph of `agents` and `hyperedges`, the nodes in this order, with an
        edge for every member. An edge takes the hyperedge's state less the member's; `frames`
        (agents, dim, dim) takes the latter from the member's frame."""
        agents, dim = checks.integer("agents", agents, least=0), checks.integer("dim", dim, least=1)
        members = [
            checks.column("hyperedges", hyperedge)
            for hyperedge in checks.items("hyperedges", hyperedges)
        ]
        sizes = np.array([len(some) for some in members], dtype=np.int64)
        agent = np.concatenate([*members, np.zeros(0, dtype=np.int64)])
        node = agents + np.repeat(np.arange(len(members)), sizes)
        checks.numbered("hyperedges", agent, agents, "agents")
        for some in members:
            if len(np.unique(some)) < len(some):
                raise InvalidInput(f"hyperedges: {some.tolist()} names an agent twice")
        maps = np.broadcast_to(np.eye(dim), (len(agent), 2, dim, dim)).copy()
        if frames is not None:
            turns = _maps("frames", frames)
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
        nodes, dim = checks.integer("nodes", nodes, least=0), checks.integer("dim", dim, least=1)
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
        return self._coboundaries[checks.choice("k", k, range(len(self._coboundaries)))]

    def laplacian(self, k: int = 0) -> Matrix:
        """The Hodge Laplacian δ_kᵀδ_k + δ_{k−1}δ_{k−1}ᵀ, sparse; its kernel is H^k."""
        k = checks.choice("k", k, range(len(self.stalks)))
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
        parts, exponent = _unit(self._cochain("x", x, 0))
        return _restored("x", self._norms(self._coboundaries[0] @ parts), exponent)

    def consistency_radius(self, x: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
        """The largest residual, each times its edge's weight if there are any (Robinson 2017)."""
        residuals = self.residuals(x)
        if weights is not None:
            factors = checks.reals("weights", weights)
            if factors.shape != residuals.shape or np.any(factors < 0):
                raise InvalidInput(
                    f"weights must be {len(residuals)} numbers of at least 0, one for each edge, "
                    f"not {factors.shape} from {np.min(factors, initial=0.0):g}"
                )
            with np.errstate(over="ignore"):
                residuals = checks.finite("weights", residuals * factors)
        return float(np.max(residuals, initial=0.0))

    def filtration(self, x: npt.ArrayLike) -> FloatArray:
        """Radii, ascending, at which parts of a graph become one part that agrees to within the
        radius. Each component has one for each node but the first."""
        nodes, residuals = len(self.stalks[0]), self.residuals(x)
        # Of edges between the same two nodes, the one that agrees best; a 0 would be no edge.
        order = np.argsort(residuals, kind="stable")
        ends, first = np.unique(np.sort(self._ends()[order], axis=1), axis=0, return_index=True)
        best = 1 + residuals[order][first]
        graph = sparse.csr_matrix((best, ends.T), shape=(nodes, nodes))
        return np.asarray(np.sort(minimum_spanning_tree(graph).data) - 1)

    def weights(self, x: npt.ArrayLike, tau: float) -> FloatArray:
        """How far each edge may be trusted, 1/(1 + (residual/τ)²): evidence, never a proof."""
        scale = checks.positive("tau", tau)
        with np.errstate(over="ignore"):  # an edge that is far beyond τ has weight 0
            return np.asarray(1 / (1 + (self.residuals(x) / scale) ** 2))

    def obstruction(self, b: npt.ArrayLike) -> tuple[float, FloatArray]:
        """The part of claims `b` on edges, (edges, dim) or flat, that no assignment explains: ‖b −
        δδ⁺b‖, and its norm on every edge. A contradiction on a cycle spreads over all of it: see
        `explain`."""
        claims, exponent = _unit(self._cochain("b", b, 1))
        rest = self._unexplained(claims, None)
        norms = _restored("b", np.append(self._norms(rest), np.linalg.norm(rest)), exponent)
        return float(norms[-1]), norms[:-1]

    def explain(self, b: npt.ArrayLike) -> FloatArray:
        """Norms of the unexplained part of claims `b` on each edge, with the fewest false edges.

        It minimises Σ_e ‖(b − δx)_e‖ by reweighted least squares. A false edge cannot be told from
        its neighbours where its ends have only one other edge each.
        """
        claims, exponent = _unit(self._cochain("b", b, 1))
        if not np.any(claims):
            return self._norms(claims)
        least = EXPLAINED * float(np.max(self._norms(claims)))
        rest = self._unexplained(claims, None)
        for _ in range(FITS):
            rest = self._unexplained(claims, 1 / np.maximum(self._norms(rest), least))
        return _restored("b", self._norms(rest), exponent)

    def localise(self, x: npt.ArrayLike, tau: float, faults: int) -> IntArray:
        """Nodes in conflict, by more than `tau`, with more than `faults` distinct neighbours.

        If honest agents agree to within τ and none has more than `faults` faulty neighbours, no
        honest one is named.
        """
        tau, faults = checks.real("tau", tau, least=0), checks.integer("faults", faults, least=0)
        ends = self._ends()[self.residuals(x) > tau]
        pairs = np.unique(np.sort(ends, axis=1), axis=0)
        counts = np.bincount(pairs.reshape(-1), minlength=len(self.stalks[0]))
        return np.nonzero(counts > faults)[0]

    def without(self, nodes: npt.ArrayLike) -> Self:
        """The sheaf on a graph that is left when nodes are proved faulty; the others keep their
        numbers. Removed nodes have stalks of dimension 0: cochains leave their rows out."""
        if len(self.incidences) != 1:
            raise InvalidInput("only a graph can be pruned")
        gone = np.zeros(len(self.stalks[0]), dtype=np.bool_)
        gone[checks.numbered("nodes", checks.column("nodes", nodes), len(gone), "nodes")] = True
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

    def _cochain(self, name: str, value: npt.ArrayLike, k: int) -> FloatArray:
        """`value` flat, given so or, where all cells have stalks of one dimension, as its rows."""
        array = checks.reals(f"{name}: a cochain", value)
        size, dims = int(self._starts[k][-1]), self.stalks[k][self.stalks[k] > 0]
        rows = array.ndim == 2 and len(array) == len(dims) and bool(np.all(dims == array.shape[1]))
        if array.shape != (size,) and not rows:
            kind, shape = ("nodes", "edges")[k], array.shape if array.ndim != 1 else array.size
            raise InvalidInput(f"{name}: a cochain on {kind} has {size} parts, not {shape}")
        return array.reshape(-1)

    def _norms(self, y: FloatArray) -> FloatArray:
        """Of every edge's part."""
        edge = np.repeat(np.arange(len(self.stalks[1])), self.stalks[1])
        return np.sqrt(np.bincount(edge, weights=y**2, minlength=len(self.stalks[1])))

    def _unexplained(self, b: FloatArray, weights: FloatArray | None) -> FloatArray:
        """b − δx with the least sum of squares, each edge's weighted."""
        delta = _unit_matrix(self._coboundaries[0])
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
    cells = checks.numbered(name, checks.rows(name, value, corners), nodes, "nodes")
    twice = np.any(np.diff(np.sort(cells, axis=1), axis=1) == 0, axis=1)
    if np.any(twice):
        found = tuple(cells[twice][0].tolist())
        raise InvalidInput(f"{name}: a cell has the same node twice: {found}")
    return cells


def _dimensions(k: int, value: npt.ArrayLike) -> IntArray:
    """Dimensions of the stalks of cells of dimension `k`."""
    dims = checks.column(f"stalks[{k}]", value)
    if np.any(dims < 0):
        raise InvalidInput(f"stalks[{k}]: a dimension must not be negative, not {dims.min()}")
    return dims.copy()


def _incidence(k: int, given: Incidence, faces: int, cofaces: int) -> Incidence:
    """A checked copy of an incidence from `faces` cells of dimension `k` to `cofaces` cells of the
    next."""
    name = f"incidences[{k}]"
    if not isinstance(given, Incidence):
        raise InvalidInput(f"{name} must be an Incidence, not {type(given).__name__}")
    coface, face, sign = (
        checks.column(f"{name}.{field}", getattr(given, field)).copy()
        for field in ("coface", "face", "sign")
    )
    checks.numbered(f"{name}.coface", coface, cofaces, "cells")
    checks.numbered(f"{name}.face", face, faces, "cells")
    blocks = checks.items(f"{name}.maps", given.maps)
    counts = (len(coface), len(face), len(sign), len(blocks))
    if len(set(counts)) > 1:
        raise InvalidInput(f"{name}: coface, face, sign and maps have {counts} entries")
    if np.any(np.abs(sign) != 1):
        raise InvalidInput(f"{name}.sign must be ±1, not {sign[np.abs(sign) != 1][0]}")
    ends = np.bincount(coface, minlength=cofaces)
    if k == 0 and np.any(ends != 2):
        edge = int(np.argmax(ends != 2))
        raise InvalidInput(f"{name}: an edge has two nodes, but edge {edge} has {ends[edge]}")
    if isinstance(given.maps, np.ndarray):
        return Incidence(coface, face, sign, _maps(f"{name}.maps", given.maps))
    return Incidence(coface, face, sign, [_maps(f"{name}.maps", block) for block in blocks])


def _maps(name: str, value: npt.ArrayLike) -> FloatArray:
    maps = checks.reals(name, value)
    largest = float(np.max(np.abs(maps), initial=0.0))
    if not largest <= LARGEST:
        raise InvalidInput(f"{name} must have entries up to {LARGEST:g}, not {largest:g}")
    return maps.copy()


def _unit(x: FloatArray) -> tuple[FloatArray, int]:
    """`x` over a power of two that leaves its largest entry from ½ to 1, and the exponent of it.

    That is exact, and squares neither overflow nor vanish.
    """
    exponent = int(np.frexp(np.max(np.abs(x), initial=0.0))[1])
    return np.ldexp(x, -exponent), exponent


def _restored(name: str, x: FloatArray, exponent: int) -> FloatArray:
    """`x` multiplied again by the power of two that `_unit` divided by."""
    with np.errstate(over="ignore"):
        return checks.finite(name, np.ldexp(x, exponent))


def _unit_matrix(delta: Matrix) -> Matrix:
    """`delta` over a power of two, which changes neither its rank nor its image."""
    scaled = delta.copy()
    scaled.data = _unit(delta.data)[0]
    return scaled


def _rank(delta: Matrix) -> int:
    """The rank: the number of nonzero eigenvalues of the smaller of δᵀδ and δδᵀ. By Sylvester's law
    that is the number of positive pivots of δᵀδ − tolerance."""
    delta, (rows, columns) = _unit_matrix(delta), delta.shape
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
