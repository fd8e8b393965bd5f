"""A study folder: several run folders side by side, and the list of what they are to hold."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import tomli_w

from speedlimits.errors import RunFolderError
from speedlimits.runs.config import RunConfig
from speedlimits.runs.folder import check_own, holding
from speedlimits.runs.identity import MARKS, read_identity
from speedlimits.runs.noisy import NoisyRun
from speedlimits.runs.run import Run, load_run

FILE = MARKS["study"]


def load_study(directory: str | Path) -> dict[str, Run]:
    """Read all runs of a finished study folder; needs no torch.

    Args:
        directory: the study folder.

    Returns:
        The runs by name, in the order they were given.

    Raises:
        RunFolderError: if it is no study folder, or a run has not ended, is damaged or has noise.
    """
    folder = Path(directory)
    runs: dict[str, Run] = {}
    for name, config in read_study(folder).items():
        run = load_run(folder / name)
        if isinstance(run, NoisyRun):
            raise RunFolderError(f"`study` must hold runs without noise; {folder / name} has noise.")
        for key in config.difference(run.config):
            raise RunFolderError(f"{folder / name} is of another study: its `{key}` is not the one in {folder / FILE}.")
        runs[name] = run
    return runs


def read_study(folder: Path) -> dict[str, RunConfig]:
    """What a study folder is to hold.

    Args:
        folder: the study folder.

    Returns:
        The configurations by the names of their run folders.

    Raises:
        RunFolderError: if there is no readable ``study.toml``.
    """
    if not (folder / FILE).is_file():
        raise RunFolderError(f"`study` must be a study folder; {folder} holds no {FILE}.")
    try:
        _, tables = read_identity("study", folder)
        return {name: RunConfig.from_dict(table) for name, table in tables.items()}
    except RunFolderError as error:
        raise RunFolderError(f"`study` must be a study folder; {error}") from None
    except (TypeError, AttributeError, ValueError) as error:
        raise RunFolderError(f"`study` must be a study folder; {folder / FILE} is damaged ({error}).") from None


def check_folder(folder: Path, *, resume: bool) -> None:
    """Refuse a folder that no study can be written to, before anything is downloaded or computed for it.

    Args:
        folder: where.
        resume: go on with what is there.

    Raises:
        RunFolderError: if it holds something foreign, or no study to go on with.
    """
    if resume:
        read_study(folder)
    check_own(folder, "study", resume=resume, check=lambda: read_study(folder))


@contextlib.contextmanager
def writing(folder: Path, runs: Mapping[str, RunConfig], *, resume: bool, force: bool) -> Iterator[None]:
    """Hold a study folder while it is written to, with its list written.

    Args:
        folder: where.
        runs: by the names of their folders.
        resume: go on with what is there, or add members or runs to it.
        force: replace what is there; only what we wrote is ever removed, when the new study has ended.

    Yields:
        Nothing.

    Raises:
        RunFolderError: if it holds another study, and as `holding`.
        ValueError: if both flags are given.
    """

    def check() -> str | None:
        there = read_study(folder)
        extended = {name: there.get(name, config).extended(config) for name, config in runs.items()}
        if not there.keys() <= runs.keys() or any(runs[name].difference(extended[name]) for name in runs):
            raise RunFolderError(f"the study must be the one in {folder / FILE} to go on with it; it is another.")
        return None if extended == there else _text(extended)

    text = _text(runs)
    with holding(folder, "study", text, resume=resume, force=force, check=check):
        yield


def _text(runs: Mapping[str, RunConfig]) -> str:
    return tomli_w.dumps({name: config.to_dict() for name, config in runs.items()})
