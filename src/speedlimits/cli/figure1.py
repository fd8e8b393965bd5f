"""`speedlimits figure1`: a study as the paper's Fig. 1, and the paper's claims beside what it found."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from speedlimits._files import write_text_atomically
from speedlimits.cli.table import print_table
from speedlimits.cli.text import say
from speedlimits.report.words import loss_label, name
from speedlimits.runs.config import problem_name
from speedlimits.runs.kernel import KernelRecord
from speedlimits.runs.run import Run, RunFolder
from speedlimits.runs.study import load_study

if TYPE_CHECKING:
    from speedlimits.report.claims import Claim
    from speedlimits.report.figure1_tables import Group

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
    no_kernel: bool = False
    """Leave out panel (f), which needs a network's tangent kernel: minutes once, then kept as kernel.npz."""
    problem: Annotated[str | None, tyro.conf.arg(metavar="FILE.py:FUNCTION")] = None
    """The function that built the networks and data, where they are your own: panel (f) needs it, and runs its code."""
    changed: bool = False
    """Go on although the source of that problem has changed."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Where to write; by default the folder figure1 in the study."""
    json: bool = False
    """Print one JSON object: of each figure its file, and the paper's claims with what the study says of them."""

    def __call__(self) -> None:
        """Draw, judge, print: a figure for each problem in the study, by its name."""
        problems: dict[str, dict[str, Run]] = {}
        for folder, run in load_study(self.directory).items():
            problems.setdefault(name(run.summary), {})[folder] = run
        out = self.out or self.directory / "figure1"
        figures = [
            self._draw(runs, out if len(problems) == 1 else out / place)
            for runs, place in zip(problems.values(), _places(problems), strict=True)
        ]
        if self.json:
            print(json.dumps({"figures": figures}))

    def _draw(self, runs: Mapping[str, Run], out: Path) -> dict[str, Any]:
        """Draw one figure, and print its claims unless JSON is asked for: then they are returned."""
        # Late: matplotlib takes a second to import.
        from speedlimits.report.claims import claims, markdown
        from speedlimits.report.figure1_tables import focus, groups, kernel_tables, tables
        from speedlimits.report.figures import figure1

        members = {run.summary["samples"]: list(run.trajectories.values()) for run in runs.values()}
        found = groups(members, threshold=self.threshold, start_time=self.start_time)
        panels = tables(found)
        first = next(iter(runs.values()))
        config, held_out = first.config, first.summary.get("held_out")
        width = None if config.problem is not None else config.width
        title = (
            f"{name(first.summary)}{'' if width is None else f', width {width}'}, {len(config.seeds)} networks each, "
            f"T = {config.time:g}; (a)-(c) and map: n = {focus(found).samples}"
        )
        record, shown = None, None if self.no_kernel else _kernel_run(self.directory, runs)
        if shown is not None:
            samples = runs[shown].summary["samples"]
            group = next(group for group in found if group.samples == samples)
            record = self._kernel(self.directory / shown, runs[shown], group)
            if record is not None:
                panels |= kernel_tables(record, runs[shown].trajectories[record.seed])
                title += f"; kernel: n = {samples}, one network"
        figure1.write(out, panels, title, loss_label(first.summary))
        judged = claims(found, panels, width=width, held_out=held_out, kernel=record)
        write_text_atomically(out / "claims.md", markdown(judged))
        network = name(first.summary) if width is None else f"{config.model} of width {width}"
        figure = out / "figure1.png"
        if not self.json:
            _print_claims(judged, f"{network}; held out: {held_out or 'nothing'}")
            say(f"Figure: {figure}")
        return {"figure": str(figure), "network": network, "claims": [asdict(claim) for claim in judged]}

    def _kernel(self, folder: Path, run: Run, group: "Group") -> KernelRecord | None:
        """The kernel of one member of a run, at initialisation and at its warm start: kept from before, or found now.

        None where it would need code that this command line does not name, or weights that were not kept.
        """
        start = group.warm[0].start_time if group.warm else None
        record = KernelRecord.of_run(run)
        if record is not None and (start is None or record.views[-1].start_time == start):
            return record
        if run.config.problem is not None and self.problem is None:
            say(f"Panel (f) is left out: --problem {problem_name(run.config.problem)} draws it.", file=sys.stderr)
            return None
        if _bare(folder, run):
            say(f"Panel (f) is left out: {folder} is without its weights.", file=sys.stderr)
            return None
        # Late: only this needs torch, which takes seconds to import.
        from speedlimits.training.kernel import analyse_kernel

        say(f"The tangent kernel of {folder} takes a while.", file=sys.stderr)
        return analyse_kernel(folder, at=start, problem=self.problem, changed=self.changed)


def _kernel_run(directory: Path, runs: Mapping[str, Run]) -> str | None:
    """The run whose kernel is shown: the most images up to the paper's 500; None where no kernel moves the residual.

    Runs come last that have neither a kernel nor the weights for one: studies are kept so, their largest runs first.
    """
    sizes = {
        folder: run.summary["samples"]
        for folder, run in runs.items()
        if run.summary["samples"] <= KERNEL_SAMPLES and run.summary.get("loss_name", "squared") == "squared"
    }
    ordered = sorted(sizes, key=lambda folder: sizes[folder], reverse=True)
    able = (each for each in ordered if KernelRecord.of_run(runs[each]) or not _bare(directory / each, runs[each]))
    return next(able, next(iter(ordered), None))


def _bare(folder: Path, run: Run) -> bool:
    """Whether a run is kept without any weights."""
    return all(RunFolder.open(folder).member(seed).bare for seed in run.config.seeds)


def _places(problems: Mapping[str, Mapping[str, Run]]) -> list[str]:
    """A folder's name for each problem: its model's where that tells them apart, its own otherwise."""
    models = [str(next(iter(runs.values())).summary.get("model") or "") for runs in problems.values()]
    if all(models) and len(set(models)) == len(models):
        return models
    return [re.sub(r"[^\w.-]+", "-", problem).strip("-.") for problem in problems]


def _print_claims(judged: Sequence["Claim"], title: str) -> None:
    headings = ("the paper", "this study", "verdict")
    print_table(headings, [(claim.paper, claim.ours, claim.verdict) for claim in judged], title=title, words=headings)
