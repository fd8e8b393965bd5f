"""A study folder: several run folders side by side, and the list of what they are to hold."""

import contextlib
import dataclasses
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import tomli_w
from filelock import FileLock, Timeout

from speedlimits._files import write_text_atomically
from speedlimits.errors import RunFolderError
from speedlimits.runs.config import RunConfig
from speedlimits.runs.run import LOCK, Run, empty, entries, load_run

FILE = "study.toml"


def load_study(directory: str | Path) -> dict[str, Run]:
    """Read all runs of a finished study folder; needs no torch.

    Args:
        directory: the study folder.

    Returns:
        The runs by name, in the order they were given.

    Raises:
        RunFolderError: if it is no study folder, or a run has not ended or is damaged.
    """
    folder = Path(directory)
    return {name: load_run(folder / name) for name in read_study(folder)}


def read_study(folder: Path) -> dict[str, RunConfig]:
    """What a study folder is to hold.

    Args:
        folder: the study folder.

    Returns:
        The configurations by the names of their run folders.

    Raises:
        RunFolderError: if there is no readable ``study.toml``.
    """
    try:
        tables = tomllib.loads((folder / FILE).read_text(encoding="utf-8"))
        return {name: RunConfig.from_toml(tomli_w.dumps(table)) for name, table in tables.items()}
    except FileNotFoundError:
        raise RunFolderError(f"`study` must be a study folder; {folder} holds no {FILE}.") from None
    except (OSError, TypeError, AttributeError, ValueError) as error:
        raise RunFolderError(f"`study` must be a study folder; {folder / FILE} is damaged ({error}).") from None


@contextlib.contextmanager
def writing(folder: Path, studies: Mapping[str, RunConfig], *, resume: bool, force: bool) -> Iterator[Path]:
    """A study folder to write to, locked, with its list written.

    Args:
        folder: where.
        studies: by the names of their run folders.
        resume: go on with what is there.
        force: replace what is there; nothing but a study folder is ever removed.

    Yields:
        The folder.

    Raises:
        RunFolderError: if the folder holds something else, other studies, or a study and neither flag is given, or if
            another process is writing to it.
        ValueError: if both flags are given.
    """
    if resume and force:
        raise ValueError("`resume` must not be given with `force`: one goes on, the other starts anew.")
    if resume and read_study(folder) != studies:
        raise RunFolderError(f"the study must be the one in {folder / FILE} to go on with it; it is another.")
    _refuse(folder, resume=resume, force=force)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"`out` must be a folder that can be made; {folder}: {error.strerror}.") from None
    try:
        with FileLock(folder / LOCK, timeout=0):
            if not resume:
                empty(folder)
                tables = {name: dataclasses.asdict(config) for name, config in studies.items()}
                write_text_atomically(folder / FILE, tomli_w.dumps(tables))
            yield folder
    except Timeout:
        raise RunFolderError(f"`out` must not be in use; another process is writing to {folder}.") from None


def _refuse(folder: Path, *, resume: bool, force: bool) -> None:
    if resume or not folder.exists() or (folder.is_dir() and not entries(folder)):
        return
    if not (folder / FILE).is_file():
        raise RunFolderError(f"`out` must be a new or empty folder; {folder} holds something else.")
    if not force:
        raise RunFolderError(
            f"`out` must be a new or empty folder; {folder} holds a study (--resume goes on with it, --force "
            "replaces it)."
        )
