"""Where the multipliers and block memories of an LFE5U-85F go.

They have a few rows of sites. nextpnr's placers consider this last, and put them far from the logic
that they connect to. So they get fixed sites first.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.sparse.linalg import splu
from tmesh.errors import InvalidInput
from tmesh.golden.reference import FloatArray

#: First columns of the groups of sites in a row.
_GROUPS = (4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114)

#: Rows with sites by the type of cell, and the sites of a group: column in it, and name.
_ROWS = {
    "MULT18X18D": ((10, 34, 58), [(n, f"MULT18_{n}") for n in (0, 1, 4, 5)]),
    "DP16KD": ((22, 46, 70, 82), [(2 * n, f"EBR{n}") for n in range(4)]),
}

#: Sites by the type of cell: column, row, and nextpnr's name.
SITES = {
    kind: [
        (group + column, row, f"X{group + column}/Y{row}/{name}")
        for row in rows
        for group in _GROUPS
        for column, name in group_sites
    ]
    for kind, (rows, group_sites) in _ROWS.items()
}

#: nextpnr's name of a pin.
PIN = "TRELLIS_IO"

#: Cells on a net that says who belongs together; others say what is everywhere, as a reset does.
MOST = 30

#: Sweeps of exchanges at most, and by how much one has to shorten all wires to be followed.
SWEEPS, GAIN = 40, 1e-3


def conductances(
    cells: dict[str, Any], kinds: Collection[str] = tuple(SITES)
) -> tuple[list[str], FloatArray]:
    """The macros (n) among `cells` of a Yosys netlist, or others of such `kinds`, and how well each
    pair is connected (n, n).

    Every net is a star of resistors with its cells around it. Cells that are no macros are
    eliminated (Kron reduction). Two macros then have the conductance of all paths through logic,
    however long. Cells that only hang on them do not count.
    """
    names = list(cells)
    nets: dict[int, set[int]] = {}
    for number, name in enumerate(names):
        for bits in cells[name]["connections"].values():
            for bit in bits:
                if isinstance(bit, int):
                    nets.setdefault(bit, set()).add(number)
    pins = [sorted(pins) for pins in nets.values() if 2 <= len(pins) <= MOST]
    size = len(names) + len(pins)
    ends = np.array([cell for net in pins for cell in net], dtype=np.int64)
    fanout = np.array([len(net) for net in pins], dtype=np.int64)
    hubs = np.repeat(np.arange(len(names), size), fanout)
    weights = np.repeat(fanout / (fanout - 1), fanout)
    star = sparse.coo_matrix((weights, (ends, hubs)), shape=(size, size))
    graph = (star + star.T).tocsr()
    laplacian = sparse.diags(np.asarray(graph.sum(axis=1)).ravel()) - graph
    macros = np.array([n for n, name in enumerate(names) if cells[name]["type"] in kinds])
    # Cells without a path to a macro do not matter, and would have no solution.
    _, part = sparse.csgraph.connected_components(graph, directed=False)
    logic = np.setdiff1d(np.flatnonzero(np.isin(part, part[macros])), macros)
    between = laplacian[logic][:, macros].toarray()
    inner = splu(
        laplacian[logic][:, logic].tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    reduced = laplacian[macros][:, macros].toarray() - between.T @ inner.solve(between)
    found = np.maximum(-(reduced + reduced.T) / 2, 0)
    np.fill_diagonal(found, 0)
    return [names[n] for n in macros], found


def floorplan(cells: dict[str, Any], pins: tuple[int, int] | None = None) -> dict[str, str]:
    """A site for each macro among `cells`, by their names. pins: the column and row near which the
    device has the pins of the design, if that is known.

    First it places them in the order of the second and third eigenvector of their conductances'
    Laplacian, the plane in which wires are shortest (Hall, Management Science 17, 1970). Of the
    mirror images it takes the one with the shortest wires to the pins. Then it exchanges two
    macros, or one and a free site, while that shortens Σ conductance · (|Δx| + |Δy|).

    Raises ``ValueError`` when there are more macros of a kind than sites.
    """
    for kind, sites in SITES.items():
        if sum(cell["type"] == kind for cell in cells.values()) > len(sites):
            raise InvalidInput(f"an LFE5U-85F has {len(sites)} {kind}")
    names, conductance = conductances(cells)
    kinds = np.array([cells[name]["type"] for name in names])
    places = {kind: np.array([site[:2] for site in SITES[kind]], dtype=float) for kind in SITES}
    ranks = _ranks(conductance)
    if pins is not None:
        ranks = _mirrored(ranks, places, pins, _to_pins(cells))
    taken = _first(ranks, kinds, places)
    _exchange(conductance, kinds, places, taken)
    return {
        name: SITES[kind][site][2] for name, kind, site in zip(names, kinds, taken, strict=True)
    }


def _ranks(conductance: FloatArray) -> FloatArray:
    """Where each macro is on a plane (n, 2), evenly in 0 to 1."""
    count = len(conductance)
    degree = np.maximum(conductance.sum(axis=1), np.finfo(float).tiny)
    scale = 1 / np.sqrt(degree)
    _, vectors = np.linalg.eigh(np.eye(count) - scale[:, None] * conductance * scale)
    plane = scale[:, None] * vectors[:, [1, 2]] if count > 2 else np.zeros((count, 2))
    return np.asarray((np.argsort(np.argsort(plane, axis=0), axis=0) + 0.5) / count)


def _on_device(ranks: FloatArray, places: dict[str, FloatArray]) -> FloatArray:
    """Columns and rows, from the first to the last of all sites."""
    every = np.concatenate(list(places.values()))
    return np.asarray(every.min(axis=0) + ranks * np.ptp(every, axis=0))


def _to_pins(cells: dict[str, Any]) -> FloatArray:
    """How well each macro is connected to pins."""
    names, found = conductances(cells, (*SITES, PIN))
    is_pin = np.array([cells[name]["type"] == PIN for name in names])
    return np.asarray(found[~is_pin][:, is_pin].sum(axis=1))


def _mirrored(
    ranks: FloatArray, places: dict[str, FloatArray], pins: tuple[int, int], to_pins: FloatArray
) -> FloatArray:
    """`ranks`, or their values from the other end, for columns and for rows."""
    images = (ranks, 1 - ranks)
    here, there = (to_pins @ np.abs(_on_device(image, places) - pins) for image in images)
    return np.where(there < here, 1 - ranks, ranks)


def _first(ranks: FloatArray, kinds: Any, places: dict[str, FloatArray]) -> Any:
    """A site (n) for each macro, near to where it would be on a plane."""
    wanted = _on_device(ranks, places)
    taken = np.zeros(len(kinds), dtype=np.int64)
    for kind, sites in places.items():
        mine = np.flatnonzero(kinds == kind)
        away = ((wanted[mine][:, None] - sites) ** 2).sum(axis=2)
        rows, columns = linear_sum_assignment(away)
        taken[mine[rows]] = columns
    return taken


def _exchange(
    conductance: FloatArray, kinds: Any, places: dict[str, FloatArray], taken: Any
) -> None:
    """Shorten the wires between macros, in place."""
    at = np.array([places[kind][site] for kind, site in zip(kinds, taken, strict=True)])
    holders = {kind: np.full(len(sites), -1) for kind, sites in places.items()}
    for macro, (kind, site) in enumerate(zip(kinds, taken, strict=True)):
        holders[kind][site] = macro

    def away(points: FloatArray) -> FloatArray:
        return np.asarray(np.abs(points[..., None, :] - at).sum(axis=-1))

    for _ in range(SWEEPS):
        gained = 0.0
        for macro, kind in enumerate(kinds):
            sites, holder = places[kind], holders[kind]
            # Cost of this macro at each site; and of the macro at that site, if it moves here. The
            # way between the two stays what it is.
            change = away(sites) @ conductance[macro]
            here = away(at[macro])
            change -= conductance[macro] @ here
            held = np.flatnonzero(holder >= 0)
            others = holder[held]
            change[held] += conductance[others] @ here
            change[held] -= (conductance[others] * away(at[others])).sum(axis=1)
            change[held] += 2 * conductance[macro, others] * here[others]
            change[taken[macro]] = 0
            best = int(change.argmin())
            if change[best] >= 0:
                continue
            gained -= change[best]
            other, left = holder[best], taken[macro]
            holder[best], holder[left] = macro, other
            taken[macro], at[macro] = best, sites[best]
            if other >= 0:
                taken[other], at[other] = left, sites[left]
        total = sum(conductance[n] @ away(at[n]) for n in range(len(kinds))) / 2
        if gained <= GAIN * total:
            return


def place_macros(netlist: Path, pins: tuple[int, int] | None = None) -> None:
    """Write the sites of its macros into a Yosys netlist of a ``top``, as nextpnr takes them; pins:
    see `floorplan`."""
    design = json.loads(netlist.read_text(encoding="utf-8"))
    cells = design["modules"]["top"]["cells"]
    for name, site in floorplan(cells, pins).items():
        cells[name]["attributes"]["BEL"] = site
    netlist.write_text(json.dumps(design), encoding="utf-8")
