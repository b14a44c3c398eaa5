"""The mesh, and figures of the run over time."""

from pathlib import Path

import networkx as nx
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tmesh.errors import InvalidInput
from tmesh.files import replacing
from tmesh.swarm import Result

_LINES = (
    ("entropy", "mean entropy, nat"),
    ("agreement", "agreement"),
    ("consistency_radius", "consistency radius"),
    ("settled", "settled share"),
    ("decided", "share with certificates"),
)


def save(result: Result, path: Path) -> None:
    """Write the picture of a run; the suffix chooses the format (.svg, .png)."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    mesh, time = figure.subplots(1, 2, width_ratios=(1, 1.7))
    _mesh(mesh, result)
    _time(time, result)
    figure.suptitle(f"{len(result.byzantine)} agents on {result.device}, seed {result.seed}")
    write(figure, path)


def _mesh(axes: Axes, result: Result) -> None:
    """Drawn links; honest, legal Byzantine and excluded agents apart."""
    agents = range(len(result.byzantine))
    places = result.positions
    if places is None:
        circle = nx.circular_layout(list(agents))
        places = np.array([circle[agent] for agent in agents])
    for first, second in result.links:
        axes.plot(*places[[first, second]].T, color="0.85", linewidth=0.6, zorder=1)
    proven = [one.agent for one in result.suspects if one.proven_by]
    legal = [one.agent for one in result.suspects if not one.proven_by]
    honest = [agent for agent in agents if not result.byzantine[agent]]
    for some, label, marker in (
        (honest, "honest", "o"),
        (legal, "Byzantine, nothing to prove", "s"),
        (proven, "Byzantine, proven and excluded", "X"),
    ):
        if some:
            x, y = places[some].T
            axes.scatter(x, y, s=28, marker=marker, label=label, zorder=2)
    axes.set_axis_off()
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 0), fontsize="small")


def _time(axes: Axes, result: Result) -> None:
    """Figures of the honest agents over seconds; partitions and later epochs shaded."""
    time = [row["time"] for row in result.history]
    for key, label in _LINES:
        axes.plot(time, [row[key] for row in result.history], label=label)
    for start, end in result.partitions:
        axes.axvspan(start, min(end, time[-1]), color="0.5", alpha=0.15, label="partition")
    for before, after in zip(result.history, result.history[1:], strict=False):
        if after["generation"] > before["generation"]:
            axes.axvline(after["time"], color="tab:red", linewidth=0.8, linestyle=":")
        if after["epoch"] > before["epoch"]:
            axes.axvline(after["time"], color="0.3", linewidth=0.8)
    axes.plot([], [], color="tab:red", linewidth=0.8, linestyle=":", label="new generation")
    axes.set_xlabel("simulated seconds")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))


def write(figure: Figure, path: Path) -> None:
    """Replace the file, without a date and random names: the same figure gives the same file.

    Raises `InvalidInput` for a suffix that Matplotlib cannot write, `FileError` where it cannot.
    """
    check_suffix(path)
    with rc_context({"svg.hashsalt": "tmesh"}), replacing(path) as new:
        figure.savefig(new, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)


def check_suffix(path: Path) -> None:
    """Raise `InvalidInput` for a suffix that Matplotlib cannot write."""
    formats = Figure().canvas.get_supported_filetypes()
    if path.suffix.lstrip(".").lower() not in formats:
        raise InvalidInput(f"{path}: a picture ends in one of .{', .'.join(sorted(formats))}")
