"""`speedlimits report`: draw a finished run, or a recording, as a page and as a figure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from speedlimits import report
from speedlimits.cli.text import say
from speedlimits.runs.loading import load


@dataclass(frozen=True)
class ReportCommand:
    """Write report.html and overview.png of a run or recording into its folder, kernel.png where there is a kernel."""

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Folder of a run, or of a recording."""

    def __call__(self) -> None:
        """Write them."""
        say(f"Report: {report.write(load(self.directory))}")
