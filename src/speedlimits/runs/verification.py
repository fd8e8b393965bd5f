"""Check every file of a run, study or recording folder: by the digests of what was written, and against each other."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from speedlimits.errors import RunFolderError
from speedlimits.runs.folder import Folder
from speedlimits.runs.identity import MARKS
from speedlimits.runs.kernel import KernelRecord
from speedlimits.runs.loading import load
from speedlimits.runs.manifest import FILE, Manifest
from speedlimits.runs.noisy import NoisyFolder, NoisyRun
from speedlimits.runs.recording import RecordingFolder
from speedlimits.runs.run import Run, RunFolder, open_folder
from speedlimits.runs.study import FILE as STUDY
from speedlimits.runs.study import read_study


@dataclass(frozen=True)
class Verified:
    """What was found of a folder.

    Args:
        files: how many were compared with what was written.
        problems: a line for each.
        remarks: what could not be checked, and why.
    """

    files: int
    problems: tuple[str, ...]
    remarks: tuple[str, ...]

    def __add__(self, other: "Verified") -> "Verified":
        return Verified(self.files + other.files, self.problems + other.problems, self.remarks + other.remarks)


def verify(directory: str | Path) -> Verified:
    """Check all files of a run, with noise or without, of a study or of a recording; needs no torch.

    Args:
        directory: the folder.

    Returns:
        What was found; no problem where everything is as it was written.

    Raises:
        RunFolderError: if it is none of them.
    """
    folder = Path(directory)
    if not (folder / STUDY).exists():
        return _run(folder)
    try:
        configs = read_study(folder)
    except RunFolderError as error:
        return Verified(0, (str(error),), ())
    found = Verified(1, (), ())
    for name, config in configs.items():
        # With other files in it, it has lost its configuration.
        if not any(path.is_file() and path.name != ".lock" for path in (folder / name).rglob("*")):
            found += Verified(0, (), (f"{folder / name} has not begun.",))
            continue
        found += _in_study(folder / name)
        different = _attempt(lambda name=name, config=config: _same(folder / name, config))
        found += Verified(0, different, ())
    return found


def _in_study(path: Path) -> Verified:
    try:
        return _run(path)
    except RunFolderError as error:
        return Verified(0, (str(error),), ())


def _same(folder: Path, config: object) -> None:
    if open_folder(folder).config != config:
        raise RunFolderError(f"{folder} is of another study: its configuration is not the one in {STUDY}.")


def _run(path: Path) -> Verified:
    recorded = (path / MARKS["recording"]).exists()
    try:
        folder = RecordingFolder.open(path)[0] if recorded else open_folder(path)
    except RunFolderError as error:
        # That there is no run at all is no finding about one.
        if not (recorded or (path / "config.toml").is_file()):
            raise
        return Verified(0, (str(error),), ())
    if isinstance(folder, RecordingFolder):
        return _finished(folder)
    if (path / FILE).exists():
        return _finished(folder)
    if not folder.identity.id and (path / "summary.json").exists():
        remark = f"{path} was written by version 0.1, without digests: its files were compared with each other."
        return Verified(0, _content(path), (remark,))
    return _unfinished(folder)


def _finished(folder: Folder) -> Verified:
    try:
        manifest = Manifest.read(folder.path, folder.identity.id, folder.kind)
    except RunFolderError as error:
        return Verified(0, (str(error),), ())
    left_out = manifest.left_out()
    # Damage found by digests would be found again, less plainly.
    problems = tuple(manifest.problems(left_out)) or _content(folder.path)
    bare = _bare(folder.path, len({Path(name).parent for name in left_out}))
    return Verified(len(manifest.files) - len(left_out), problems, bare)


def _content(path: Path) -> tuple[str, ...]:
    def read() -> None:
        run = load(path)
        if isinstance(run, Run):
            KernelRecord.of_run(run)
        elif isinstance(run, NoisyRun) and (path / "checkpoint.safetensors").exists():
            run.ensemble()

    return _attempt(read)


def _unfinished(folder: RunFolder | NoisyFolder) -> Verified:
    command = f"speedlimits {folder.command} --out {folder.path} --resume"
    if isinstance(folder, NoisyFolder):
        problems = _attempt(folder.read_checkpoint)
        return Verified(1 - len(problems), problems, (f"{folder.path} is unfinished ({command}).",))
    seeds = folder.config.seeds
    ended = [seed for seed in seeds if folder.member(seed).finished]
    problems = tuple(line for seed in ended for line in _attempt(folder.member(seed).verify))
    if (folder.path / "plan.json").exists():
        problems += _attempt(folder.plan)
    remark = f"{folder.path} is unfinished, {len(ended)} of {len(seeds)} members have ended ({command})."
    bare = _bare(folder.path, sum(folder.member(seed).bare for seed in ended))
    return Verified(len(ended), problems, (remark, *bare))


def _bare(path: Path, members: int) -> tuple[str, ...]:
    """What is to be said of members whose weights were left out of a copy: nothing is wrong with it."""
    whose = "a member" if members == 1 else f"{members} members"
    return (f"{path} is without the weights of {whose}; only `kernel` needs them.",) if members else ()


def _attempt(check: Callable[[], object]) -> tuple[str, ...]:
    try:
        check()
    except RunFolderError as error:
        return (str(error),)
    return ()
