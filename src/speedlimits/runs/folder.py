"""A folder of ours on disk: how it is held while it is written to, and its JSON files."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from speedlimits._files import write_text_atomically
from speedlimits.errors import RunFolderError
from speedlimits.runs import replaced
from speedlimits.runs.formats import read_json, write_json
from speedlimits.runs.identity import MARKS, Identity, Kind, claimed, read_identity, sealed
from speedlimits.runs.replaced import LOCK as LOCK


class Folder:
    """A folder and its JSON files.

    Args:
        path: where.
        identity: whose it is.
    """

    def __init__(self, path: Path, identity: Identity | None = None) -> None:
        self.path = path
        self.identity = identity or Identity()

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write one JSON file, whole or not at all."""
        write_json(self.path / name, content)

    def read_json(self, name: str) -> dict[str, Any]:
        """Read one JSON file.

        Args:
            name: its name, as ``summary.json``.

        Returns:
            The object.

        Raises:
            RunFolderError: if it is missing (the run has not ended) or damaged.
        """
        if not (self.path / name).exists():
            raise RunFolderError(
                f"{self.path} holds an unfinished run: {name} is missing (speedlimits run --out {self.path} --resume)."
            )
        return read_json(self.path / name)

    def contents(self) -> dict[str, Any]:
        """What a finished run of any kind says of itself: ``path``, ``summary`` and ``provenance``.

        Returns:
            The contents by name.

        Raises:
            RunFolderError: if the run has not ended, or a file is damaged.
        """
        summary = self.read_json("summary.json")
        return {"path": self.path, "summary": summary, "provenance": self.read_json("provenance.json")}


@contextlib.contextmanager
def holding(
    path: Path,
    kind: Kind,
    text: str,
    *,
    resume: bool,
    force: bool,
    check: Callable[[], object],
    beside: bool = False,
) -> Iterator[Identity]:
    """Hold a folder for writing: a new one, or one to go on with. No other process can write to it meanwhile.

    What `force` replaces is moved aside, and removed when the block has ended without an error.

    Args:
        path: the folder.
        kind: of the folder.
        text: its configuration, if it is new.
        resume: go on with what is there.
        force: replace what is there; only what we wrote is ever moved.
        check: raises if what is there is not to be gone on with.
        beside: a new one may lie beside what is foreign.

    Yields:
        Whose folder it is.

    Raises:
        RunFolderError: if the folder holds something else, or what it should and neither flag is given, cannot be made,
            or is in use.
        ValueError: if both flags are given.
        OSError: what the disk reports.
    """
    if resume and force:
        raise ValueError("`resume` must not be given with `force`: one goes on, the other starts anew.")
    # Only to leave alone what is foreign, lock and all; what is there is decided on once it is held.
    if not _may_be_ours(path, kind, new=not resume, beside=beside):
        if resume:
            check()
        raise RunFolderError(f"`out` must be a new or empty folder; {path} holds something else.")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"`out` must be a folder that can be made; {path}: {error.strerror}.") from None
    try:
        with FileLock(path / LOCK, timeout=0):
            replaced.bring_back(path, kind)
            try:
                if resume:
                    check()
                    identity, _ = read_identity(kind, path)
                    replaced.tell(path)
                else:
                    identity = _begin(path, kind, text, force=force, beside=beside)
                yield identity
            except BaseException:
                replaced.tell(path)
                raise
            replaced.discard(path)
    except Timeout:
        raise RunFolderError(f"`out` must not be in use; another process is writing to {path}.") from None


def _begin(path: Path, kind: Kind, text: str, *, force: bool, beside: bool) -> Identity:
    """Write the mark of a new folder that is held, once what is there is out of its way."""
    if (path / MARKS[kind]).exists():
        if force:
            replaced.replace(path, kind)
        elif claimed(kind, path) is not None:
            raise RunFolderError(
                f"`out` must be a new or empty folder; {path} holds a {kind} (--resume goes on with it, --force "
                "replaces it)."
            )
        else:
            raise RunFolderError(f"`out` must be a new or empty folder; {path} holds something else.")
    elif replaced.entries(path) and not beside:
        raise RunFolderError(f"`out` must be a new or empty folder; {path} holds something else.")
    content, identity = sealed(kind, text)
    write_text_atomically(path / MARKS[kind], content)
    replaced.moved(path)
    return identity


def _may_be_ours(path: Path, kind: Kind, *, new: bool, beside: bool) -> bool:
    """Whether a folder is ours or free, as far as one can tell that does not hold it."""
    if not os.path.lexists(path):
        return new
    if not path.is_dir():
        return False
    lock = path / LOCK
    if lock.is_symlink() or (lock.exists() and (not lock.is_file() or lock.stat().st_size)):
        # Ours are empty files: one with content is another program's.
        return False
    free = new and (beside or not replaced.entries(path))
    return free or claimed(kind, path) is not None or replaced.interrupted(path)
