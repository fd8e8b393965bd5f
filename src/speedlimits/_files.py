"""Whole files or none: write under a temporary name, sync, rename. Only regular files are read, up to a limit.

And the digest that tells whether a file is whole.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, TextIO

# Bytes that a file of settings or of a run's facts may have; the largest that we write has a thousandth of it.
LONGEST_TEXT = 64 * 2**20


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
    """The SHA-256 of a regular file, in hexadecimal digits; read block by block, whatever its size.

    Raises:
        OSError: if it cannot be read, or is a FIFO or a device.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_digest(text: str) -> str:
    """The SHA-256 of a text in UTF-8, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_file(path: str | Path, limit: int | None = None) -> bytes:
    """What a regular file holds.

    Args:
        path: the file.
        limit: bytes that it may have; None for any number.

    Returns:
        All of it.

    Raises:
        OSError: what the disk reports; also if it is a FIFO or a device, which may never end, or beyond the limit.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if limit is not None and size > limit:
            raise OSError(errno.EFBIG, f"it has {size} bytes; at most {limit} are read", str(path))
        return file.read()


def open_regular(path: str | Path) -> BufferedReader:
    """Open a regular file for reading.

    Args:
        path: the file.

    Returns:
        The open file.

    Raises:
        OSError: what the disk reports; also if it is a FIFO or a device.
    """
    # Without O_NONBLOCK, a FIFO would be waited for until somebody writes to it.
    return os.fdopen(_regular(path, os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)), "rb")


def open_log(path: str | Path) -> TextIO:
    """Open a text file to append to. A link is not followed: what it points at is nobody's log.

    Args:
        path: the file; made if it is missing.

    Returns:
        The open file.

    Raises:
        OSError: what the disk reports; also if it is a symbolic link, a FIFO or a device.
    """
    if Path(path).is_symlink():
        raise OSError(errno.ELOOP, "a symbolic link is not followed", str(path))
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.fdopen(_regular(path, os.open(path, flags, 0o666)), "a", encoding="utf-8")


def resolved(path: str | Path) -> Path:
    """The path from the root, links followed; links that lead round in a circle are left, for whoever opens them."""
    # Path.resolve raises a RuntimeError there.
    return Path(os.path.realpath(path))


def sync(path: Path) -> None:
    """Have the disk keep what a file or folder holds."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _regular(path: str | Path, descriptor: int) -> int:
    """The descriptor, if it is a regular file's; closed otherwise."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "not a regular file", str(path))


def _write_and_rename(path: Path, write: Callable[[BinaryIO], object]) -> None:
    _sweep(path)
    file, temporary = _temporary(path)
    # Held until it has its name.
    with file:
        try:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            # A temporary file is private; a result is as readable as any other new file.
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            temporary.replace(path)
            # The rename itself is only safe on disk once the folder that lists it is.
            sync(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _temporary(path: Path) -> tuple[BinaryIO, Path]:
    """A new file beside the one that it will replace, held as long as it is open."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        _hold(handle)
        # Whoever tidied up between these two lines took it for one that was left behind.
        if os.fstat(handle).st_nlink:
            return os.fdopen(handle, "wb"), Path(name)
        os.close(handle)


def _sweep(path: Path) -> None:
    """Remove what killed processes had begun to write under this name: nobody holds it."""
    left = re.compile(re.escape(f".{path.name}.") + r"\w{8}\.tmp")
    for name in filter(left.fullmatch, (each.name for each in path.parent.iterdir())):
        with contextlib.suppress(OSError), open_regular(path.parent / name) as file:
            if _hold(file.fileno()):
                (path.parent / name).unlink()


def _hold(descriptor: int) -> bool:
    """Lock an open file; False where another process holds it, or the file system knows no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
