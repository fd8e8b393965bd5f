"""`speedlimits kernel`: the tangent kernel of a finished run, and what it predicts beside what was measured."""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from speedlimits import report
from speedlimits._numbers import number
from speedlimits.cli.table import print_table
from speedlimits.cli.text import say
from speedlimits.runs.run import Run, RunFolder

if TYPE_CHECKING:
    from speedlimits.runs.kernel import KernelRecord


KINDS = ("predicted", "adapted", "measured")


@dataclass(frozen=True)
class KernelCommand:
    """Measure the tangent kernel of a finished run: spectrum, predicted speed limit, drift."""

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Run folder."""
    at: float | None = None
    """Predict from this time on, to the nearest snapshot; by default from initialisation."""
    seed: int | None = None
    """Member of the ensemble; by default the first whose weights are there."""
    matrix_free: bool = False
    """Never form the kernel: for many samples."""
    modes: int = 120
    """Largest eigenvalues to find in that case, the window of the exponents; they cost time."""
    adapt: Annotated[int, tyro.conf.arg(metavar="K")] = 0
    """Follow the kernel as it changes: measure it again in so many intervals of time, an even number."""
    memory: float = 4.0
    """Gigabytes that may be used, about."""
    problem: Annotated[str | None, tyro.conf.arg(metavar="FILE.py:FUNCTION")] = None
    """The function that built the run's network and data, where they are your own; its code is run."""
    changed: bool = False
    """Go on although the source of that problem has changed."""
    json: bool = False
    """Print one JSON object with all series instead of a table; null where there is no number."""

    def __call__(self) -> None:
        """Analyse, write kernel.npz, draw the report again, print."""
        # Late: torch takes seconds to import.
        from speedlimits.training.kernel import analyse_kernel

        record = analyse_kernel(
            self.directory,
            seed=self.seed,
            at=self.at,
            matrix_free=self.matrix_free,
            modes=self.modes,
            adapt=self.adapt,
            memory=1e9 * self.memory,
            problem=self.problem,
            changed=self.changed,
        )
        run = Run.of(RunFolder.open(self.directory))
        page = report.write(run)
        summary = record.summary(run.trajectories[record.seed])
        if self.json:
            print(json.dumps(summary, allow_nan=False))
        else:
            print_kernel(record, summary, int(run.trajectories[record.seed].gradient_evaluations[-1]))
            say(f"Report: {page}")


def print_kernel(record: "KernelRecord", summary: dict[str, Any], gradients: int) -> None:
    """Print prediction beside measurement, and what to make of them.

    Args:
        record: what was found.
        summary: the same as numbers.
        gradients: what training took.
    """
    kinds = [kind for kind in KINDS if summary[kind] is not None]
    print_table(
        ["", *kinds],
        [
            ["T/T_SL" if key == "inefficiency" else key, *(number(summary[kind][key][-1]) for kind in kinds)]
            for key in summary["predicted"]
        ],
        title=f"NTK of {record.pairs} (sample, output) pairs, seed {record.seed}, from t = {summary['start_time']:.4g}",
        words=[""],
    )
    top = ", ".join(number(value, ".3g") for value in summary["eigenvalues_top"][:5])
    say(f"Largest eigenvalues: {top}, …")
    if (found := summary["exponents"]) is not None:
        say(
            f"Exponents in modes {found['window'][0]} to {found['window'][1]}, with the spread of the fit: "
            f"α = {_with_spread(found, 'spectrum')}, δ = {_with_spread(found, 'residual')}, "
            f"a = {found['exponent']:.3g} [{found['exponent_spread'][0]:.3g}, {found['exponent_spread'][1]:.3g}]: "
            f"{' or '.join(found['regimes'])}; by the scaling law T/T_SL = {number(found['inefficiency'], '.3g')}."
        )
    if record.matrix_free:
        # Estimates below rounding are none.
        known = "not known" if summary["error"] is None else f"{max(summary['error'], 1e-12):.1g}"
        say(f"Error of the prediction, the kernel not formed: {known}.")
    if summary["adaptation"] is not None:
        _print_intervals(summary["adaptation"], gradients)
    drift = summary["drift"]
    say(f"The kernel has turned by {number(drift['drift'][-1], '.2g')} at t = {drift['time'][-1]:.4g} (0: not at all).")


def _print_intervals(found: dict[str, Any], gradients: int) -> None:
    """The kernel's way: how far it turns, its top, and where the loss goes."""
    drop = sum(row["spent"] for row in found["intervals"])
    print_table(
        ["from", "to", "turned by", "largest eigenvalue", "loss", "spent there"],
        [
            [
                *(number(row[key], ".3g") for key in ("start", "end", "drift", "sharpness", "loss")),
                number(row["spent"] / drop, ".1%"),
            ]
            for row in found["intervals"]
        ],
        title="The kernel along the predicted path",
    )
    apart = found["error"]["inefficiency"]
    say(
        f"Half as many intervals have a T/T_SL that is {number(apart, '.2%')} off: about three times the error. "
        f"Both took as much as {found['gradients']:,} gradients; training took {gradients:,}."
    )
    losses = [*(row["loss"] for row in found["intervals"]), found["end_loss"]]
    if any(after > before for before, after in itertools.pairwise(losses)):
        say("The loss rises on this path, which no gradient flow does: take more intervals.")


def _with_spread(found: dict[str, Any], name: str) -> str:
    low, high = found[f"{name}_spread"]
    return f"{found[f'{name}_exponent']:.3g} [{low:.3g}, {high:.3g}]"
