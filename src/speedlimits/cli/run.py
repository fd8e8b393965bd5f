"""`speedlimits run`: train an ensemble, measure its speed limit, write the run folder and its report."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, TypeVar

import tyro

from speedlimits import report
from speedlimits.cli.live import LiveTable
from speedlimits.cli.show import print_summary
from speedlimits.runs.config import RunConfig
from speedlimits.runs.noisy import NoisyConfig
from speedlimits.runs.run import RunFolder

Configuration = TypeVar("Configuration", RunConfig, NoisyConfig)


@dataclass(frozen=True)
class RunCommand:
    """Train an ensemble of networks and measure how far from its speed limit it learned."""

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Run folder to write: new or empty."""
    resume: bool = False
    """Go on with the interrupted run in that folder."""
    force: bool = False
    """Replace the run in that folder."""
    problem: Annotated[str | None, tyro.conf.arg(metavar="FILE.py:FUNCTION")] = None
    """Train a network of your own on your own data, as a function in a file (or MODULE:FUNCTION) builds them; its code
    is run. See examples/own_network.py."""
    changed: bool = False
    """With --resume: go on although the source of that problem has changed."""
    workers: int | None = None
    """Processes side by side, one thread each; by default one for each core."""
    config_file: Annotated[Path | None, tyro.conf.arg(name="config", metavar="FILE")] = None
    """TOML file to take the configuration from; options given beside it win."""
    config: RunConfig = field(default_factory=RunConfig)

    def __call__(self) -> None:
        """Train and report."""
        # Late: torch takes seconds to import, and a wrong option should be refused at once.
        from speedlimits.training.train import train_run

        config = with_problem(self.config, self.problem)
        with LiveTable({"": config}, self.out / "progress.log") as table:
            run = train_run(
                config,
                self.out,
                resume=self.resume,
                force=self.force,
                changed=self.changed,
                workers=self.workers,
                progress=lambda event: table.update("", event),
            )
        print_summary(run)
        print(f"Report: {report.write(run)}")


def with_problem(config: Configuration, problem: str | None) -> Configuration:
    """The configuration with the problem that this command line names, and no other.

    Args:
        config: of a run; one from a file may have a problem, which is not run unless it is named here, too.
        problem: as named on the command line.

    Returns:
        The configuration.

    Raises:
        ValueError: if a key does not go with a problem of one's own.
    """
    return config if problem is None else replace(config, problem=problem)


def default_config(arguments: Sequence[str]) -> RunConfig:
    """What the options start from: a TOML file, the run to be resumed, or the defaults.

    Args:
        arguments: the command line; only ``--config``, ``--out`` and ``--resume`` are looked at.

    Returns:
        The configuration that the remaining options change.

    Raises:
        ValueError: if the file is unreadable or against the rules.
        RunFolderError: if there is no run to resume.
    """
    if list(arguments[:1]) != ["run"] or {"-h", "--help"} & set(arguments):
        return RunConfig()
    if (file := _value(arguments, "--config")) is not None:
        return RunConfig.read(file)
    if "--resume" in arguments and (out := _value(arguments, "--out")) is not None:
        return RunFolder.open(out).config
    return RunConfig()


def _value(arguments: Sequence[str], option: str) -> str | None:
    for argument, following in zip(arguments, [*arguments[1:], None], strict=True):
        if argument == option:
            return following
        if argument.startswith(f"{option}="):
            return argument.removeprefix(f"{option}=")
    return None
