"""A run folder: who may write to it, and where everything in it lies."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from speedlimits._files import write_text_atomically
from speedlimits.errors import RunFolderError
from speedlimits.runs.config import RunConfig
from speedlimits.runs.formats import read_json, write_json
from speedlimits.runs.member import MemberStore
from speedlimits.trajectory import Trajectory

LOCK = ".lock"


@dataclass(frozen=True)
class Plan:
    """The learning rate, and the sharpness it was chosen from.

    Args:
        learning_rate: η [time] of gradient descent, one for all, so that their record times are the same; None for
            methods that have none.
        sharpness: |λ|_max at initialisation of each seed [1/time].
        sharpness_gradients: gradients each seed spent on finding it.
    """

    learning_rate: float | None
    sharpness: dict[int, float]
    sharpness_gradients: dict[int, int]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Plan":
        """Read what ``dataclasses.asdict`` and JSON made of a plan: its seeds became strings."""
        return cls(
            learning_rate=content["learning_rate"],
            sharpness={int(seed): value for seed, value in content["sharpness"].items()},
            sharpness_gradients={int(seed): value for seed, value in content["sharpness_gradients"].items()},
        )


class RunFolder:
    """The folder of one study: ``config.toml``, ``provenance.json``, ``plan.json``, ``members/``, ``summary.json``.

    Args:
        path: the folder.
        config: what is written in it.
    """

    def __init__(self, path: Path, config: RunConfig) -> None:
        self.path = path
        self.config = config

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """An existing run folder.

        Args:
            path: the folder.

        Returns:
            The run folder.

        Raises:
            RunFolderError: if there is none, or its configuration is damaged.
        """
        path = Path(path)
        if not (path / "config.toml").is_file():
            what = "is empty" if path.is_dir() and not any(path.iterdir()) else "holds no config.toml"
            what = what if path.is_dir() else "does not exist"
            raise RunFolderError(f"`directory` must be a run folder; {path} {what}.")
        try:
            return cls(path, RunConfig.read(path / "config.toml"))
        except ValueError as error:
            raise RunFolderError(f"`directory` must be a run folder; {error}") from None

    @classmethod
    @contextlib.contextmanager
    def writing(
        cls, path: str | Path, config: RunConfig, *, resume: bool = False, force: bool = False
    ) -> "Iterator[RunFolder]":
        """A run folder to write to, locked: a new one, or that of this very study to go on with.

        Args:
            path: the folder.
            config: the study.
            resume: go on with the run that is there.
            force: replace the run that is there; nothing but a run folder is ever removed.

        Yields:
            The run folder, with its configuration written.

        Raises:
            RunFolderError: if the folder holds something else, another study, or a run and neither flag is given,
                or if another process is writing to it.
            ValueError: if both flags are given.
            OSError: what the disk reports.
        """
        path = Path(path)
        if resume and force:
            raise ValueError("`resume` must not be given with `force`: one goes on, the other starts anew.")
        cls._refuse(path, config, resume=resume, force=force)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"`out` must be a folder that can be made; {path}: {error.strerror}.") from None
        try:
            with FileLock(path / LOCK, timeout=0):
                if not resume:
                    empty(path)
                    write_text_atomically(path / "config.toml", config.to_toml())
                yield cls(path, config)
        except Timeout:
            raise RunFolderError(f"`out` must not be in use; another process is writing to {path}.") from None

    @classmethod
    def _refuse(cls, path: Path, config: RunConfig, *, resume: bool, force: bool) -> None:
        if resume:
            there = cls.open(path).config
            for key, (ours, theirs) in config.difference(there).items():
                raise RunFolderError(f"`{key}` must be {theirs!r} as in {path / 'config.toml'}; {key} = {ours!r}.")
            return
        if not path.exists() or (path.is_dir() and not entries(path)):
            return
        if not (path / "config.toml").is_file():
            raise RunFolderError(f"`out` must be a new or empty folder; {path} holds something else.")
        if not force:
            raise RunFolderError(
                f"`out` must be a new or empty folder; {path} holds a run (--resume goes on with it, --force "
                "replaces it)."
            )

    def member_folder(self, seed: int) -> Path:
        """Where the member of this seed lies."""
        return self.path / "members" / f"seed-{seed:05d}"

    def member(self, seed: int) -> MemberStore:
        """The store of the member of this seed."""
        return MemberStore(self.member_folder(seed))

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write one JSON file of the run, whole or not at all."""
        write_json(self.path / name, content)

    def read_json(self, name: str) -> dict[str, Any]:
        """Read one JSON file of the run.

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

    def plan(self) -> Plan:
        """What all members share.

        Returns:
            The plan.

        Raises:
            RunFolderError: if it is missing or damaged.
        """
        return Plan.from_json(self.read_json("plan.json"))


@dataclass(frozen=True)
class Run:
    """A finished study, read from its folder.

    Args:
        config: the study.
        summary: the contents of ``summary.json``.
        provenance: the contents of ``provenance.json``.
        trajectories: each member's run, by its seed.
    """

    config: RunConfig
    summary: dict[str, Any]
    provenance: dict[str, Any]
    trajectories: dict[int, Trajectory]


def load_run(directory: str | Path) -> Run:
    """Read a finished study; needs no torch.

    Args:
        directory: the run folder.

    Returns:
        Its configuration, summary, provenance and trajectories.

    Raises:
        RunFolderError: if it is no run folder, the run has not ended, or a file is missing or damaged.
    """
    run = RunFolder.open(directory)
    summary = run.read_json("summary.json")
    return Run(
        config=run.config,
        summary=summary,
        provenance=run.read_json("provenance.json"),
        trajectories={seed: run.member(seed).trajectory() for seed in run.config.seeds},
    )


def entries(path: Path) -> list[Path]:
    """What lies in a folder besides its lock."""
    return [entry for entry in path.iterdir() if entry.name != LOCK]


def empty(path: Path) -> None:
    """Remove everything in a folder but its lock."""
    for entry in entries(path):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
