"""`speedlimits run`: train an ensemble, measure its speed limit, write the run folder and its report."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from speedlimits.cli.live import LiveTable
from speedlimits.cli.report import write_report
from speedlimits.cli.show import print_summary
from speedlimits.runs.config import RunConfig
from speedlimits.runs.run import RunFolder


@dataclass(frozen=True)
class Run:
    """Train an ensemble of networks and measure how far from its speed limit it learned."""

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Run folder to write: new or empty."""
    resume: bool = False
    """Go on with the interrupted run in that folder."""
    force: bool = False
    """Replace the run in that folder."""
    workers: int | None = None
    """Processes side by side, one thread each; by default one for each core."""
    config_file: Annotated[Path | None, tyro.conf.arg(name="config", metavar="FILE")] = None
    """TOML file to take the study from; options given beside it win."""
    config: RunConfig = field(default_factory=RunConfig)

    def __call__(self) -> None:
        """Run the study and report on it."""
        # Late: torch takes seconds to import, and a wrong option should be refused at once.
        from speedlimits.training.run import train_run

        with LiveTable({"": self.config}, self.out / "progress.log") as table:
            run = train_run(
                self.config,
                self.out,
                resume=self.resume,
                force=self.force,
                workers=self.workers,
                progress=lambda event: table.update("", event),
            )
        print_summary(run)
        page = write_report(self.out, run)
        print(f"Report: {page}")


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
