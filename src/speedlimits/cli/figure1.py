"""`speedlimits figure1`: a study as the paper's Fig. 1, and the paper's claims beside what it found."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console
from rich.table import Table

from speedlimits._files import write_text_atomically
from speedlimits.runs.study import load_study

if TYPE_CHECKING:
    from speedlimits.report.claims import Claim
    from speedlimits.report.figure1_tables import Group
    from speedlimits.runs.kernel import KernelRecord
    from speedlimits.runs.run import Run

# The paper's inset is of a network with so many images; its kernel has 5,000 rows.
KERNEL_SAMPLES = 500


@dataclass(frozen=True)
class Figure1Command:
    """Draw Fig. 1 of the paper from a study, panel by panel with its data, and judge the paper's claims by it."""

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STUDY")]
    """Study folder."""
    threshold: float = 0.12
    """Mean held-out accuracy over the members at whose first record the warm start lies."""
    start_time: Annotated[float | None, tyro.conf.arg(metavar="T0")] = None
    """Time of the warm start instead; the nearest kept weights are taken."""
    kernel: bool = True
    """Panel (f), from one network's tangent kernel: it takes minutes once and is kept as kernel.npz in its folder."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Where to write; by default the folder figure1 in the study."""

    def __call__(self) -> None:
        """Draw, judge, print: a figure for each kind of network in the study."""
        whole = load_study(self.directory)
        out = self.out or self.directory / "figure1"
        models = dict.fromkeys(run.config.model for run in whole.values())
        for model in models:
            studies = {name: run for name, run in whole.items() if run.config.model == model}
            self._draw(studies, out if len(models) == 1 else out / model)

    def _draw(self, studies: "Mapping[str, Run]", out: Path) -> None:
        # Late: matplotlib takes a second to import.
        from speedlimits.report.claims import claims, markdown
        from speedlimits.report.figure1_tables import focus, groups, kernel_tables, tables
        from speedlimits.report.figures import figure1

        runs = list(studies.values())
        members = {run.summary["samples"]: list(run.trajectories.values()) for run in runs}
        found = groups(members, threshold=self.threshold, start_time=self.start_time)
        panels = tables(found)
        record, shown = None, _kernel_run(studies) if self.kernel else None
        if shown is not None:
            group = next(group for group in found if group.samples == studies[shown].summary["samples"])
            record = _kernel(self.directory / shown, group)
            panels |= kernel_tables(record, studies[shown].trajectories[record.seed])
        shown_samples = None if shown is None else studies[shown].summary["samples"]
        config, held_out = runs[0].config, runs[0].summary["held_out"]
        title = (
            f"{config.model} of width {config.width} on {config.dataset}, {len(config.seeds)} networks each, "
            f"$L = \\frac{{1}}{{2}}\\sum(f-y)^2$, $T$ = {config.time:g}; (a)-(c) and map: $n$ = {focus(found).samples}"
            + ("" if shown is None else f"; kernel: $n$ = {shown_samples}, one network")
        )
        figure1.write(out, panels, title)
        judged = claims(found, panels, width=config.width, held_out=held_out, kernel=record)
        write_text_atomically(out / "claims.md", markdown(judged))
        _print(judged, f"{title.split(' on ')[0]}; held out: {held_out}")
        print(f"Figure: {out / 'figure1.png'}")


def _print(judged: "Sequence[Claim]", title: str) -> None:
    table = Table(title=title, title_justify="left")
    for heading in ("the paper", "this study", "verdict"):
        table.add_column(heading)
    for claim in judged:
        table.add_row(claim.paper, claim.ours, claim.verdict)
    console = Console()
    # Piped, a table must not be folded to 80 columns.
    (console if console.is_terminal else Console(width=200)).print(table)


def _kernel_run(studies: "Mapping[str, Run]") -> str | None:
    """The run whose kernel is shown: the most images up to the paper's 500; None where all have more."""
    names = [name for name, run in studies.items() if run.summary["samples"] <= KERNEL_SAMPLES]
    return max(names, key=lambda name: studies[name].summary["samples"], default=None)


def _kernel(folder: Path, group: "Group") -> "KernelRecord":
    """The kernel of a run's first member, at initialisation and at its warm start: kept from before, or found now."""
    from speedlimits.runs.kernel import KernelRecord

    start = group.warm[0].start_time if group.warm else None
    if (folder / "kernel.npz").exists():
        record = KernelRecord.load(folder / "kernel.npz")
        if start is None or record.views[-1].start_time == start:
            return record
    # Late: only this needs torch, which takes seconds to import.
    from speedlimits.training.kernel import analyse_kernel

    print(f"The tangent kernel of {folder} takes a while.", file=sys.stderr)
    return analyse_kernel(folder, at=start)
