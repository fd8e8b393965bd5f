"""TOML of a run or a study, read in bounded time."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from speedlimits._files import read_file

Parsed = TypeVar("Parsed")

# Bytes of a file, and levels of its tables: a study of a thousand runs has half a megabyte and two levels. The parser
# needs time with the square of the levels.
LONGEST, DEEPEST = 2**20, 50


def read_toml(path: str | Path) -> str:
    """The text of a TOML file.

    Args:
        path: the file.

    Returns:
        The text.

    Raises:
        OSError: what the disk reports; also if it is no regular file, or too long.
        UnicodeDecodeError: if it is no text.
    """
    return read_file(path, LONGEST).decode()


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Args:
        text: TOML.

    Returns:
        Its values by key.

    Raises:
        ValueError: if the text is no TOML, or nests too deeply.
    """
    # Each dot may open a level; dots in texts and numbers are few.
    if max((line.count(".") for line in text.splitlines()), default=0) > DEEPEST:
        raise ValueError(f"it nests too deeply, by more than {DEEPEST} levels in a line")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it nests too deeply") from None


def read_config(path: str | Path, parse: Callable[[str], Parsed]) -> Parsed:
    """What the file of an option ``--config`` holds.

    Args:
        path: the file.
        parse: makes something of its text; raises a ValueError where that cannot be.

    Returns:
        What it makes.

    Raises:
        ValueError: as `parse` does, with the file's name; also if the file cannot be read.
    """
    try:
        return parse(read_toml(path))
    except OSError as error:
        raise ValueError(f"`config` must be a readable TOML file; {path}: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"`config` must be a readable TOML file; {path}: {error}.") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
