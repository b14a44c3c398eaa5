"""A user's own evidence and edges: good files are read, mistakes are named by file and row."""

import contextlib
import io
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tmesh.errors import TMeshError
from tmesh.swarm import tables

P = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.1, 0.1, 0.8]])


def npz(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # also what is no array
    return buffer.getvalue()


def archive(name: str, member: bytes, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as made:
        made.writestr(name, member)
    return buffer.getvalue()


def header(shape: str, rest: bytes = b"") -> bytes:
    """An array whose header claims a shape."""
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + rest


def test_evidence_and_edges_are_read_from_both_kinds_of_file(tmp_path: Path) -> None:
    text = "0.2,0.3,0.5\n1,0,0\n0.1,0.1,0.8\n"
    (tmp_path / "p.csv").write_text(text, encoding="utf-8-sig")
    (tmp_path / "header.csv").write_text("a, b, c\n" + text)
    (tmp_path / "comment.csv").write_text("# a,b,c\n" + text)
    (tmp_path / "p.npz").write_bytes(npz(evidence=P))
    (tmp_path / "single.npz").write_bytes(npz(evidence=P.astype(np.float32)))
    for path in tmp_path.iterdir():
        np.testing.assert_allclose(tables.evidence(path, 3, 3), P, atol=1e-7)
    (tmp_path / "e.csv").write_text("from,to\n0,1\n1,2\n")
    (tmp_path / "e.npz").write_bytes(npz(edges=np.array([[0, 1], [1, 2]], dtype=np.uint8)))
    for path in (tmp_path / "e.csv", tmp_path / "e.npz"):
        np.testing.assert_array_equal(tables.edges(path, 3), [[0, 1], [1, 2]])


EVIDENCE = {
    "truncated archive": (npz(evidence=P)[:-30], "not an NPZ archive"),
    "damaged archive": (
        npz(evidence=P).replace(b"PK\x05\x06", b"PK\x05\x07"),
        "not an NPZ archive",
    ),
    "no archive": (b"0,0,1\n", "not an NPZ archive"),
    "empty": (b"", "not an NPZ archive"),
    "other arrays": (npz(x=P), "evidence: the archive has no array of that name"),
    "pickled objects": (npz(evidence=np.array([[None] * 3])), "not an NPZ archive"),
    "strings": (
        npz(evidence=np.array([["0", "0", "1"]])),
        "evidence: must be real numbers in 3 columns",
    ),
    "booleans": (npz(evidence=P > 0), "evidence: must be real numbers in 3 columns, not bool"),
    "complex numbers": (
        npz(evidence=P * 1j),
        "evidence: must be real numbers in 3 columns, not complex128",
    ),
    "two columns": (
        npz(evidence=P[:, :2]),
        r"evidence: must be real numbers in 3 columns, not float64 \(3, 2\)",
    ),
    "too few": (npz(evidence=P[:2]), "evidence: 2 rows, not 3"),
    "not finite": (
        npz(evidence=np.array([[0, 0, 1], [0, np.nan, 0]])),
        "evidence: row 1 is not finite",
    ),
    "too much": (
        npz(evidence=np.array([[0, 0, 1], [0, 1, 1.0]])),
        "evidence: row 1 holds no probabilities that sum to 1",
    ),
    "negative": (
        npz(evidence=np.array([[0, 0, 1], [2, -1, 0.0]])),
        "evidence: row 1 holds no probabilities that sum to 1",
    ),
    "far too much": (npz(evidence=np.full((3, 3), 1e300)), "evidence: row 0 holds no"),
    "an array too large": (
        archive("evidence.npy", header("(1000000000000, 3)")),
        "not an NPZ archive",
    ),
    "a shape of nothing": (
        archive("evidence.npy", header("(-1, 3)", b"12345678")),
        "not an NPZ archive",
    ),
    "a header that ends early": (archive("evidence.npy", header("(3, 3")), "not an NPZ"),
    "a header that no key can have": (archive("evidence.npy", header("3, []: 1")), "not an NPZ"),
    "a shape of truth": (archive("evidence.npy", header("(True, 3)", bytes(24))), "not an NPZ"),
    "a shape of Python 2": (archive("evidence.npy", header("(3L, 3L)", bytes(72))), "not an NPZ"),
    "a header of minus signs": (archive("evidence.npy", header(9000 * "-" + "1")), "not an NPZ"),
    "damaged LZMA": (
        archive("evidence.npy", bytes(99), zipfile.ZIP_LZMA).replace(b"\x5d\x00", b"\xff\xff"),
        "not an NPZ",
    ),
    "a header that is code": (archive("evidence.npy", header("(__import__('os'),)")), "not an NPZ"),
    "a bomb": (
        archive("evidence.npy", bytes(1 << 21)),
        r"not .*: evidence\.npy has 2,097,152 bytes, over",
    ),
}


@pytest.mark.parametrize(("data", "reason"), EVIDENCE.values(), ids=EVIDENCE)
def test_evidence_that_is_wrong_is_named(
    data: bytes, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "LARGEST", 1 << 20)
    path = tmp_path / "own.npz"
    path.write_bytes(data)
    with pytest.raises(TMeshError, match=rf"own\.npz: {reason}") as caught:
        tables.evidence(path, 3, 3)
    assert "\n" not in str(caught.value)


EDGES = {
    "self-loop": ("0,1\n1,2\n2,2\n", "edges: row 2 joins an agent to itself"),
    "no such agent": ("0,1\n1,3\n", "edges: row 1 names no agents from 0 to 2"),
    "negative": ("0,-1\n", "edges: row 0 names no agents"),
    "half": ("0,0.5\n", "edges: row 0 names no agents"),
    "huge": ("0,1e300\n", "edges: row 0 names no agents"),
    "infinite": ("0,inf\n", "edges: row 0 is not finite"),
    "three columns": ("0,1,2\n", r"edges: must be real numbers in 2 columns, not float64 \(1, 3\)"),
    "ragged": ("0,1\n1\n", "not a table of numbers"),
    "words": ("from,to\n0,1\nfrom,to\n", "not a table of numbers"),
    "empty": ("", "not a table of numbers"),
    "not UTF-8": ("0,1\n\udcff", "not a table of numbers"),
}


@pytest.mark.parametrize(("text", "reason"), EDGES.values(), ids=EDGES)
def test_edges_that_are_wrong_are_named(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(TMeshError, match=rf"own\.csv: {reason}") as caught:
        tables.edges(path, 3)
    assert "\n" not in str(caught.value)


def test_a_path_without_a_table_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LARGEST", 1 << 10)
    for path, reason in (
        (tmp_path, "Is a directory"),
        (tmp_path / "none.csv", "No such file"),
        (Path("/dev/zero"), "over 1,024 bytes"),
    ):
        with pytest.raises(TMeshError, match=f"{path}: {reason}"):
            tables.evidence(path, 3, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all that Hypothesis tries."""
    return tmp_path_factory.mktemp("tables")


READERS: dict[str, Callable[[Path, int], object]] = {
    "evidence": partial(tables.evidence, outcomes=3),
    "edges": tables.edges,
}


@settings(derandomize=True, max_examples=300, deadline=None)
@given(
    st.sampled_from([npz(evidence=P), npz(edges=np.array([[0, 1], [1, 2]]))]),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=4),
    st.integers(0, 400),
    st.sampled_from(sorted(READERS)),
)
def test_a_damaged_archive_raises_nothing_else(
    folder: Path, data: bytes, changes: list[tuple[int, int]], cut: int, reader: str
) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    path = folder / "damaged.npz"
    path.write_bytes(damaged[: len(damaged) - cut] if cut < 200 else damaged)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(TMeshError):
            READERS[reader](path, 3)
