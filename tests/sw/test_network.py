"""The network: what channels and partitions do to messages, and who is near whom."""

import numpy as np
import pytest
from tmesh.errors import InvalidInput
from tmesh.network import PROFILES, Channel, Mesh, Network, Partition, Topology


def network(channel: Channel, agents: int = 4, seed: int = 0, **more: object) -> Network:
    rng = np.random.default_rng(seed)
    mesh = Mesh(Topology(kind="complete"), agents, rng)
    return Network(channel, mesh, rng, **more)  # type: ignore[arg-type]


def drained(some: Network) -> list[tuple[float, int, object]]:
    arrived = []
    while window := some.window(np.inf):
        arrived += window
    return arrived


@pytest.mark.parametrize("name", PROFILES)
def test_delays_losses_and_copies_are_those_of_the_channel(name: str) -> None:
    """Means over 20 000 messages on many links."""
    channel, count = PROFILES[name], 20_000
    some = network(channel, 50)
    for number in range(count):
        some.send(number % 50, (number + 1 + number // 50 % 40) % 50, number, 10)
    arrived = drained(some)
    times = np.array([time for time, _, _ in arrived])
    assert times.min() >= channel.minimum
    assert abs(times.mean() - channel.mean) <= 0.03 * channel.mean
    wanted = (1 - channel.lost) * (1 + channel.duplicates)
    assert abs(len(arrived) / count - wanted) <= 0.02
    assert (some.frames, some.bytes) == (count, 10 * count)
    assert [time for time, _, _ in arrived] == sorted(times)


def test_bursts_are_longer_than_chance() -> None:
    """On one link: the mean run of losses of the Gilbert–Elliott chain, not of a coin."""
    channel = Channel(loss=0.0, burst_loss=1.0, worsen=0.05, recover=0.25)
    some = network(channel)
    for number in range(20_000):
        some.send(0, 1, number, 1)
    lost = np.ones(20_000, dtype=bool)
    lost[[message for _, _, message in drained(some)]] = False  # type: ignore[index]
    runs = np.count_nonzero(np.diff(lost.astype(int)) == 1)
    assert lost.mean() == pytest.approx(1 / 6, abs=0.02)
    assert np.sum(lost) / runs == pytest.approx(4, abs=0.4)


def test_messages_overtake_each_other_only_where_delays_vary() -> None:
    for channel, ordered in ((PROFILES["ideal"], True), (PROFILES["uav-mesh"], False)):
        some = network(channel)
        for number in range(200):
            some.send(0, 1, number, 1)
        numbers = [message for _, _, message in drained(some)]
        assert (numbers == sorted(numbers)) is ordered  # type: ignore[type-var]


def test_a_window_holds_nothing_that_follows_from_it() -> None:
    """Whatever is sent on account of a window arrives after it."""
    some = network(Channel(minimum=0.01, spread=0.02))
    for agent in range(4):
        some.wake(agent, 0.003 * agent, "go")
    rng, end = np.random.default_rng(1), 0.0
    for _ in range(200):
        window = some.window(np.inf)
        assert all(time >= end for time, _, _ in window)
        end = some.now
        for _, agent, _ in window:
            some.send(agent, int(rng.integers(4)), "on", 1)


def test_a_partition_parts_for_its_time() -> None:
    parted = Partition(start=1.0, end=2.0, groups=((0, 1),))
    some = network(PROFILES["ideal"], partitions=[parted])
    for start, through in ((0.0, True), (1.5, False), (2.5, True)):
        some.now = start
        some.send(0, 2, "across", 1)
        some.send(2, 3, "among the rest", 1)
        some.send(0, 1, "inside", 1)
        messages = {message for _, _, message in drained(some)}
        assert ("across" in messages) is through
        assert {"inside", "among the rest"} <= messages
    assert some.parted == 1


def test_one_seed_one_history() -> None:
    def messages(seed: int) -> list[tuple[float, int, object]]:
        some = network(PROFILES["lora"], seed=seed)
        for number in range(300):
            some.send(number % 4, (number + 1) % 4, number, 1)
        return drained(some)

    assert messages(5) == messages(5)
    assert messages(5) != messages(6)


def test_meshes_have_their_neighbours() -> None:
    rng = np.random.default_rng(0)
    for kind, agents, degrees in (
        ("complete", 6, {5}),
        ("ring", 6, {2}),
        ("torus", 12, {4}),
        ("grid", 12, {2, 3, 4}),
    ):
        mesh = Mesh(Topology(kind=kind), agents, rng)  # type: ignore[arg-type]
        assert {len(some) for some in mesh.neighbours} == degrees
        for agent, others in enumerate(mesh.neighbours):
            assert all(agent in mesh.neighbours[other] for other in others)


def test_agents_move_no_faster_than_they_can() -> None:
    mesh = Mesh(Topology(radius=0.4, speed=0.05), 40, np.random.default_rng(3))
    before = [set(some.tolist()) for some in mesh.neighbours]
    assert mesh.positions is not None
    places = mesh.positions.copy()
    mesh.move(2.0)
    steps = np.linalg.norm(mesh.positions - places, axis=1)
    assert steps.max() <= 0.1 + 1e-12
    assert steps.mean() > 0.05
    assert before != [set(some.tolist()) for some in mesh.neighbours]


def test_mistakes_are_named() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"geometric: the mesh is not connected with radius 0\.01"):
        Mesh(Topology(radius=0.01), 20, rng)
    for reason, edges in (
        ("edges: agents are numbered 0 to 2, not 99", [[0, 1], [1, 2], [2, 99]]),
        ("edges: agents are numbered 0 to 2, not -1", [[0, 1], [1, 2], [2, -1]]),
        ("edges: row 1 pairs agent 1 with itself", [[0, 1], [1, 1], [1, 2]]),
        (r"edges must be integers \(m, 2\), not int64 \(2, 3\)", [[0, 1, 2], [0, 1, 2]]),
        (r"edges must be integers \(m, 2\), not float64", [[0, 1.5], [1, 2]]),
        ("edges: the mesh is not connected with these edges", [[0, 1]]),
    ):
        with pytest.raises(InvalidInput, match=f"^{reason}"):
            Mesh(Topology(kind="edges"), 3, rng, edges)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="a ring mesh does not move"):
        Topology(kind="ring", speed=1.0)
    with pytest.raises(InvalidInput, match="an agent is in two groups"):
        Partition(start=0, end=1, groups=((0, 1), (1, 2)))
    with pytest.raises(InvalidInput, match="1 is before start, 2"):
        Partition(start=2, end=1, groups=())
