"""A folder of ours on disk: how it is held while it is written to, and its JSON files."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from speedlimits._files import write_text_atomically
from speedlimits.errors import RunFolderError
from speedlimits.runs.formats import read_json, write_json

LOCK = ".lock"


class Folder:
    """A folder and its JSON files.

    Args:
        path: where.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

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
    path: Path, what: str, mark: str, text: str, *, resume: bool, force: bool, check: Callable[[], None]
) -> Iterator[None]:
    """Hold a folder for writing: a new one, or one to go on with. No other process can write to it meanwhile.

    Args:
        path: the folder.
        what: it holds, a run or a study, for errors.
        mark: the file that tells a folder of this kind from others.
        text: what that file says in a new folder.
        resume: go on with what is there.
        force: replace what is there; only a folder with the mark is ever emptied.
        check: raises if what is there is not to be gone on with.

    Yields:
        Nothing.

    Raises:
        RunFolderError: if the folder holds something else, or what it should and neither flag is given, cannot be made,
            or is in use.
        ValueError: if both flags are given.
        OSError: what the disk reports.
    """
    if resume and force:
        raise ValueError("`resume` must not be given with `force`: one goes on, the other starts anew.")
    if resume:
        check()
    elif path.exists() and (not path.is_dir() or _entries(path)):
        if not (path / mark).is_file():
            raise RunFolderError(f"`out` must be a new or empty folder; {path} holds something else.")
        if not force:
            raise RunFolderError(
                f"`out` must be a new or empty folder; {path} holds a {what} (--resume goes on with it, --force "
                "replaces it)."
            )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"`out` must be a folder that can be made; {path}: {error.strerror}.") from None
    try:
        with FileLock(path / LOCK, timeout=0):
            if not resume:
                _empty(path)
                write_text_atomically(path / mark, text)
            yield
    except Timeout:
        raise RunFolderError(f"`out` must not be in use; another process is writing to {path}.") from None


def _entries(path: Path) -> list[Path]:
    return [entry for entry in path.iterdir() if entry.name != LOCK]


def _empty(path: Path) -> None:
    for entry in _entries(path):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
