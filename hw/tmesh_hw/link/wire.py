"""Bytes on a wire."""

from amaranth.lib import data

#: A byte.
BYTE = data.StructLayout({"data": 8})
