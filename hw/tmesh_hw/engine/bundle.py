"""Layouts of bundles of events: a slot for each lane."""

from amaranth.lib import data


def slot_layout(row: int) -> data.StructLayout:
    """One event of a bundle, in the lane of its position.

    own: the row of the agent that is written, in the memory bank of the lane. other, bank: its
    partner. second: use the operator's second form. double: afterwards write `other`, which must be
    of the same bank, by the second form from the same old values.
    """
    return data.StructLayout(
        {"own": row, "other": row, "bank": 2, "second": 1, "double": 1, "valid": 1}
    )


def issued_layout(row: int) -> data.StructLayout:
    """One issued event; repeat: the second half of a double, on the values it read."""
    members = dict(slot_layout(row))
    return data.StructLayout({**{n: f.shape for n, f in members.items()}, "repeat": 1})
