"""A run while it trains: what of it lies on disk, read without holding the folder; nothing outside it is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speedlimits._files import resolved
from speedlimits.errors import RunFolderError
from speedlimits.runs.identity import MARKS
from speedlimits.runs.manifest import FILE as MANIFEST
from speedlimits.runs.noisy import NoisyConfig, NoisyFolder
from speedlimits.runs.run import RunConfig, RunFolder, open_folder
from speedlimits.runs.study import read_study
from speedlimits.trajectory import Trajectory


@dataclass(frozen=True, eq=False)
class MemberSoFar:
    """One member of a run without noise.

    Args:
        seed: the member.
        share: t/T; 1 when it has ended.
        ended: whether it has.
        trajectory: its records so far, two or more; None before.
    """

    seed: int
    share: float
    ended: bool
    trajectory: Trajectory | None


@dataclass(frozen=True, eq=False)
class RunSoFar:
    """A run that trains, has stopped or has ended.

    Args:
        name: of its folder.
        config: of the run; None before it has begun.
        members: without noise.
        rows: the time courses, with noise.
        ended: whether its last file is there.
    """

    name: str
    config: RunConfig | NoisyConfig | None
    members: Sequence[MemberSoFar] = ()
    rows: Sequence[dict[str, Any]] = ()
    ended: bool = False

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1."""
        if self.ended:
            return 1.0
        if isinstance(self.config, NoisyConfig) and self.rows:
            return min(self.rows[-1]["time"] / self.config.time, 1.0)
        return sum(member.share for member in self.members) / max(len(self.members), 1)


def run_names(folder: Path) -> list[str]:
    """The runs of a study folder, in their order.

    Args:
        folder: of a study or of a run.

    Returns:
        Their names; empty if it is no study.

    Raises:
        RunFolderError: if its list of runs is damaged.
    """
    return list(read_study(folder)) if (folder / MARKS["study"]).is_file() else []


def run_so_far(folder: Path, within: Path) -> RunSoFar:
    """Read a run as it is now.

    Args:
        folder: of the run.
        within: what no file that is read may lie outside of, links followed.

    Returns:
        What is there.

    Raises:
        RunFolderError: if something lies outside, is damaged, or is being written at this moment.
    """
    check_within(folder, within)
    if not (folder / "config.toml").exists():
        return RunSoFar(folder.name, None)
    for path in (folder / "config.toml", folder / MANIFEST, folder / "checkpoint.safetensors"):
        check_within(path, within)
    found, ended = open_folder(folder), (folder / MANIFEST).exists()
    if isinstance(found, NoisyFolder):
        read = found.read_checkpoint()
        return RunSoFar(folder.name, found.config, rows=[] if read is None else read[1], ended=ended)
    members = [_member(found, seed, within) for seed in found.config.seeds]
    return RunSoFar(folder.name, found.config, members, ended=ended)


def check_within(path: Path, within: Path) -> None:
    """Refuse what a link leads to outside of a folder.

    Args:
        path: a file or folder, which may be missing.
        within: the folder.

    Raises:
        RunFolderError: if it lies elsewhere.
    """
    if not resolved(path).is_relative_to(resolved(within)):
        raise RunFolderError(f"{path} leads out of {within}.")


def _member(run: RunFolder, seed: int, within: Path) -> MemberSoFar:
    store = run.member(seed)
    for path in [store.folder, *store.folder.rglob("*")]:
        check_within(path, within)
    ended = store.finished
    path = store.so_far()
    if path is None or len(path) < 2:
        return MemberSoFar(seed, float(ended), ended, None)
    return MemberSoFar(seed, 1.0 if ended else min(path.time / run.config.time, 1.0), ended, path)
