"""Waiting for silent agents: who is charged, and for how long one agent excuses another."""

from tmesh.agent.patience import Patience, Wait


def beats(patience: Patience, count: int, *waits: Wait) -> None:
    for _ in range(count):
        patience.beat(waits)


def test_a_silent_neighbour_is_charged_beyond_the_grace_of_each_round() -> None:
    patience = Patience(0, grace=3, patience=5)
    beats(patience, 3 + 5, Wait(0, 1, 4))
    assert not patience.exhausted(0, 1)
    beats(patience, 3, Wait(0, 1, 5))
    assert not patience.exhausted(0, 1)
    beats(patience, 1, Wait(0, 1, 5))
    assert patience.exhausted(0, 1)
    assert not patience.exhausted(0, 2)


def test_the_grace_of_a_neighbour_begins_when_it_has_all_it_needs() -> None:
    """However long another one was waited for in the same round."""
    patience = Patience(0, grace=3, patience=1)
    beats(patience, 50, Wait(0, 1, 4))
    beats(patience, 4, Wait(0, 2, 4))
    assert patience.exhausted(0, 1)
    assert not patience.exhausted(0, 2)


def test_a_listener_has_more_time_in_the_view_of_others_than_in_its_own() -> None:
    near, far = Patience(1, grace=3, patience=5), Patience(0, grace=3, patience=5)
    wait = Wait(1, 7, 2)
    while not near.exhausted(1, 7):
        beats(near, 1, wait)
        beats(far, 1, wait)
    beats(far, 2 * Patience.SLACK - 1, wait)
    assert not far.exhausted(1, 7)
    beats(far, 1, wait)
    assert far.exhausted(1, 7)
