"""`speedlimits run`: train an ensemble, measure its speed limit, write the run folder and its report."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from speedlimits import report
from speedlimits.cli.show import print_summary
from speedlimits.cli.text import say
from speedlimits.cli.training import TrainingOptions
from speedlimits.runs.config import RunConfig


@dataclass(frozen=True, kw_only=True)
class RunCommand(TrainingOptions):
    """Train an ensemble of networks and measure how far from its speed limit it learned."""

    workers: int | None = None
    """Processes side by side, one thread each; by default one for each core."""
    config_file: Annotated[Path | None, tyro.conf.arg(name="config", metavar="FILE")] = None
    """TOML file to take the configuration from; options given beside it win."""
    json: bool = False
    """Print summary.json as one JSON object instead of a table."""
    config: RunConfig = field(default_factory=RunConfig)

    def __call__(self) -> None:
        """Train and report."""
        # Late: torch takes seconds to import, and a wrong option should be refused at once.
        from speedlimits.cli.live import LiveTable
        from speedlimits.training.train import train_run

        config = self.with_problem(self.config)
        with LiveTable({"": config}, self.out / "progress.log") as table:
            run = train_run(
                config,
                self.out,
                **self.handling,
                workers=self.workers,
                progress=lambda event: table.update("", event),
            )
        page = report.write(run)
        if self.json:
            print(json.dumps(run.summary))
        else:
            print_summary(run)
            say(f"Report: {page}")
