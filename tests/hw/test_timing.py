"""The report of routed designs, without routing any."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tmesh_hw.synthesis import timing


def _row(design: timing.Design, seeds: Sequence[int]) -> dict[str, Any]:
    """What `timing.measure` would return."""
    figures = dict.fromkeys(("lut", "ff", "dsp", "bram"), 1_000)
    rates = {"mhz_min": 100.0, "mhz_median": 120.0, "interval": 2.0, "latency": 50}
    device = f"LFE5U-{design.device}"
    return {"design": design.name, "device": device, **figures, **rates, "seeds": len(seeds)}


def test_a_run_goes_on_where_another_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each design is kept as soon as it is routed, and not routed again; the table has them all."""
    routed: list[str] = []

    def measure(design: timing.Design, seeds: Sequence[int]) -> dict[str, Any]:
        if len(routed) == 3:
            raise RuntimeError("out of time")
        routed.append(f"{design.name} {design.device}")
        return _row(design, seeds)

    monkeypatch.setattr(timing, "measure", measure)
    report, picture = tmp_path / "routed.json", tmp_path / "routed.svg"
    report.write_text("[]", encoding="utf-8")
    command = ["timing", "--report", str(report), "--picture", str(picture), "--seeds", "1"]
    monkeypatch.setattr(sys, "argv", [*command, "--missing"])
    with pytest.raises(RuntimeError, match="out of time"):
        timing.main()
    assert len(json.loads(report.read_text(encoding="utf-8"))) == 3

    before, routed[:] = set(routed), []
    monkeypatch.setattr(timing, "measure", lambda d, s: (routed.append(d.name), _row(d, s))[1])
    timing.main()
    wanted = {f"{design.name} {design.device}" for design in timing.designs()}
    assert len(wanted) == len(list(timing.designs())) == 3 + len(routed)
    assert before <= wanted
    printed = capsys.readouterr().out
    assert printed.count("| 1 | 100 / 120 |") == len(wanted)
    first = picture.read_bytes()
    timing.main()  # nothing is missing: the same picture from the same figures
    assert picture.read_bytes() == first
    assert len(routed) == len(wanted) - 3


def test_a_design_is_behind_four_pins() -> None:
    """Its own ports are registers, or the pins would be in the clock rate."""
    ports = timing.FewPins(next(timing.designs()).component()).ports
    assert [len(port) for port in ports] == [1, 1, 1, 1]
