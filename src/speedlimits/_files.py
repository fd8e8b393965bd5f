"""Whole files or none: write under a temporary name, sync, rename; and the digest that tells whether one is whole."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let ``write`` fill a file that appears under ``path`` complete, or not at all.

    Args:
        path: where the file shall lie; an older file there is replaced in one step.
        write: is given the open binary file.

    Raises:
        OSError: whatever the disk reports (full, read-only); the old file, if any, is untouched.
    """
    try:
        _write_and_rename(path, write)
    except OSError as error:
        # A failed write names no file; whoever reads the error needs one.
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None


def write_text_atomically(path: Path, text: str) -> None:
    """Write UTF-8 text through `write_atomically`."""
    write_atomically(path, lambda file: file.write(text.encode()))


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits; read block by block, whatever its size.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_digest(text: str) -> str:
    """The SHA-256 of a text in UTF-8, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def sync(path: Path) -> None:
    """Have the disk keep what a file or folder holds."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_and_rename(path: Path, write: Callable[[BinaryIO], object]) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes the file private; a result is as readable as any other new file.
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
        # The rename itself is only safe on disk once the folder that lists it is.
        sync(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
