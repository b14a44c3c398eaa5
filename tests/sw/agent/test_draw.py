"""The draw: degrees, symmetry, connection, and what it depends on."""

import networkx as nx
import pytest
from tmesh.agent.draw import Draw, draw
from tmesh.finality import Decision
from tmesh.finality.encoding import bits
from tmesh.genesis import Genesis, SwarmRules
from tmesh.ledger import KeySet

N = 40


def genesis(k: int = 4, links: list[tuple[int, int]] | None = None, seed: int = 0) -> Genesis:
    return Genesis(KeySet.simulated(N, seed)[0], 13, links, SwarmRules(k=k))


def graph(drawn: Draw) -> nx.Graph:
    made = nx.Graph()
    made.add_nodes_from(bits(drawn.members))
    made.add_edges_from((a, b) for a, near in enumerate(drawn.lists) for b in near)
    return made


DECISION = Decision.of_all(b"pad", N)


@pytest.mark.parametrize("k", [1, 2, 4, 7, 20])
def test_both_ends_hear_each_other_and_degrees_are_bounded(k: int) -> None:
    for epoch in range(1, 6):
        drawn = draw(genesis(k), DECISION, epoch, 0)
        for agent, near in enumerate(drawn.lists):
            assert all(agent in drawn.lists[other] for other in near)
            assert agent not in near
            assert len(near) <= 2 * k


def test_a_draw_connects_what_the_mesh_connects() -> None:
    ring = [(a, a + 1) for a in range(N - 1)] + [(0, N - 1)]
    two = [(a, b) for a in range(N) for b in range(a + 1, N) if (a < 20) == (b < 20)]
    for links, parts in ((None, 1), (sorted(ring), 1), (two, 2)):
        for epoch in range(1, 20):
            drawn = draw(genesis(4, links), DECISION, epoch, 0)
            assert nx.number_connected_components(graph(drawn)) == parts


def test_only_links_of_the_genesis_are_drawn() -> None:
    links = [(a, a + d) for a in range(N) for d in (1, 2, 3) if a + d < N]
    drawn = draw(genesis(2, sorted(links)), DECISION, 1, 0)
    assert all((min(a, b), max(a, b)) in links for a, b in graph(drawn).edges)


def test_excluded_agents_and_those_without_a_part_are_left_out() -> None:
    subset = Decision(b"pad", (1 << 10) - 1, 3)
    drawn = draw(genesis(), subset, 1, 0b11)
    assert drawn.members == (1 << 10) - 4
    assert all(2 <= b < 10 for a, near in enumerate(drawn.lists) for b in (a, *near) if near)


def test_the_draw_depends_on_swarm_decision_epoch_and_generation() -> None:
    other = Decision.of_all(b"pad", N, number=1)
    first = draw(genesis(), DECISION, 1, 0).neighbours
    assert first == draw.__wrapped__(genesis(), DECISION, 1, 0).neighbours
    for swarm, decision, epoch in (
        (genesis(seed=1), DECISION, 1),
        (genesis(), other, 1),
        (genesis(), DECISION, 2),
    ):
        assert draw(swarm, decision, epoch, 0).neighbours != first
    without = draw(genesis(), DECISION, 1, 1)
    assert [near & ~1 for near in first[1:]] != list(without.neighbours[1:])


def test_broadcast_trees_reach_everybody_once_by_shortest_paths() -> None:
    drawn = draw(genesis(), DECISION, 1, 0)
    for root, distance in nx.all_pairs_shortest_path_length(graph(drawn)):
        depth, front = {root: 0}, [root]
        while front:
            agent = front.pop(0)
            for other, roots in zip(drawn.lists[agent], drawn.children[agent], strict=True):
                if roots >> root & 1:
                    assert other not in depth
                    depth[other] = depth[agent] + 1
                    front.append(other)
        assert depth == distance
