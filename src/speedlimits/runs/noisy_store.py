"""The folder of a study of noisy training: locked while written to, its checkpoint whole or absent."""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from speedlimits._files import write_atomically, write_text_atomically
from speedlimits.errors import RunFolderError
from speedlimits.runs.run import LOCK
from speedlimits.runs.noisy import NoisyConfig

CHECKPOINT = "checkpoint.safetensors"


@contextlib.contextmanager
def writing(path: Path, config: NoisyConfig, *, resume: bool, force: bool) -> Iterator[None]:
    """Hold the folder, new or that of this very study, with its configuration written.

    Args:
        path: the folder.
        config: the study.
        resume: go on with the run that is there.
        force: replace the run that is there.

    Yields:
        Nothing.

    Raises:
        RunFolderError: if it holds something else, another study or a run and neither flag is given, or is in use.
        ValueError: if both flags are given.
    """
    if resume and force:
        raise ValueError("`resume` must not be given with `force`: one goes on, the other starts anew.")
    settled = path / "config.toml"
    there = settled.read_text(encoding="utf-8") if settled.is_file() else None
    if path.exists() and there is None and (not path.is_dir() or any(entry.name != LOCK for entry in path.iterdir())):
        raise RunFolderError(f"`out` must be a new or empty folder; {path} holds something else.")
    if there is not None and not resume and not force:
        raise RunFolderError(
            f"`out` must be a new or empty folder; {path} holds a run (--resume goes on with it, --force replaces it)."
        )
    if resume and there != config.to_toml():
        what = "holds no run" if there is None else "holds a run with another configuration"
        raise RunFolderError(f"`resume` must go on with the same study; {path} {what}.")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"`out` must be a folder that can be made; {path}: {error.strerror}.") from None
    try:
        with FileLock(path / LOCK, timeout=0):
            if not resume:
                _empty(path)
                write_text_atomically(settled, config.to_toml())
            yield
    except Timeout:
        raise RunFolderError(f"`out` must not be in use; another process is writing to {path}.") from None


def write_checkpoint(path: Path, arrays: Mapping[str, np.ndarray], rows: list[dict[str, float]]) -> None:
    """Keep the ensemble's state and the time courses up to it, in one file.

    Args:
        path: the folder.
        arrays: the state.
        rows: the time courses.
    """
    content = save(dict(arrays), metadata={"rows": json.dumps(rows)})
    write_atomically(path / CHECKPOINT, lambda file: file.write(content))


def read_checkpoint(path: Path) -> tuple[dict[str, np.ndarray], list[dict[str, float]]] | None:
    """The last checkpoint.

    Args:
        path: the folder.

    Returns:
        State and time courses; None before the first checkpoint.

    Raises:
        RunFolderError: if it is damaged.
    """
    if not (path / CHECKPOINT).exists():
        return None
    try:
        with safe_open(path / CHECKPOINT, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return arrays, json.loads((file.metadata() or {})["rows"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise RunFolderError(f"{path / CHECKPOINT} cannot be read ({str(error).splitlines()[0]}).") from None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write one JSON file, whole or not at all."""
    write_text_atomically(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _empty(path: Path) -> None:
    for entry in path.iterdir():
        if entry.name == LOCK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
