"""`speedlimits langevin`: train a noisy ensemble and certify its speed limit at a stated confidence."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import Progress

from speedlimits import report
from speedlimits.cli.run import with_problem
from speedlimits.runs.noisy import NoisyConfig


@dataclass(frozen=True)
class LangevinCommand:
    """Train an ensemble of networks with noise and certify its speed limit."""

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Run folder to write: new or empty."""
    resume: bool = False
    """Go on with the interrupted run in that folder, with the same options."""
    force: bool = False
    """Replace the run in that folder."""
    problem: Annotated[str | None, tyro.conf.arg(metavar="FILE.py:FUNCTION")] = None
    """Train a network of your own on your own data, as a function in a file (or MODULE:FUNCTION) builds them; its code
    is run. See examples/own_network.py."""
    changed: bool = False
    """With --resume: go on although the source of that problem has changed."""
    json: bool = False
    """Print summary.json as one JSON object."""
    config: NoisyConfig = field(default_factory=NoisyConfig)

    def __call__(self) -> None:
        """Train and report."""
        # Late: torch takes seconds to import, and a wrong option should be refused at once.
        from speedlimits.training.noisy import train_noisy

        with Progress(console=Console(file=sys.stderr), disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("training", total=1.0)

            def progress(share: float, loss: float) -> None:
                bar.update(task, completed=share, description=f"mean loss {loss:.4g}")

            run = train_noisy(
                with_problem(self.config, self.problem),
                self.out,
                resume=self.resume,
                force=self.force,
                changed=self.changed,
                progress=progress,
            )
        page = report.write(run)
        if self.json:
            print(json.dumps(run.summary))
        else:
            print(run.summary["verdict"])
            print(f"Report: {page}")
