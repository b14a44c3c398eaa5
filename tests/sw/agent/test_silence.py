"""Six agents that fall silent one after another, among agents with the shortest patience."""

import pytest
import tmesh
from tmesh.agent import Statement
from tmesh.agent.draw import draw
from tmesh.agent.records import Record, RecordKind
from tmesh.network import Topology
from tmesh.swarm import Result, Scenario
from tmesh.swarm.run import World

SILENT = (1, 5, 8, 13, 17, 22)


def dwindle(seed: int) -> tuple[World, Result]:
    """A run of 24 agents without losses."""
    scenario = Scenario(
        agents=24,
        faults=7,
        byzantine={"dwindle": SILENT},
        topology=Topology(kind="complete"),
        channel="lan",
        rules={"patience": 1},
        seconds=20.0,
    )
    with tmesh.open_device("model") as device:
        world = World(scenario, device, seed)
        return world, world.run(None)


def dropped(world: World) -> set[int]:
    """The agents that have left an honest agent's list."""
    found = set[int]()
    for agent, journal in enumerate(world.simulation.journals):
        for record in map(Record.decode, journal):
            if agent not in SILENT and record.kind == RecordKind.STATEMENT:
                one = Statement.decode(record.body)
                drawn = draw(world.genesis, world.decisions[0], *one.place[1:])
                found |= set(drawn.lists[agent]) - set(one.heard(drawn))
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_honest_agents_keep_each_other_while_six_fall_silent(seed: int) -> None:
    world, result = dwindle(seed)
    assert result.decided == 1
    assert result.wrongly_excluded == ()
    assert dropped(world) == set(SILENT)
