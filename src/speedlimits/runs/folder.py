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
from speedlimits.runs.identity import MARKS, Identity, Kind, claimed, extended, read_identity, sealed
from speedlimits.runs.manifest import FILE as MANIFEST
from speedlimits.runs.manifest import Manifest, is_weights
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

    # What trains it, for errors.
    command = "run"
    kind: Kind = "run"

    def files(self) -> dict[str, str]:
        """SHA-256 of each file that a finished run has written, by its name in the folder."""
        raise NotImplementedError

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
            raise self._unfinished(name)
        return read_json(self.path / name)

    def _unfinished(self, name: str) -> RunFolderError:
        return RunFolderError(
            f"{self.path} holds an unfinished run: {name} is missing (speedlimits {self.command} --out {self.path} "
            "--resume)."
        )

    def manifest(self) -> Manifest | None:
        """What the files of the finished run must be.

        Returns:
            The manifest; None where version 0.1 wrote the run, without one.

        Raises:
            RunFolderError: if the run has not ended, or the manifest is damaged or another run's.
        """
        if not (self.path / MANIFEST).exists():
            if self.identity.id:
                raise self._unfinished(MANIFEST if (self.path / "summary.json").exists() else "summary.json")
            return None
        return Manifest.read(self.path, self.identity.id, self.kind)

    def close(self) -> None:
        """Write the manifest, the last file: the run has ended."""
        Manifest(self.path, self.identity.id, self.files(), self.kind).write()

    def ended(self) -> bool:
        """Whether the run has ended and nothing is left to do.

        What is missing of an ended run and can be made anew makes it an unfinished one.

        Returns:
            Whether every file is there, as it was written.

        Raises:
            RunFolderError: if one is not what was written, with what to do about it.
        """
        if not (self.path / MANIFEST).exists():
            return False
        manifest = Manifest.read(self.path, self.identity.id)
        missing = manifest.missing()
        for name in manifest.files:
            if name not in missing:
                manifest.check(name)
        # Weights may have been left out of a copy: they are no part of the numbers.
        if all(map(is_weights, missing)):
            return True
        (self.path / MANIFEST).unlink()
        return False

    def contents(self) -> dict[str, Any]:
        """What a finished run of any kind says of itself: ``path``, ``summary`` and ``provenance``.

        Returns:
            The contents by name.

        Raises:
            RunFolderError: if the run has not ended, or a file is damaged.
        """
        if (manifest := self.manifest()) is not None:
            both = {name: manifest.json(f"{name}.json") for name in ("summary", "provenance")}
            return {"path": self.path, **both}
        summary = self.read_json("summary.json")
        return {"path": self.path, "summary": summary, "provenance": self.read_json("provenance.json")}


def check_own(path: Path, kind: Kind, *, resume: bool, check: Callable[[], object], beside: bool = False) -> None:
    """Refuse a folder that holds something foreign; nothing is written, and nothing held.

    Args:
        path: the folder.
        kind: that it should be of.
        resume: go on with what is there.
        check: raises if what is there is not to be gone on with.
        beside: a new one may lie beside what is foreign.

    Raises:
        RunFolderError: if it is.
    """
    if _may_be_ours(path, kind, new=not resume, beside=beside):
        return
    if resume:
        check()
    raise RunFolderError(f"`out` must be a new or empty folder; {path} holds something else.")


@contextlib.contextmanager
def holding(
    path: Path,
    kind: Kind,
    text: str,
    *,
    resume: bool,
    force: bool,
    check: Callable[[], str | None],
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
        check: raises if what is there is not to be gone on with; its configuration, if members are to be added to it.
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
    check_own(path, kind, resume=resume, check=check, beside=beside)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"`out` must be a folder that can be made; {path}: {error.strerror}.") from None
    try:
        with FileLock(path / LOCK, timeout=0):
            replaced.bring_back(path, kind)
            try:
                if resume:
                    more = check()
                    identity, _ = read_identity(kind, path)
                    if more is not None:
                        _extend(path, kind, more, identity)
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
            # No command writes recordings.
            ways = "force=True" if kind == "recording" else "--resume goes on with it, --force"
            raise RunFolderError(f"`out` must be a new or empty folder; {path} holds a {kind} ({ways} replaces it).")
        else:
            raise RunFolderError(f"`out` must be a new or empty folder; {path} holds something else.")
    elif replaced.entries(path) and not beside:
        raise RunFolderError(f"`out` must be a new or empty folder; {path} holds something else.")
    content, identity = sealed(kind, text)
    write_text_atomically(path / MARKS[kind], content)
    replaced.moved(path)
    return identity


def _extend(path: Path, kind: Kind, text: str, identity: Identity) -> None:
    """Write the configuration of a folder that more members are added to."""
    if not identity.id:
        raise RunFolderError(f"`out` must be of version 0.2 or later for more members; {path} is of version 0.1.")
    # From here on the run has not ended.
    (path / MANIFEST).unlink(missing_ok=True)
    write_text_atomically(path / MARKS[kind], extended(kind, text, identity))


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
