"""The floorplan of macros: on netlists whose resistances and order are known."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tmesh_hw.synthesis.floorplan import GAIN, MOST, SITES, conductances, floorplan, place_macros


def cell(kind: str, *nets: int) -> dict[str, Any]:
    return {"type": kind, "connections": {"A": [*nets, "0"]}, "attributes": {}}


def chain(count: int) -> dict[str, Any]:
    """Multipliers in a chain of nets, named in another order."""
    order = np.random.default_rng(1).permutation(count).tolist()
    return {f"m{n:03}": cell("MULT18X18D", 2 + n, 3 + n) for n in order}


def place_of(site: str) -> tuple[int, int]:
    x, y, _ = site.split("/")
    return int(x[1:]), int(y[1:])


def test_conductances_are_those_of_a_network_of_resistors() -> None:
    """A net of two is a resistance of 1, from cell to hub and on; of three, a star of 2/3 each."""
    cells = {
        "a": cell("MULT18X18D", 2, 9),
        "via": cell("LUT4", 2, 3),
        "b": cell("DP16KD", 3, 4),
        "dangling": cell("TRELLIS_FF", 9, 10),
        "end": cell("TRELLIS_FF", 10),
        "beside": cell("LUT4", 4),
        "c": cell("MULT18X18D", 4),
        "alone": cell("LUT4", 20, 21),
        "nowhere": cell("LUT4", 20),
    }
    names, found = conductances(cells)
    assert names == ["a", "b", "c"]
    # a – b: two nets of two, each 1/2 + 1/2. b – c: through the hub of a net of three.
    np.testing.assert_allclose(found, [[0, 1 / 2, 0], [1 / 2, 0, 3 / 4], [0, 3 / 4, 0]], atol=1e-9)


def test_what_is_everywhere_connects_nobody() -> None:
    cells = {f"m{n}": cell("MULT18X18D", 2) for n in range(MOST + 1)}
    cells |= {"a": cell("DP16KD", 3), "b": cell("DP16KD", 3)}
    names, found = conductances(cells)
    assert np.count_nonzero(found) == 2
    assert found[names.index("a"), names.index("b")] > 0


def test_what_is_connected_is_near() -> None:
    """A chain of nearly as many multipliers as there are: its steps are short."""
    cells = chain(150)
    sites = floorplan(cells)
    assert set(sites) == set(cells)
    assert len(set(sites.values())) == len(sites)
    assert set(sites.values()) <= {name for _, _, name in SITES["MULT18X18D"]}
    assert sites == floorplan(cells)
    at = np.array([place_of(sites[name]) for name in sorted(cells)])
    steps = np.abs(np.diff(at, axis=0)).sum(axis=1)
    # 2.6 if it went along the rows; anywhere, a third of 116 columns and 4/9 of 48 rows.
    assert steps.mean() < 60 / 6


@pytest.mark.parametrize("pins", [(0, 0), (0, 90), (125, 0), (125, 90)])
def test_what_leads_to_pins_is_near_them(pins: tuple[int, int]) -> None:
    """A pin at one end of a chain, that would be in any corner."""
    cells = chain(150) | {"pin": cell("TRELLIS_IO", 2)}
    sites = floorplan(cells, pins)
    assert sorted(sites) == sorted(set(cells) - {"pin"})
    at = np.array([place_of(sites[name]) for name in sorted(sites)])
    away = np.abs(at - pins)
    assert np.all(away[:10].mean(axis=0) <= away.mean(axis=0))
    assert away[:10].sum(axis=1).mean() < away[-10:].sum(axis=1).mean()


def test_no_exchange_shortens_the_wires() -> None:
    """By the whole sum, of every two of a kind, and of every one and a free site."""
    rng = np.random.default_rng(2)
    cells = {
        f"m{n}": cell(kind, *rng.integers(2, 40, 4).tolist())
        for n, kind in enumerate(["MULT18X18D"] * 14 + ["DP16KD"] * 10)
    }
    names, conductance = conductances(cells)
    chosen = floorplan(cells)
    at = np.array([place_of(chosen[name]) for name in names])

    def total(places: np.ndarray[Any, Any]) -> float:
        apart = np.abs(places[:, None] - places).sum(axis=2)
        return float((conductance * apart).sum() / 2)

    found, allowed = total(at), total(at) * (1 - GAIN)
    for a, b in itertools.combinations(range(len(names)), 2):
        if cells[names[a]]["type"] == cells[names[b]]["type"]:
            changed = at.copy()
            changed[[a, b]] = at[[b, a]]
            assert total(changed) >= allowed
    for a, name in enumerate(names):
        for x, y, site in SITES[cells[name]["type"]]:
            if site not in chosen.values():
                changed = at.copy()
                changed[a] = x, y
                assert total(changed) >= allowed
    assert found > 0


def test_a_netlist_says_where_its_macros_are(tmp_path: Path) -> None:
    """And else nothing new."""
    cells = {"a": cell("MULT18X18D", 2), "b": cell("DP16KD", 2, 3), "via": cell("LUT4", 3)}
    path = tmp_path / "top.json"
    path.write_text(json.dumps({"modules": {"top": {"cells": cells}}}), encoding="utf-8")
    place_macros(path)
    placed = json.loads(path.read_text(encoding="utf-8"))["modules"]["top"]["cells"]
    sites = {name: placed[name]["attributes"].pop("BEL") for name in ("a", "b")}
    assert sites == floorplan(cells)
    assert placed == cells


def test_more_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^an LFE5U-85F has 156 MULT18X18D$"):
        floorplan(chain(157))
