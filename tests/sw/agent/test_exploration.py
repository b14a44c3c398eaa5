"""Four real agents keep their promises in each schedule of a few rounds."""

import pytest
from tmesh.agent.stage import Stage

from .exploration import SCENARIOS, Exploration, Scenario

LATE_AGENT = "a late agent"


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_schedule_with_one_late_message_breaks_a_promise(name: str) -> None:
    late = int(name != LATE_AGENT)  # its opening is late
    found = Exploration(SCENARIOS[name], 3, late).run()
    assert found.faults == []
    assert len(found.seen) > 1000
    assert found.certified > 0
    assert (found.passed > 0) == ("equivocator" not in name)
    assert (found.proven > 0) == ("equivocator" in name or "proof" in name)


def test_no_order_of_the_openings_breaks_a_promise() -> None:
    found = Exploration(SCENARIOS["a late proof"], 0, None).run()
    assert found.faults == []
    assert len(found.seen) == 1 << 12  # each of twelve messages was received, or not yet


def test_a_planted_list_that_grows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    listen = Stage.listen
    grown = lambda stage, before: listen(stage, stage.spread.neighbours)  # noqa: E731
    tied = Scenario(None, (40, -40, 40, -40), (2, 2, 0, 2))
    monkeypatch.setattr(Stage, "listen", grown)
    found = Exploration(tied, 3, 0).run()
    assert any(" excludes agent " in one for one in found.faults)
