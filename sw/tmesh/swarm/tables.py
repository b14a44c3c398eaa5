"""A user's own data from CSV or NPZ: evidence, and edges of the mesh; checked row by row.

The first line of a CSV is a header if none of its cells is a number. Row 0 comes after it.
"""

import io
import math
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tmesh.errors import InvalidInput
from tmesh.files import read_at_most
from tmesh.golden.reference import FloatArray
from tmesh.numbers import IntArray

#: Bytes of a file, and of an array in it, however well it is compressed.
LARGEST = 1 << 28

#: By how much the probabilities of a row may miss a sum of 1.
TOLERANCE = 1e-6


def evidence(path: Path, agents: int, outcomes: int) -> FloatArray:
    """Probabilities (agents, outcomes) from a CSV with one row an agent, or an NPZ (`evidence`).

    Raises `InvalidInput` with file and row.
    """
    table = _arrays(path, ("evidence",)).get("evidence")
    chances = _columns(path, "evidence", table, outcomes)
    inside = np.all((chances >= 0) & (chances <= 1), axis=1)
    whole = inside & (np.abs(chances.sum(axis=1) - 1) <= TOLERANCE)
    _rows(path, "evidence", whole, "holds no probabilities that sum to 1")
    if len(chances) != agents:
        raise InvalidInput(f"{path}: evidence: {len(chances)} rows, not {agents}")
    return chances / chances.sum(axis=1, keepdims=True)


def edges(path: Path, agents: int) -> IntArray:
    """Pairs (m, 2) of different agents below `agents`, from a CSV (rows i, j) or NPZ (`edges`).

    Raises `InvalidInput` with file and row.
    """
    pairs = _columns(path, "edges", _arrays(path, ("edges",)).get("edges"), 2)
    known = np.all((pairs >= 0) & (pairs < agents) & (pairs == np.floor(pairs)), axis=1)
    _rows(path, "edges", known, f"names no agents from 0 to {agents - 1}")
    _rows(path, "edges", pairs[:, 0] != pairs[:, 1], "joins an agent to itself")
    return pairs.astype(np.int64)


def _rows(
    path: Path,
    key: str,
    good: npt.NDArray[np.bool_],
    what: str = "holds no probabilities that sum to 1",
) -> None:
    """Refuse the first row that is not good."""
    if not np.all(good):
        raise InvalidInput(f"{path}: {key}: row {int(np.argmin(good))} {what}")


def _columns(path: Path, key: str, table: npt.NDArray[Any] | None, columns: int) -> FloatArray:
    """A finite table (n, columns) of float64."""
    if table is None:
        raise InvalidInput(f"{path}: {key}: the archive has no array of that name")
    if table.dtype.kind not in "fiu" or table.ndim != 2 or table.shape[1] != columns:
        raise InvalidInput(
            f"{path}: {key}: must be real numbers in {columns} columns, "
            f"not {table.dtype} {table.shape}"
        )
    values = table.astype(np.float64)
    _rows(path, key, np.all(np.isfinite(values), axis=1), "is not finite")
    return values


def _arrays(path: Path, names: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
    """Arrays of these names; of a CSV its table, under the last of them."""
    data = read_at_most(path, LARGEST)
    if path.suffix == ".npz":
        return _archive(path, data, names)
    return {names[-1]: _csv(path, data)}


def _csv(path: Path, data: bytes) -> FloatArray:
    try:
        text = data.decode("utf-8-sig")
        first = text.partition("\n")[0]
        header = bool(first.strip()) and not any(_is_number(cell) for cell in first.split(","))
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy warns of an empty file
            table = io.StringIO(text)
            return np.loadtxt(table, delimiter=",", ndmin=2, dtype=np.float64, skiprows=int(header))
    except (ValueError, OverflowError, UserWarning) as error:
        reason = " ".join(str(error).split())[:120]
        raise InvalidInput(f"{path}: not a table of numbers: {reason}") from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _archive(path: Path, data: bytes, names: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(io.BytesIO(data)) as archive:
            warnings.simplefilter("error")  # NumPy warns of headers that Python 2 wrote
            members = {f"{name}.npy": name for name in names}
            found = [one for one in archive.infolist() if one.filename in members]
            for one in found:
                if one.file_size > LARGEST:
                    raise InvalidInput(
                        f"{one.filename} has {one.file_size:,} bytes, over {LARGEST:,}"
                    )
            return {members[one.filename]: _array(archive.read(one)) for one in found}
    except Exception as error:  # zipfile, its decompressors and NumPy's parser raise many kinds
        reason = " ".join(str(error).split())[:120]
        raise InvalidInput(f"{path}: not an NPZ archive of numbers: {reason}") from None


def _array(data: bytes) -> npt.NDArray[Any]:
    """An array in NumPy's format. Its header is held against its size before memory is taken."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise InvalidInput(f"an array of version {version}")
    shape, _, dtype = read(stream)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise InvalidInput(f"{dtype} {shape} in {len(data)} bytes")
    stream.seek(0)
    return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
