"""Files that T-MESH keeps: one cache folder, and results that are whole or not there at all."""

import contextlib
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tmesh.errors import FileError, InvalidInput, TMeshError


def cache_folder() -> Path:
    """The absolute path of the folder in which builds are kept from run to run; made if missing.

    ``TMESH_CACHE`` names it, else it is ``tmesh`` in ``XDG_CACHE_HOME``, else in ``.cache`` of the
    home folder. An empty variable counts as unset, and so does a relative ``XDG_CACHE_HOME`` (XDG
    Base Directory Specification 0.8).

    Raises `FileError` if the folder cannot be made or written.
    """
    chosen, shared = os.environ.get("TMESH_CACHE"), Path(os.environ.get("XDG_CACHE_HOME") or ".")
    try:
        if chosen:
            folder = Path(chosen).expanduser()
        elif shared.is_absolute():
            folder = shared / "tmesh"
        else:
            folder = Path(
                os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir, ".cache/tmesh"
            )
    except (RuntimeError, KeyError):
        what = f"{chosen}: no such user" if chosen else "this user has no home folder"
        raise FileError(f"cache folder: {what}: set TMESH_CACHE to a folder") from None
    folder = folder.absolute()
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
    """A path to write to; its content becomes that of `path` when the block ends well.

    A reader finds the old file or the new one, with the permissions of the old one; a link stays a
    link. Devices and pipes are written directly, and so is a file that cannot be replaced, such as
    a mount point. Missing folders are made. Raises `FileError`, naming `path`.
    """
    with named(path):
        special = path.exists() and not path.is_file()
        target = path if special else path.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = None if special else target.parent
        with tempfile.TemporaryDirectory(dir=beside, prefix=".tmesh-") as folder:
            new = Path(folder, path.name)
            yield new
            if special:
                target.write_bytes(new.read_bytes())
                return
            if target.exists():
                shutil.copymode(target, new)
            try:
                new.replace(target)
            except OSError:
                shutil.copyfile(new, target)


def check_writable(path: Path) -> None:
    """Raise `FileError` now where `replacing` would later, at the end of a long command."""
    with named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise FileError(f"{path}: it is a folder")
        if path.is_file():
            os.close(os.open(path, os.O_WRONLY))
        elif not path.exists():
            with tempfile.TemporaryFile(dir=path.parent):
                pass


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Let an error of the operating system name the file: raises `FileError`."""
    try:
        yield
    except TMeshError:  # some of which are OSErrors
        raise
    except OSError as error:
        raise FileError.of(error, path) from None


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder outlive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_at_most(path: Path, most: int) -> bytes:
    """The content of a user's file, or of a pipe.

    Raises `InvalidInput` for more than `most` bytes, or where it cannot be read.
    """
    data = bytearray()
    try:
        with path.open("rb") as file:
            while part := file.read(1 << 16):  # a long read takes its memory before it begins
                data += part
                if len(data) > most:
                    raise InvalidInput(f"{path}: over {most:,} bytes")
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror or error}") from None
    return bytes(data)


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
