"""Who can talk to whom."""

import networkx as nx
import numpy as np

from tmesh.numbers import IntArray
from tmesh.swarm.scenario import Scenario


def neighbours(scenario: Scenario, rng: np.random.Generator) -> list[IntArray]:
    """Neighbour lists of every agent, in a connected mesh.

    The mesh is the scenario's own, or a random geometric graph on the unit square; a disconnected
    draw is drawn again. Raises ``ValueError`` when the mesh does not connect, or leaves an agent
    fewer than k neighbours.
    """
    edges = scenario.initial_edges()
    for _ in range(100):
        if edges is None:
            seed = int(rng.integers(1 << 31))
            graph = nx.random_geometric_graph(scenario.agents, scenario.radius, seed=seed)
        else:
            graph = nx.Graph(edges.tolist())
            graph.add_nodes_from(range(scenario.agents))
        if nx.is_connected(graph) or edges is not None:
            break
    if not nx.is_connected(graph):
        key, value = ("edges", scenario.edges) if edges is not None else ("radius", scenario.radius)
        raise ValueError(f"{key}: the mesh is not connected with {value!r}")
    lists = [np.array(sorted(graph[agent]), dtype=np.int64) for agent in range(scenario.agents)]
    if scenario.k >= scenario.agents:
        raise ValueError(f"k: {scenario.k} neighbours, but there are {scenario.agents} agents")
    if edges is not None:
        fewest = min(range(scenario.agents), key=lambda agent: len(lists[agent]))
        if len(lists[fewest]) < scenario.k:
            raise ValueError(
                f"k: {scenario.k} neighbours, but agent {fewest} has {len(lists[fewest])}"
            )
    return lists
