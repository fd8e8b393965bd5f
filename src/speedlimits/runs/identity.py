"""Whose a folder and its files are: a configuration's first line has the run's id and seals what follows."""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from speedlimits._files import read_file, text_digest
from speedlimits.errors import RunFolderError
from speedlimits.runs.toml import LONGEST, parse_toml, read_toml

Kind = Literal["run", "study", "recording"]

# The file that makes a folder one of ours.
MARKS: Mapping[Kind, str] = {"run": "config.toml", "study": "study.toml", "recording": "recording.toml"}
# Of folders; those of version 0.1, without a first line of this kind, count as 1.
SCHEMA = 2
# What every configuration of version 0.1 has, of a run without noise or with it.
EARLIER = ({"samples", "seeds", "method", "time", "records"}, {"samples", "members", "inverse_temperature", "time"})

# The second digest is there where members were added: that of the configuration which the folder began with.
_LINE = re.compile(
    r"# speedlimits (run|study|recording), schema (\d+), id ([0-9a-f]{32}), sha256 ([0-9a-f]{64})"
    r"(?:, began as ([0-9a-f]{64}))?\n"
)


@dataclass(frozen=True)
class Identity:
    """What tells the folder of one run or study from all others.

    Args:
        id: 32 hexadecimal digits, drawn when the run began; empty where version 0.1 wrote it, which drew none.
        numbers: SHA-256 of the configuration that the folder began with: of all that, with a seed, makes its numbers.
            Members added later change nothing of it.
    """

    id: str = ""
    numbers: str = ""


class ForeignFileError(RunFolderError):
    """A file is whole, and of another run, seed or configuration than the one it lies with."""


@dataclass(frozen=True)
class Owner:
    """Whose a checkpoint or a member is.

    Args:
        run: the run's id.
        seed: of the member, or of the whole ensemble of a run with noise.
        numbers: as of the run's `Identity`.
    """

    run: str
    seed: int
    numbers: str

    def facts(self) -> dict[str, str]:
        """What is written into a file to tell whose it is."""
        return {"run": self.run, "seed": str(self.seed), "numbers": self.numbers}

    def check(self, path: Path, facts: Mapping[str, Any], advice: str) -> None:
        """Refuse a file of another run, seed or configuration.

        Args:
            path: the file.
            facts: what is written in it; nothing by version 0.1, whose runs have no id either.
            advice: what to do about it.

        Raises:
            ForeignFileError: naming what differs.
        """
        if not self.run and "numbers" not in facts:
            return
        for key, ours in self.facts().items():
            theirs = str(facts.get(key, "none"))
            if theirs != ours:
                what = {"numbers": "configuration"}.get(key, key)
                raise ForeignFileError(f"{path} must be of {what} {ours[:8]}; it is of {theirs[:8]}: {advice}.")


def check_still(folder: Path, identity: str, kind: Kind = "run") -> None:
    """Refuse to add to a folder that another run has come into since it was read.

    Args:
        folder: of the run.
        identity: the id of the run that was read.
        kind: of the folder.

    Raises:
        RunFolderError: if another run is there.
    """
    there = read_identity(kind, folder)[0].id
    # Those of version 0.1 have none.
    if there and there != identity:
        raise RunFolderError(
            f"{folder} must hold {kind} {identity[:8]}, which was read; by now it holds {kind} {there[:8]}."
        )


def claimed(kind: Kind, folder: Path) -> Identity | None:
    """Who wrote a folder, though its configuration may have been edited or damaged since.

    Args:
        kind: what it is to be.
        folder: where.

    Returns:
        The identity; None where nothing says that it is a folder of this kind.
    """
    try:
        text = read_file(folder / MARKS[kind], LONGEST).decode(errors="replace")
    except OSError:
        return None
    if (line := _LINE.match(text)) is not None:
        found, schema, identity, numbers, began = line.groups()
        return Identity(identity, began or numbers) if found == kind and int(schema) <= SCHEMA else None
    try:
        return read_identity(kind, folder)[0]
    except RunFolderError:
        return None


def sealed(kind: Kind, text: str) -> tuple[str, Identity]:
    """A configuration under a first line of its own, with a new id.

    Args:
        kind: of the folder.
        text: TOML.

    Returns:
        The text of the file, and the identity in it.
    """
    found = Identity(uuid.uuid4().hex, _digest(parse_toml(text)))
    return f"{_mark(kind, found.id, found.numbers)}\n{text}", found


def extended(kind: Kind, text: str, identity: Identity) -> str:
    """A configuration with more members than the folder began with, under a first line with the same identity.

    Members carry the digest of the configuration that the folder began with, and keep it: which others there are
    changes none of their numbers.

    Args:
        kind: of the folder.
        text: TOML.
        identity: of the folder.

    Returns:
        The text of the file.
    """
    seal = _digest(parse_toml(text))
    began = "" if seal == identity.numbers else f", began as {identity.numbers}"
    return f"{_mark(kind, identity.id, seal)}{began}\n{text}"


def read_identity(kind: Kind, folder: Path) -> tuple[Identity, dict[str, Any]]:
    """Whose folder it is, and its configuration as a table.

    Args:
        kind: what it is to be.
        folder: where.

    Returns:
        The identity and the table.

    Raises:
        RunFolderError: if it is no folder of this kind, or the configuration is not the one it began with.
    """
    path = folder / MARKS[kind]
    try:
        text = read_toml(path)
        table = parse_toml(text)
    except (OSError, ValueError, RecursionError) as error:
        raise RunFolderError(f"{path} is damaged ({_reason(error)}).") from None
    line = _LINE.match(text)
    if line is None:
        if not _earlier(kind, table):
            raise RunFolderError(f"{path} is of no {kind} of speedlimits.")
        return Identity(numbers=_digest(table)), table
    found, schema, identity, numbers, began = line.groups()
    if found != kind or int(schema) > SCHEMA:
        raise RunFolderError(f"{path} must be of a {kind}, schema {SCHEMA} or below; it says {found}, schema {schema}.")
    if _digest(table) != numbers:
        raise RunFolderError(f"{path} has been edited since the {kind} began: undo that, or begin anew elsewhere.")
    return Identity(identity, began or numbers), table


def _mark(kind: Kind, identity: str, seal: str) -> str:
    return f"# speedlimits {kind}, schema {SCHEMA}, id {identity}, sha256 {seal}"


def _earlier(kind: Kind, table: Mapping[str, Any]) -> bool:
    """Whether version 0.1 may have written it: an empty file, or a website's, it did not write, nor any recording."""
    if kind == "recording":
        return False
    tables = [table] if kind == "run" else list(table.values())
    return bool(tables) and all(
        isinstance(each, dict) and any(keys <= each.keys() for keys in EARLIER) for each in tables
    )


def _digest(table: Mapping[str, Any]) -> str:
    return text_digest(json.dumps(table, sort_keys=True, default=str))


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
