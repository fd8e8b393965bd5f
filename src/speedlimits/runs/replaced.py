"""A run or study that `--force` replaces: moved aside whole, brought back if that was cut short, removed at the end."""

import contextlib
import json
import logging
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from speedlimits._files import LONGEST_TEXT, read_file
from speedlimits.errors import RunFolderError
from speedlimits.runs.identity import MARKS, Kind, claimed
from speedlimits.runs.toml import parse_toml, read_toml

LOCK = ".lock"
# Where a replaced run lies until the new one has ended, and while it is being moved there.
ASIDE, MOVING = ".replaced-", ".replacing-"
# Wall seconds to wait for workers whose command was killed; they end by themselves.
WAIT = 20.0
# Foreign files that are named; of more, the number.
NAMED = 5

_MEMBER = (
    r"(member\.json|checkpoint\.safetensors|distances\.safetensors|\.owner|series/part-\d+\.parquet"
    r"|snapshots/(manifest\.json|\d+\.safetensors))"
)
# Every file that is written into the folder of a run, of a study, and of a recording.
_FILES = {
    "run": re.compile(
        r"(config\.toml|(provenance|plan|summary|manifest)\.json|checkpoint\.safetensors|kernel\.npz|report\.html"
        r"|(overview|kernel)\.png|(progress|workers)\.log|run-id"
        rf"|members/(seed-\d+/{_MEMBER}|\.seed-\d+\.\w+\.tmp/.*))"
    ),
    "study": re.compile(
        r"(study\.toml|manifest\.json|(progress|workers)\.log"
        r"|figure1/([^/]+/)?(claims\.md|(figure1|panel_\w+)\.(png|pdf|csv)))"
    ),
    "recording": re.compile(
        r"(recording\.toml|(provenance|summary|manifest)\.json|trajectory\.npz|noise\.safetensors|report\.html"
        r"|overview\.png)"
    ),
}
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.\w+\.tmp")
_LOG = logging.getLogger(__name__)


def replace(path: Path, kind: Kind) -> None:
    """Move what we wrote aside; what is foreign stays, and is told of. `finished` must follow when the new mark lies.

    Args:
        path: the folder, held.
        kind: what it holds.

    Raises:
        RunFolderError: if it is not certain that we wrote it, or a part of it is in use.
        OSError: what the disk reports; everything is then back in its place.
    """
    identity = claimed(kind, path)
    ours = _ours(path, kind) if identity is not None else []
    kept = sorted(set(_files(path)) - set(ours))
    if identity is None or (kept and not _vouched(path, kind, identity.id)):
        raise RunFolderError(
            f"`force` must replace a {kind} of speedlimits, and nothing else; that {path} holds one is not certain."
        )
    aside = path / f"{MOVING}{(identity.id or uuid.uuid4().hex)[:8]}-{uuid.uuid4().hex[:4]}"
    # The mark last: until it is there, the folder holds the old run, and can be brought back to that.
    ours.sort(key=lambda file: file == MARKS[kind])
    with _quiet(path, kind) as locks:
        try:
            for file in ours:
                _move(path / file, aside / file)
        except BaseException:
            bring_back(path, kind)
            raise
        for lock in locks:
            lock.unlink()
    _prune(path, [*ours, *(lock.relative_to(path).as_posix() for lock in locks)])
    if kept:
        shown = ", ".join(map(repr, kept[:NAMED])) + (f" and {len(kept) - NAMED} more" if len(kept) > NAMED else "")
        _LOG.warning("%s: kept what speedlimits did not write: %s.", path, shown)


def moved(path: Path) -> None:
    """The new mark lies in the folder: what was moved aside is whole from now on."""
    for aside in _asides(path, MOVING):
        aside.rename(aside.with_name(aside.name.replace(MOVING, ASIDE)))


def bring_back(path: Path, kind: Kind) -> None:
    """Undo a move that was cut short; one that had come to its end is left.

    Args:
        path: the folder, held.
        kind: what it holds.
    """
    for aside in _asides(path, MOVING):
        if (path / MARKS[kind]).exists() and (aside / MARKS[kind]).exists():
            moved(path)
            continue
        for file in sorted(_files(aside), key=lambda file: file == MARKS[kind]):
            if not os.path.lexists(path / file):
                _move(aside / file, path / file)
        shutil.rmtree(aside)


def where(path: Path) -> str:
    """What to say of replaced runs that still lie in a folder; nothing where there are none."""
    found = sorted(_asides(path, ASIDE))
    if not found:
        return ""
    places = ", ".join(map(str, found))
    return f"what --force replaced lies whole in {places}, until a new one has ended here (mv it elsewhere to keep it)."


def tell(path: Path) -> None:
    """Say where replaced runs lie, if there are any."""
    if text := where(path):
        _LOG.warning("%s", text)


def discard(path: Path) -> None:
    """Remove replaced runs: the new one has ended."""
    for aside in _asides(path, ASIDE):
        shutil.rmtree(aside)


def entries(path: Path) -> list[str]:
    """What lies in a folder, but for its lock, replaced runs, and what a killed process had begun to write."""
    return [
        name
        for name in (each.name for each in path.iterdir())
        if name != LOCK
        and not name.startswith((ASIDE, MOVING))
        and not (_TEMPORARY.fullmatch(name) and any(_is_ours(name, kind) for kind in MARKS))
    ]


def interrupted(path: Path) -> bool:
    """Whether a move was cut short."""
    return any(_asides(path, MOVING))


def _asides(path: Path, prefix: str) -> list[Path]:
    found = re.compile(re.escape(prefix) + r"[0-9a-f]{8}-[0-9a-f]{4}")
    return [each for each in path.glob(f"{prefix}*") if found.fullmatch(each.name) and each.is_dir()]


def _files(path: Path) -> list[str]:
    """All files below a folder, links unfollowed, but for locks and replaced runs."""
    found = []
    for folder, folders, files in os.walk(path):
        here = Path(folder)
        linked = [name for name in folders if (here / name).is_symlink()]
        folders[:] = [name for name in folders if name not in linked and not name.startswith((ASIDE, MOVING))]
        found += [(here / name).relative_to(path).as_posix() for name in [*files, *linked] if name != LOCK]
    return found


def _ours(path: Path, kind: Kind) -> list[str]:
    """The files in it that we wrote, of a study with those of the runs that it lists."""
    found = [file for file in _files(path) if _is_ours(file, kind) and not (path / file).is_symlink()]
    for run in _runs(path) if kind == "study" else ():
        found += [f"{run}/{file}" for file in _ours(path / run, "run")]
    return found


def _is_ours(file: str, kind: Kind) -> bool:
    folder, slash, name = file.rpartition("/")
    if (half := _TEMPORARY.fullmatch(name)) is not None:
        file = folder + slash + half["name"]
    return _FILES[kind].fullmatch(file) is not None


def _runs(path: Path) -> list[str]:
    """The run folders that a study lists and has; a damaged list names none."""
    try:
        names = list(parse_toml(read_toml(path / MARKS["study"])))
    except (OSError, ValueError, RecursionError):
        return []
    here = [name for name in names if Path(name).name == name and not (path / name).is_symlink()]
    return [name for name in here if claimed("run", path / name) is not None]


def _vouched(path: Path, kind: Kind, identity: str) -> bool:
    """Whether a second file says whose the folder is: a configuration alone may be a copy among foreign files."""
    if kind == "study":
        return bool(_runs(path))
    try:
        facts = json.loads(read_file(path / "provenance.json", LONGEST_TEXT))
        return facts["id"] == identity if identity else "speedlimits" in facts
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


@contextlib.contextmanager
def _quiet(path: Path, kind: Kind) -> Iterator[list[Path]]:
    """Nobody writes to any part of it: neither another command nor a worker that was left behind.

    Yields:
        The locks of its members.
    """
    runs = [path / name for name in _runs(path)] if kind == "study" else [path]
    locks = [(run / LOCK, 0.0) for run in runs if run != path]
    members = [lock for run in runs for lock in run.glob("members/seed-*/.lock")]
    locks += [(lock, WAIT) for lock in members]
    with contextlib.ExitStack() as held:
        for lock, patience in locks:
            try:
                held.enter_context(FileLock(lock, timeout=patience))
            except Timeout:
                raise RunFolderError(
                    f"`out` must not be in use; another process is writing to {lock.parent}."
                ) from None
        yield members


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)


def _prune(path: Path, files: list[str]) -> None:
    """Remove the folders of these files that have become empty, but for the folder itself."""
    parents = {parent for file in files for parent in (path / file).parents if path in parent.parents}
    for folder in sorted(parents, reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()
