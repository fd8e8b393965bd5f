"""`speedlimits langevin`: train a noisy ensemble and certify its speed limit at a stated confidence."""

import json
import sys
from dataclasses import dataclass, field

from speedlimits import report
from speedlimits._machine import keep_freed_memory
from speedlimits.cli.text import say
from speedlimits.cli.training import TrainingOptions
from speedlimits.runs.noisy import NoisyConfig


@dataclass(frozen=True, kw_only=True)
class LangevinCommand(TrainingOptions):
    """Train an ensemble of networks with noise and certify its speed limit."""

    json: bool = False
    """Print summary.json as one JSON object."""
    config: NoisyConfig = field(default_factory=NoisyConfig)

    def __call__(self) -> None:
        """Train and report."""
        # Late: torch takes seconds to import, and a wrong option should be refused at once.
        from rich.console import Console
        from rich.progress import Progress

        from speedlimits.training.noisy import train_noisy

        keep_freed_memory()
        with Progress(console=Console(file=sys.stderr), disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("training", total=1.0)

            def progress(share: float, loss: float) -> None:
                bar.update(task, completed=share, description=f"mean loss {loss:.4g}")

            run = train_noisy(self.with_problem(self.config), self.out, **self.handling, progress=progress)
        page = report.write(run)
        if self.json:
            print(json.dumps(run.summary))
        else:
            say(run.summary["verdict"])
            say(f"Report: {page}")
