"""Meshes: the pairs of agents in range, and their change while agents move."""

from typing import Annotated, Literal, Self

import networkx as nx
import numpy as np
from pydantic import Field, model_validator

from tmesh import checks
from tmesh.errors import InvalidInput
from tmesh.golden.reference import FloatArray
from tmesh.network.channel import Seconds
from tmesh.numbers import BoolArray, IntArray
from tmesh.settings import Settings

#: Draws of a random geometric graph until one is connected.
DRAWS = 100


class Topology(Settings):
    """The mesh of n agents.

    kind: `complete`; `geometric`, agents within `radius` of each other on the unit square, drawn
    until connected; `ring`; `torus` or `grid`, as square as n allows; or `edges`, given apart.
    speed: of random waypoint motion in units of the square a second, on a geometric mesh, which is
    then redone every `refresh` seconds and need not stay connected.
    """

    kind: Literal["complete", "geometric", "ring", "torus", "grid", "edges"] = "geometric"
    radius: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.3
    speed: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 0.0
    refresh: Annotated[Seconds, Field(gt=0)] = 1.0

    @model_validator(mode="after")
    def _only_the_geometric_moves(self) -> Self:
        if self.speed and self.kind != "geometric":
            raise InvalidInput(f"speed: a {self.kind} mesh does not move")
        return self


class Mesh:
    """Neighbours of every agent: those of the start, or of now where agents move.

    positions: (agents, 2) on the unit square for a geometric mesh, else None. Raises `InvalidInput`
    if the mesh does not connect all agents, or if given `edges` (m, 2) join an agent to itself.
    """

    def __init__(
        self,
        topology: Topology,
        agents: int,
        rng: np.random.Generator,
        edges: IntArray | None = None,
    ) -> None:
        agents = checks.integer("agents", agents, least=1)
        self.topology, self.agents = topology, agents
        self._rng = rng
        self.positions: FloatArray | None = None
        self._goals: FloatArray | None = None
        graph = self._first(edges)
        if not nx.is_connected(graph):
            value = f"radius {topology.radius:g}" if edges is None else "these edges"
            raise InvalidInput(f"{topology.kind}: the mesh is not connected with {value}")
        self.neighbours = _lists(graph)

    def joins(self, there: BoolArray) -> bool:
        """Whether some agents (agents,) reach each other without the others."""
        graph = nx.Graph()
        for agent in np.nonzero(there)[0].tolist():
            near = self.neighbours[agent]
            graph.add_node(agent)
            graph.add_edges_from((agent, other) for other in near[there[near]].tolist())
        return bool(nx.is_connected(graph))

    def move(self, seconds: float) -> None:
        """Let agents move for some time, each towards its goal, then to a new one."""
        if self.positions is None or self._goals is None or not self.topology.speed:
            return
        way = self._goals - self.positions
        left = np.linalg.norm(way, axis=1, keepdims=True)
        step = np.minimum(self.topology.speed * seconds, left)
        self.positions += np.divide(way * step, left, out=np.zeros_like(way), where=left > 0)
        there = (left <= step)[:, 0]
        self._goals[there] = self._rng.random((int(np.sum(there)), 2))
        self.neighbours = _lists(self._near(self.positions))

    def _first(self, edges: IntArray | None) -> nx.Graph:
        n, kind = self.agents, self.topology.kind
        if edges is not None or kind == "edges":
            if edges is None:
                raise InvalidInput("edges: a mesh of kind 'edges' needs them")
            joined = checks.numbered("edges", checks.rows("edges", edges, 2), n, "agents")
            graph = nx.Graph(checks.different("edges", joined).tolist())
            graph.add_nodes_from(range(n))
            return graph
        if kind == "complete":
            return nx.complete_graph(n)
        if kind == "ring":
            return nx.cycle_graph(n)
        if kind in ("torus", "grid"):
            rows = max(d for d in range(1, int(n**0.5) + 1) if n % d == 0)
            graph = nx.grid_2d_graph(rows, n // rows, periodic=kind == "torus")
            return nx.convert_node_labels_to_integers(graph, ordering="sorted")
        for _ in range(DRAWS):
            self.positions = self._rng.random((n, 2))
            self._goals = self._rng.random((n, 2))
            graph = self._near(self.positions)
            if nx.is_connected(graph):
                break
        return graph

    def _near(self, positions: FloatArray) -> nx.Graph:
        places = dict(enumerate(positions.tolist()))
        return nx.random_geometric_graph(self.agents, self.topology.radius, pos=places)


def _lists(graph: nx.Graph) -> list[IntArray]:
    nodes = range(graph.number_of_nodes())
    return [np.array(sorted(graph[node]), dtype=np.int64) for node in nodes]
