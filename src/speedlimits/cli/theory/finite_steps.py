"""`speedlimits theory finite-steps`: what finite steps add to the dissipation, also at the edge of stability."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from speedlimits._checks import check_integer
from speedlimits.cli.theory.output import Output, limit_record, squeezed
from speedlimits.cli.theory.series_file import read_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from speedlimits.theory.heavy_ball import HeavyBall

# The length of the path takes every step: seconds for so many.
LONGEST = 1_000_000


@dataclass(frozen=True, kw_only=True)
class FiniteStepsCommand(Output):
    """Descent on a quadratic loss with finite steps: its exact dissipation beside what the ends of the path predict.

    Both files hold one number per line (text or .csv), or one array (.npy). --sharpness and --softening, given
    together, add a direction at the edge of stability, in its exact two-cycle.
    """

    eigenvalues: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """Eigenvalues λ_k of the Hessian."""
    residual: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """Initial output minus target Δ_k in the same basis and order."""
    learning_rate: Annotated[float, tyro.conf.arg(metavar="ETA")]
    """η."""
    steps: Annotated[tuple[int, ...], tyro.conf.arg(metavar="N [N …]")]
    """Steps: one or more."""
    momentum: Annotated[float, tyro.conf.arg(metavar="M")] = 0.0
    """μ of the heavy ball."""
    sharpness: Annotated[float | None, tyro.conf.arg(metavar="S")] = None
    """Of the direction at the edge, from 2/η to 3/η."""
    softening: Annotated[float | None, tyro.conf.arg(metavar="K")] = None
    """κ of −κx⁴/4, which holds it there."""

    def __call__(self) -> None:
        """Compute, draw, print."""
        from speedlimits.theory.discretisation import TwoCycle
        from speedlimits.theory.heavy_ball import HeavyBall

        if not self.steps:
            raise ValueError("`steps` must be one number or more; there is none.")
        for steps in self.steps:
            check_integer("steps", steps, minimum=1, maximum=LONGEST)
        if self.momentum and self.sharpness is not None:
            raise ValueError(
                f"`momentum` must be 0 with sharpness, at the edge of plain steps; momentum = {self.momentum}."
            )
        if (self.sharpness is None) != (self.softening is None):
            raise ValueError("`sharpness` and `softening` must be given together; one of them is missing.")
        steps = np.array(self.steps, dtype=float)
        descent = HeavyBall(
            eigenvalues=read_numbers("eigenvalues", self.eigenvalues),
            residual=read_numbers("residual", self.residual),
            learning_rate=self.learning_rate,
            momentum=self.momentum,
        )
        limit = squeezed(descent.speed_limit(steps))
        record: dict[str, Any] = limit_record(limit) | self._predicted(descent, steps)
        if self.sharpness is not None and self.softening is not None:
            cycle = TwoCycle(
                eigenvalues=descent.eigenvalues,
                residual=descent.residual,
                learning_rate=self.learning_rate,
                sharpness=self.sharpness,
                softening=self.softening,
            )
            record["edge"] = {
                "raw": limit_record(squeezed(cycle.raw(steps))),
                "averaged": limit_record(squeezed(cycle.averaged(steps))),
            }
        self.emit(record, lambda: self._figure(descent))

    def _predicted(self, descent: "HeavyBall", steps: np.ndarray) -> dict[str, Any]:
        """The dissipation by the ends of the path."""
        from speedlimits.theory.discretisation import first_order, second_order

        ends = np.append(0.0, steps)
        losses, squares, bends = (descent.moments(ends, power) for power in (0, 1, 2))
        losses = 0.5 * losses
        found = {
            "loss_drop": losses[0] - losses,
            "first_order": first_order(losses, squares, self.learning_rate, self.momentum),
        }
        if not self.momentum:
            # On a quadratic loss the integral of |H∇L|² is half the drop of the bends.
            stretches = 0.5 * (bends[0] - bends)
            found["second_order"] = second_order(losses, squares, bends, stretches, self.learning_rate)
        return {name: np.squeeze(values[1:])[()] for name, values in found.items()}

    def _figure(self, descent: "HeavyBall") -> "Figure":
        from speedlimits.report.figures.panels import Panel, panels

        steps = np.unique(np.geomspace(1, max(self.steps), 60).round())
        limit, found = descent.speed_limit(steps), self._predicted(descent, steps)
        exact = limit.dissipation
        missed = {name: (steps, np.abs(values / exact - 1.0)) for name, values in found.items()}
        return panels(
            f"Descent with steps of {self.learning_rate:g}, momentum {self.momentum:g}",
            Panel("What each misses of the dissipation", "steps", "relative error", missed),
            Panel(
                "Times slower than the limit",
                "steps",
                "$T/T_{SL}$",
                {name: (steps, getattr(limit, name)) for name in ("inefficiency", "geometric", "pace")},
            ),
        )
