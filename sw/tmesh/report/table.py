"""The summary at the end of a run."""

import numpy as np
from rich.table import Table

from tmesh.swarm import Result


def summary(result: Result) -> Table:
    """One line per figure."""
    values = result.to_dict()
    table = Table(title=f"{values['agents']} agents on {result.device}, seed {result.seed}")
    table.add_column("figure")
    table.add_column("value", justify="right")
    shares = np.count_nonzero(result.members)  # of bytes: agents and their decisions
    each = {part: count / shares for part, count in sorted(result.bytes.items())}
    rows = {
        "decided": f"{result.decided:.0%}",
        "outcome": str(result.outcome),
        "final certificates": f"{len(result.certificates):,}",
        "signatures, bytes of one": _one(result),
        "disagreements": str(result.disagreements),
        "entropy (nat)": f"{values['entropy']['mean']:.4f}",
        "agreement": f"{values['agreement']:.4f}",
        "purity": f"{values['purity']:.4f}",
        "coherence": f"{values['coherence']:.4f}",
        "rounds": f"{result.rounds:g}",
        "delays": f"{values['delays']:g}",
        "events": f"{result.events:,}",
        "frames": f"{result.frames:,}",
        "bytes": f"{values['bytes']['total']:,}",
        "of an agent, for a decision": f"{sum(each.values()):,.0f}",
        **{f"  {part}": f"{count:,.0f}" for part, count in each.items()},
        "simulated time": f"{result.seconds:.2f} s",
    }
    if result.cycles is not None and result.clock_hz is not None:
        rows["core cycles"] = f"{result.cycles:,}"
        clock = f"{result.clock_hz / 1e6:g} MHz (assumed)"
        rows[f"time at {clock}"] = f"{result.cycles / result.clock_hz * 1e3:.3f} ms"
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _one(result: Result) -> str:
    """How many signed the first certificate, and its size."""
    if not result.certificates:
        return "none"
    first = result.certificates[0]
    return f"{first.signers.bit_count()}, {len(first.encoded):,}"
