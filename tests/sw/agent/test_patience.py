"""Waiting for silent agents: who is charged, and for how long one agent excuses another."""

from tmesh.agent.draw import draw
from tmesh.agent.patience import Patience
from tmesh.agent.statement import Statement
from tmesh.devices import open_device
from tmesh.finality.encoding import bits
from tmesh.network import Topology
from tmesh.swarm import Scenario
from tmesh.swarm.run import World


def beats(patience: Patience, count: int, silent: list[int], behind: list[int]) -> None:
    for _ in range(count):
        patience.beat(silent, behind)


def test_a_silent_neighbour_is_charged_beyond_the_grace_of_each_round() -> None:
    patience = Patience(grace=3, patience=5)
    beats(patience, 3 + 5, [1], [1])
    assert not patience.exhausted(1)
    patience.begin()
    beats(patience, 3, [1], [1])
    assert not patience.exhausted(1)
    beats(patience, 1, [1], [1])
    assert patience.exhausted(1)
    assert not patience.exhausted(2)


def test_a_silent_agent_excuses_its_listeners_longer_than_they_wait_for_it() -> None:
    """They use the same rule; their wait may have begun `SLACK` beats later."""
    far, near = Patience(grace=3, patience=5), Patience(grace=3, patience=5)
    for _ in range(100):
        near.beat([7], [7])
        far.beat([], [7])
        if near.exhausted(7):
            assert far.excuses(7)
            break
    beats(far, 2 * Patience.SLACK, [], [7])
    assert not far.excuses(7)


def test_agents_that_fall_silent_one_after_another_stop_nobody_for_an_epoch() -> None:
    """Each is late because of the one that fell silent before it. The shortest patience."""
    rules = {"k": 8, "patience": 1}
    for kind in ("complete", "geometric"):
        scenario = Scenario(
            agents=20,
            topology=Topology(kind=kind),  # type: ignore[arg-type]
            channel="wifi",
            device="model",
            byzantine={"dwindle": 6},
            rules=rules,
        )
        with open_device("model") as device:
            world = World(scenario, device, 1)
            result = world.run(None)
        swarm = world.genesis.rules
        assert result.decided == 1
        assert not result.wrongly_excluded
        assert result.seconds < swarm.beat * swarm.epoch_beats
        for agent, journal in enumerate(world.simulation.journals):
            made = [Statement.decode(one[33:]) for one in journal if one[0] == 3]
            if world.byzantine[agent]:
                continue
            drawn = draw(world.genesis, world.decisions[0], 1, 0)
            honest = {one for one in bits(drawn.neighbours[agent]) if not world.byzantine[one]}
            assert honest <= set(made[-1].heard(drawn))
