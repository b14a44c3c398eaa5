"""Files that T-MESH keeps: one cache folder, and results that are whole or not there at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tmesh.errors import FileError, TMeshError


def cache_folder() -> Path:
    """The absolute path of the folder in which builds are kept from run to run; made if missing.

    ``TMESH_CACHE`` names it, else it is ``tmesh`` in ``XDG_CACHE_HOME``, else in ``.cache`` of the
    home folder. An empty variable counts as unset, and so does a relative ``XDG_CACHE_HOME`` (XDG
    Base Directory Specification 0.8).

    Raises `FileError` if the folder cannot be made or written.
    """
    chosen, shared = os.environ.get("TMESH_CACHE"), os.environ.get("XDG_CACHE_HOME", "")
    try:
        if chosen:
            folder = Path(chosen).expanduser().absolute()
        elif Path(shared).is_absolute():
            folder = Path(shared, "tmesh")
        else:
            folder = Path.home() / ".cache" / "tmesh"
    except RuntimeError:  # a user without a home folder
        raise FileError("no home folder for the cache: set TMESH_CACHE to a folder") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK | os.X_OK) else "it cannot be written"
    except OSError as error:
        reason = str(error.strerror)
    if reason:
        raise FileError(f"cache folder {folder}: {reason}: set TMESH_CACHE to another folder")
    return folder


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` when the block ends well.

    So a reader, or somebody who interrupts the writer, finds the file as it was or as it becomes.
    Missing folders are made. Raises `FileError`, naming `path`, where that cannot be done.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".tmesh-") as folder:
            new = Path(folder, path.name)
            yield new
            new.replace(path)
    except TMeshError:  # some of which are OSErrors
        raise
    except OSError as error:
        raise FileError.of(error, path) from None


def check_writable(path: Path) -> None:
    """Raise `FileError` now where `replacing` would later, at the end of a long command."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.is_dir():
            raise FileError(f"{path}: it is a folder")
    except TMeshError:
        raise
    except OSError as error:
        raise FileError.of(error, path) from None


def write_text(path: Path, text: str) -> None:
    """Replace a file by UTF-8 `text`; see `replacing`."""
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8")


class Digest(Protocol):
    """A digest of `hashlib`."""

    def update(self, data: bytes, /) -> None:
        """Take in more."""


def digest_sources(digest: Digest, package: Path) -> None:
    """Let a digest depend on the Python files of the folder `package`, their names included."""
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
