"""`speedlimits langevin`: train a noisy ensemble and certify its speed limit at a stated confidence."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import Progress

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
    json: bool = False
    """Print summary.json as one JSON object."""
    config: NoisyConfig = field(default_factory=NoisyConfig)

    def __call__(self) -> None:
        """Run the study and report on it."""
        # Late: torch takes seconds to import, and a wrong option should be refused at once.
        from speedlimits.report.pages.noisy import write_noisy_page
        from speedlimits.training.noisy import train_noisy

        with Progress(console=Console(file=sys.stderr), disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("training", total=1.0)

            def progress(share: float, loss: float) -> None:
                bar.update(task, completed=share, description=f"mean loss {loss:.4g}")

            summary = train_noisy(self.config, self.out, resume=self.resume, force=self.force, progress=progress)
        page = self.out / "report.html"
        write_noisy_page(page, summary)
        if self.json:
            print(json.dumps(summary))
        else:
            print(summary["verdict"])
            print(f"Report: {page}")
