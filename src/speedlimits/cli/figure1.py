"""`speedlimits figure1`: a study as the paper's Fig. 1, and the paper's claims beside what it found."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from speedlimits._files import write_text_atomically
from speedlimits.study.sweep_folder import load_sweep


@dataclass(frozen=True)
class Figure1:
    """Draw Fig. 1 of the paper from a study, panel by panel with its data, and judge the paper's claims by it."""

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STUDY")]
    """Study folder."""
    threshold: float = 0.12
    """Mean held-out accuracy over the members at whose first record the warm start lies."""
    start_time: Annotated[float | None, tyro.conf.arg(metavar="T0")] = None
    """Time of the warm start instead; the nearest kept weights are taken."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Where to write; by default the folder figure1 in the study."""

    def __call__(self) -> None:
        """Draw, judge, print."""
        # Late: matplotlib takes a second to import.
        from speedlimits.report import figure1
        from speedlimits.report.claims import claims, markdown
        from speedlimits.report.figure1_data import focus, groups, tables

        runs = list(load_sweep(self.directory).values())
        members = {run.config.samples: list(run.trajectories.values()) for run in runs}
        found = groups(members, threshold=self.threshold, start_time=self.start_time)
        panels = tables(found)
        config, held_out = runs[0].config, runs[0].summary["held_out"]
        title = (
            f"{config.model} of width {config.width} on {config.dataset}, {len(config.seeds)} networks each, "
            f"$L = \\frac{{1}}{{2}}\\sum(f-y)^2$, $T$ = {config.time:g}; (a)-(c) and map: $n$ = {focus(found).samples}"
        )
        out = self.out or self.directory / "figure1"
        figure1.write(out, panels, title)
        judged = claims(found, panels, width=config.width, held_out=held_out)
        write_text_atomically(out / "claims.md", markdown(judged))
        table = Table(title=f"Held out: {held_out}", title_justify="left")
        for heading in ("the paper", "this study", "verdict"):
            table.add_column(heading)
        for claim in judged:
            table.add_row(claim.paper, claim.ours, claim.verdict)
        console = Console()
        # Piped, a table must not be folded to 80 columns.
        (console if console.is_terminal else Console(width=200)).print(table)
        print(f"Figure: {out / 'figure1.png'}")
