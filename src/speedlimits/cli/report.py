"""`speedlimits report`: draw a finished run again, as a page and as a figure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from speedlimits import report
from speedlimits.cli.text import say
from speedlimits.runs.run import load_run


@dataclass(frozen=True)
class ReportCommand:
    """Write report.html and overview.png of a finished run into its folder, kernel.png where there is a kernel."""

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Run folder."""

    def __call__(self) -> None:
        """Write them."""
        say(f"Report: {report.write(load_run(self.directory))}")
