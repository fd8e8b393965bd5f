"""What the commands that train have in common: where to, whether to go on, and a problem of one's own."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from speedlimits.errors import RunFolderError
from speedlimits.runs.config import RunConfig
from speedlimits.runs.noisy import NoisyConfig
from speedlimits.runs.run import open_folder

Configuration = TypeVar("Configuration", RunConfig, NoisyConfig)


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Options of every command that trains."""

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Folder to write: new or empty."""
    resume: bool = False
    """Go on with what was interrupted in that folder."""
    force: bool = False
    """Replace what is in that folder."""
    problem: Annotated[str | None, tyro.conf.arg(metavar="FILE.py:FUNCTION")] = None
    """A network and data of your own, as a function in a file (or MODULE:FUNCTION) builds them; its code is run. See
    examples/own_network.py."""
    changed: bool = False
    """With --resume: go on although the source of that problem has changed."""

    @property
    def handling(self) -> dict[str, Any]:
        """How the folder is to be handled, as the library's functions take it."""
        return {"resume": self.resume, "force": self.force, "changed": self.changed}

    def with_problem(self, config: Configuration) -> Configuration:
        """A configuration with the problem that this command line names: one that only a file names is not run."""
        return config if self.problem is None else replace(config, problem=self.problem)


def default_config(arguments: Sequence[str], kind: type[Configuration]) -> Configuration:
    """What the options start from: a TOML file, the run to be resumed, or the defaults.

    Args:
        arguments: the command line; only ``--config``, ``--out`` and ``--resume`` are looked at.
        kind: of the configuration.

    Returns:
        The configuration that the remaining options change.

    Raises:
        ValueError: if the file is unreadable or against the rules.
    """
    if {"-h", "--help"} & set(arguments):
        return kind()
    if (file := option_value(arguments, "--config")) is not None:
        return kind.read(file)
    if "--resume" in arguments and (out := option_value(arguments, "--out")) is not None:
        # What is wrong with the folder is said when it is to be written to.
        with contextlib.suppress(RunFolderError):
            if isinstance(found := open_folder(out).config, kind):
                return found
    return kind()


def option_value(arguments: Sequence[str], option: str) -> str | None:
    """What follows an option on a command line; None where it is not there."""
    for argument, following in zip(arguments, [*arguments[1:], None], strict=True):
        if argument == option:
            return following
        if argument.startswith(f"{option}="):
            return argument.removeprefix(f"{option}=")
    return None
