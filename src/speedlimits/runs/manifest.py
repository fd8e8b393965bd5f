"""What a finished run wrote, file by file with its SHA-256: written last of all, and compared with what is read."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from speedlimits._files import digest
from speedlimits.errors import RunFolderError
from speedlimits.runs.formats import read_json, write_json
from speedlimits.runs.identity import Kind

FILE = "manifest.json"
SCHEMA = 1
# What the command with --resume makes anew where it is missing; a member is trained anew.
REMADE = {"summary.json", "plan.json", "provenance.json", "checkpoint.safetensors"}
# What to do where nothing can be.
SAVED = "put back what it was, or save the recording again"


@dataclass(frozen=True)
class Manifest:
    """The files of a finished run.

    Args:
        folder: they lie in.
        run: the run's id.
        files: SHA-256 by name in the folder.
        kind: of the folder: nothing of a recording can be made anew.
    """

    folder: Path
    run: str
    files: Mapping[str, str]
    kind: Kind = "run"

    @classmethod
    def read(cls, folder: Path, run: str, kind: Kind = "run") -> "Manifest":
        """The manifest of a run.

        Args:
            folder: of the run.
            run: its id.
            kind: of the folder.

        Returns:
            The manifest.

        Raises:
            RunFolderError: if it is missing, damaged or another run's.
        """
        path = folder / FILE
        advice = SAVED if kind == "recording" else "delete it, and --resume writes it anew"
        try:
            content = read_json(path, sealed=True)
        except RunFolderError as error:
            raise RunFolderError(f"{str(error).rstrip('.')}: {advice}.") from None
        if content.get("schema") != SCHEMA or content.get("run") != run:
            raise RunFolderError(f"{path} is of another run, or of a later version: {advice}.")
        files: Any = content.get("files")
        if not isinstance(files, dict) or not all(_inside(name) for name in files):
            raise RunFolderError(f"{path} is damaged (it lists no files): {advice}.")
        return cls(folder, run, files, kind)

    def write(self) -> None:
        """Write it, whole or not at all: from then on the run has ended."""
        content = {"schema": SCHEMA, "run": self.run, "files": dict(sorted(self.files.items()))}
        write_json(self.folder / FILE, content, sealed=True)

    def check(self, name: str) -> Path:
        """Compare a file with what was written.

        Args:
            name: of the file in the folder.

        Returns:
            Where it lies.

        Raises:
            RunFolderError: if it is missing, or not what was written.
        """
        path = self.folder / name
        try:
            found = digest(path)
        except OSError as error:
            reason = "it is missing" if isinstance(error, FileNotFoundError) else error.strerror
            raise RunFolderError(f"{path} cannot be read ({reason}): {remedy(path, self.kind)}.") from None
        if found != self.files.get(name):
            advice = remedy(path, self.kind)
            raise RunFolderError(f"{path} is not what the {self.kind} wrote, by its SHA-256 in {FILE}: {advice}.")
        return path

    def json(self, name: str) -> dict[str, Any]:
        """The object in one of the files, compared with what was written."""
        return read_json(self.check(name))

    def problems(self, left_out: Set[str] = frozenset()) -> list[str]:
        """What is wrong, a line for each file that is missing or not what was written.

        Args:
            left_out: files that need not be there, as `left_out` finds them.

        Returns:
            The lines.
        """
        found = []
        for name in self.files:
            try:
                if name not in left_out:
                    self.check(name)
            except RunFolderError as error:
                found.append(str(error))
        return found

    def missing(self) -> list[str]:
        """The files that are not there."""
        return [name for name in self.files if not (self.folder / name).exists()]

    def left_out(self) -> set[str]:
        """The weights of members that have none of theirs: a copy may be made without them, for the numbers need none.

        Where some are there, those that are missing have been lost.
        """
        held = {PurePosixPath(name).parent for name in self.files if is_weights(name) and (self.folder / name).exists()}
        return {name for name in self.files if is_weights(name) and PurePosixPath(name).parent not in held}


def remedy(path: Path, kind: Kind = "run") -> str:
    """What to do about a file that is not what it was.

    Args:
        path: the file.
        kind: of the folder.

    Returns:
        A half sentence.
    """
    if kind == "recording":
        return SAVED
    member = next((folder for folder in [path, *path.parents] if folder.parent.name == "members"), None)
    if member is not None:
        return f"delete {member}, and --resume trains it anew"
    if path.name in REMADE:
        return "delete it, and --resume makes it anew"
    return "put back what it was, or replace the run with --force"


def is_weights(name: str) -> bool:
    """Whether a file of a run holds a member's weights."""
    path = PurePosixPath(name)
    return path.parent.name == "snapshots" and path.suffix != ".json"


def _inside(name: str) -> bool:
    return not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
