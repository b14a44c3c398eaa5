"""Entropy and agreement over time."""

from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from tmesh.errors import InvalidInput
from tmesh.files import replacing
from tmesh.swarm import Result


def save(result: Result, path: Path) -> None:
    """Write the picture of a run; the suffix chooses the format (.svg, .png)."""
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    time = [row["rounds"] for row in result.history]
    for key, label in (
        ("entropy", "mean entropy (nat)"),
        ("agreement", "agreement"),
        ("collapsed", "collapsed share"),
        ("decided", "share with certificates"),
    ):
        axes.plot(time, [row[key] for row in result.history], label=label)
    axes.set_xlabel("rounds of an agent, on average")
    axes.set_ylim(-0.02, 1.02)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    axes.set_title(f"{result.states.shape[1]} agents on {result.device}, seed {result.seed}")
    write(figure, path)


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
