"""`speedlimits compare`: the same networks trained or recorded in several ways, beside each other."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from speedlimits._numbers import finite_or_none, number
from speedlimits.cli.table import print_table
from speedlimits.cli.text import say
from speedlimits.report.words import loss_label, title
from speedlimits.runs.config import BUILT_IN
from speedlimits.runs.loading import load
from speedlimits.runs.noisy import NoisyRun
from speedlimits.runs.recording import Recording
from speedlimits.runs.run import Run
from speedlimits.trajectory import Trajectory

# What may differ between runs that are compared: how the flow is followed, and what of it is kept.
METHOD = (
    "method",
    "rtol",
    "learning_rate",
    "momentum",
    "dtype",
    "device",
    "records",
    "snapshots",
    "accuracies",
    "warm_start",
    "triples",
)
# (key, heading, format) of the tables' columns, without noise and with it.
COLUMNS = (
    ("method", "method", ""),
    ("learning_rate", "η", ".3g"),
    ("stability", "η/η_max", ".2f"),
    ("gradient_evaluations", "gradients", ",.0f"),
    ("loss_final", "L(T)", ".4g"),
    ("w2_squared", "|Δθ|²", ".4g"),
    ("inefficiency", "T/T_SL by ΔL", ".3g"),
    ("path_inefficiency", "T/T_SL by path", ".3g"),
    ("averaged_inefficiency", "by midpoints", ".3g"),
    ("drift_inefficiency", "of the drift", ".3g"),
    ("departure_time", "leaves the first", ".2g"),
    ("certified", "certified", ""),
)
NOISY_COLUMNS = (
    ("scheme", "scheme", ""),
    ("members", "networks", ",d"),
    ("inverse_temperature", "β", ".4g"),
    ("time", "T", ".4g"),
    ("loss", "⟨L⟩ at T", ".4g"),
    ("w2_squared_limit", "𝒲₂ from below", ".4g"),
    ("dissipation_limit", "β⁻¹R from above", ".4g"),
    ("speed_limit", "T_SL", ".4g"),
    ("confidence", "confidence", ".3g"),
    ("certified", "certified", ""),
)
# Of first losses, by which two begin alike: float32 rounds them by less.
START = 1e-5
# What must be the same between runs with noise: the problem, not the bath.
NOISY_SAME = (*BUILT_IN, "samples", "problem", "prior_precision")


@dataclass(frozen=True)
class CompareCommand:
    """Compare runs or recordings of the same networks, as gradient descent with large steps and the flow itself."""

    directories: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR DIR [DIR …]")]
    """Folders of runs or recordings; the first is what the others are compared with."""
    tolerance: float = 0.05
    """A run has left the first when its loss or squared distance is off by more than this share, to the end."""
    json: bool = False
    """Print one JSON object instead of a table; null where there is no number."""
    plot: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also draw a figure; the suffix says how: .png, .pdf or .svg."""

    def __call__(self) -> None:
        """Read, compare, draw, print."""
        # Late: matplotlib takes a second to import.
        from speedlimits.report.figures.sheet import check_suffix

        if self.plot is not None:
            check_suffix("plot", self.plot)
        runs = {str(directory): load(directory) for directory in self.directories}
        if len(runs) < 2:
            raise ValueError(f"`directories` must be two run folders or more; found {len(runs)}.")
        noisy = {name: run for name, run in runs.items() if isinstance(run, NoisyRun)}
        quiet = {name: run for name, run in runs.items() if not isinstance(run, NoisyRun)}
        if noisy and quiet:
            raise ValueError(
                f"`directories` must be runs of one kind; {next(iter(noisy))} has noise, {next(iter(quiet))} has none."
            )
        # What a recorder has seen is of whatever the user says it is.
        _check_same({name: run for name, run in runs.items() if not isinstance(run, Recording)})
        if noisy:
            if self.plot is not None:
                raise ValueError("`plot` must be left out for runs with noise: their own pages show their curves.")
            self._print({name: _noisy_row(run) for name, run in noisy.items()}, NOISY_COLUMNS)
        else:
            self._compare(quiet)

    def _compare(self, runs: dict[str, Run | Recording]) -> None:
        from speedlimits.report.figures.comparison import comparison, departure_time
        from speedlimits.report.figures.sheet import save

        first = next(iter(runs.values()))
        rows = {}
        for name, run in runs.items():
            pairs = zip(_members(first), _members(run), strict=False)
            # From another start there is nothing to leave.
            left = [departure_time(one, other, self.tolerance) for one, other in pairs if _same_start(one, other)]
            rows[name] = _row(run, min(left, default=math.inf))
        if self.plot is not None:
            members = {f"{Path(name).name} ({run.config.method})": _members(run) for name, run in runs.items()}
            heading = title(first.summary, *([f"{len(first.config.seeds)} seeds"] if isinstance(first, Run) else []))
            save(comparison(members, heading, loss_label(first.summary)), self.plot)
        # Recordings know of a drift, and little of what runs know.
        self._print(rows, [column for column in COLUMNS if any(row[column[0]] is not None for row in rows.values())])

    def _print(self, rows: dict[str, dict[str, Any]], columns: Sequence[tuple[str, str, str]]) -> None:
        if self.json:
            found = [{"directory": name, **row} for name, row in rows.items()]
            print(json.dumps({"tolerance": self.tolerance, "runs": found}, allow_nan=False))
            return
        print_table(
            ["run", *(heading for _, heading, _ in columns)],
            [[name, *(_cell(row[key], form) for key, _, form in columns)] for name, row in rows.items()],
            words=["run"],
        )
        for name, row in rows.items():
            if row.get("edge_of_stability"):
                seeds = ", ".join(map(str, row["edge_of_stability"]))
                say(f"{name} is at the edge of stability (seeds {seeds}).")


def _check_same(runs: Mapping[str, Run | NoisyRun]) -> None:
    if not runs:
        return
    first, *others = runs.values()
    for name, run in zip(list(runs)[1:], others, strict=True):
        different = first.config.difference(run.config)  # pyright: ignore[reportArgumentType]  (all of one kind)
        ours, theirs = ((each.provenance.get("problem") or {}).get("digest") for each in (first, run))
        # In another precision, or drawn for another seed, one problem has another digest.
        if ours and theirs and ours != theirs and not {"dtype", "seed"} & different.keys():
            different["digest of the problem"] = (ours[:8], theirs[:8])
        for key, (one, other) in different.items():
            if key in NOISY_SAME if isinstance(first, NoisyRun) else key not in METHOD:
                raise ValueError(
                    f"`{key}` must be the same in all runs; it is {one!r} in the first, {other!r} in {name}."
                )


def _members(run: Run | Recording) -> list[Trajectory]:
    return [run.trajectories[seed] for seed in run.config.seeds] if isinstance(run, Run) else [run.trajectory]


def _same_start(one: Trajectory, other: Trajectory) -> bool:
    """Whether both begin at the same weights with the same data, as the loss tells."""
    return bool(np.isclose(one.losses[0], other.losses[0], rtol=START))


def _row(run: Run | Recording, departure: float) -> dict[str, Any]:
    mean = run.summary["mean"]
    row = {
        **dict.fromkeys(key for key, _, _ in COLUMNS),
        "method": run.config.method,
        **{key: mean[key] for key, _, _ in COLUMNS if key in mean},
        "edge_of_stability": run.summary.get("edge_of_stability", []),
        "departure_time": finite_or_none(departure),
        "certified": run.summary["certified"],
    }
    if isinstance(run, Recording):
        noise = run.summary["noise"]
        # The loss of mini-batches is no dissipation: a recording has one limit, and that behind the noise.
        drift = None if noise is None else noise["inefficiency"]
        return row | {"inefficiency": None, "path_inefficiency": mean["inefficiency"], "drift_inefficiency": drift}
    return row | {"momentum": run.config.momentum}


def _noisy_row(run: NoisyRun) -> dict[str, Any]:
    return {key: run.summary[key] for key, _, _ in NOISY_COLUMNS} | {"loss": run.summary["loss"]["value"]}


def _cell(value: object, form: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else number(value, form)  # type: ignore[arg-type]
