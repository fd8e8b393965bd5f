"""`speedlimits report`: draw a finished run again, as a page and as a figure."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from speedlimits.runs.noisy import NoisyRun
from speedlimits.runs.run import Run, load_run


@dataclass(frozen=True)
class Report:
    """Write report.html and overview.png of a finished run into its folder, kernel.png where there is a kernel."""

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Run folder."""

    def __call__(self) -> None:
        """Write them."""
        print(f"Report: {write_report(self.directory, load_run(self.directory))}")


def write_report(directory: Path, run: Run | NoisyRun) -> Path:
    """Write the page and the figures.

    Args:
        directory: where to.
        run: the finished run.

    Returns:
        Where the page lies.
    """
    # Late: the plotting libraries take a second to import.
    from speedlimits.report.curves import warm_views
    from speedlimits.report.figures.kernel import kernel_figure
    from speedlimits.report.figures.overview import overview
    from speedlimits.report.figures.sheet import save
    from speedlimits.report.pages.noisy import write_noisy_page
    from speedlimits.report.pages.page import write_page
    from speedlimits.runs.kernel import KernelRecord

    if isinstance(run, NoisyRun):
        write_noisy_page(directory / "report.html", run.summary)
        return directory / "report.html"

    members = [run.trajectories[seed] for seed in run.config.seeds]
    warm = warm_views(members, run.config.warm_start * members[0].time)
    title = f"{run.config.model} on {run.config.dataset}, n = {run.config.samples}, {len(members)} seeds"
    save(overview(members, warm, title), directory / "overview.png")
    kernel = KernelRecord.load(directory / "kernel.npz") if (directory / "kernel.npz").exists() else None
    if kernel is not None:
        subject = f"{run.config.model} on {run.config.dataset}, n = {run.config.samples}, seed {kernel.seed}"
        save(kernel_figure(kernel, run.trajectories[kernel.seed], subject), directory / "kernel.png")
    page = directory / "report.html"
    write_page(page, run.summary, run.provenance, dataclasses.asdict(run.config), members, kernel)
    return page
