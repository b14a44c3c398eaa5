"""The summary at the end of a run."""

import numpy as np
from rich.table import Table

from tmesh.swarm import Result


def summary(result: Result) -> Table:
    """One line per figure, each with its unit."""
    values = result.to_dict()
    table = Table(
        title=f"{values['agents']} agents on {result.device}, seed {result.seed}",
        box=None,
        padding=(0, 2, 0, 0),
    )
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("unit")
    shares = np.count_nonzero(result.members)  # of bytes: agents and their decisions
    lines = [
        *_outcome(result),
        *_byzantine(result),
        ("statements", f"{result.events:,}", "of all agents"),
        ("rounds", f"{result.rounds:g}", "statements of an agent, median"),
        ("updates", f"{result.spent.updates:,}", "on the device"),
        ("audits", f"{result.spent.audits:,}", "statements recomputed on the device"),
        ("entropy", f"{values['entropy']['mean']:.4f}", "nat, mean of the honest agents"),
        ("agreement", f"{values['agreement']:.4f}", "1 if all opinions are equal"),
        ("consistency radius", f"{result.history[-1]['consistency_radius']:.4f}", "at the end"),
        ("simulated time", f"{result.seconds:.2f}", "s"),
        ("causal depth", f"{result.delays:g}", "messages, median"),
        ("frames", f"{result.frames:,}", ""),
        ("bytes", f"{sum(result.bytes.values()) / shares:,.0f}", "per agent and decision"),
    ]
    for part, count in sorted(result.bytes.items()):
        lines.append((f"  {part}", f"{count / shares:,.0f}", ""))
    if result.cycles is not None and result.clock_hz is not None:
        milliseconds = result.cycles / result.clock_hz * 1e3
        clock = f"ms at {result.clock_hz / 1e6:g} MHz (assumed)"
        lines += [
            ("core cycles, updates", f"{result.spent.update_cycles:,}", ""),
            ("core cycles, audits", f"{result.spent.audit_cycles:,}", ""),
            ("core time", f"{milliseconds:.3f}", clock),
        ]
    for line in lines:
        table.add_row(*line)
    return table


def _outcome(result: Result) -> list[tuple[str, str, str]]:
    lines = [
        ("decided", f"{result.decided:.0%}", "of the honest agents hold a certificate"),
        ("outcome", str(result.outcome), f"most honest agents preferred {result.preferred[0]}"),
        ("disagreements", str(result.disagreements), "honest agents"),
        ("certificates", f"{len(result.certificates):,}", ""),
    ]
    if result.certificates:
        first = result.certificates[0]
        signers = f"bytes, {first.signers.bit_count()} signatures"
        lines.append(("  size of one", f"{len(first.encoded):,}", signers))
    return lines


def _byzantine(result: Result) -> list[tuple[str, str, str]]:
    if not result.suspects:
        return []
    proven = [one for one in result.suspects if one.proven_by]
    names = sorted({one.kind for one in result.suspects})
    lines = [
        ("Byzantine agents", str(len(result.suspects)), ", ".join(names)),
        ("  proven", str(len(proven)), "and excluded"),
        ("  honest, but excluded", str(len(result.wrongly_excluded)), "must be 0"),
        ("generations", str(result.generations), "starts of the averaging"),
    ]
    spans = [one.last - one.first for one in proven if one.last is not None and one.first]
    if spans:
        lines.insert(2, ("  known to all", f"{max(spans):.2f}", "s after the first, at most"))
    return lines
