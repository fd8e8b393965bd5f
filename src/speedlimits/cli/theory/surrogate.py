"""`speedlimits theory surrogate`: how much faster another loss of the same drop could reach the same end."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro

from speedlimits.cli.theory.output import Output, time_array
from speedlimits.cli.theory.series_file import read_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# e^−this is the smallest share of a start that numbers can hold.
FARTHEST = 700.0


@dataclass(frozen=True, kw_only=True)
class SurrogateCommand(Output):
    """Gradient flow of a quadratic loss from a random start, beside the best loss of the same drop and the same ends.

    Both files hold one number per line (text or .csv), or one array (.npy). For each training time: the drop, the time
    of the best loss that is a sum over modes, the speed limit, and by how much each is faster.
    """

    eigenvalues: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """Eigenvalues λ_k of the kernel."""
    residual: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """Mean initial output minus target Δ_k in the kernel's eigenbasis, in the same order."""
    start_variance: Annotated[float, tyro.conf.arg(metavar="V")]
    """Of the initial weights along each mode; 0 for one start."""
    time: Annotated[tuple[float, ...], tyro.conf.arg(metavar="T [T …]")]
    """Flow time, positive: one or more."""

    def __call__(self) -> None:
        """Compute, draw, print."""
        times = time_array(self.time)
        found = self._found(times)
        self.emit({name: np.squeeze(values)[()] for name, values in found.items()}, lambda: self._figure(times))

    def _found(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """Every number at each time."""
        from speedlimits._checks import check_positive
        from speedlimits.theory.constant_kernel import ConstantKernel
        from speedlimits.theory.surrogate import Surrogate

        check_positive("time", times)
        kernel = ConstantKernel(
            eigenvalues=read_numbers("eigenvalues", self.eigenvalues), residual=read_numbers("residual", self.residual)
        )
        farthest = times.max() * kernel.eigenvalues.max(initial=0.0)
        if farthest > FARTHEST:
            raise ValueError(
                f"`time` × the largest eigenvalue must be at most {FARTHEST:g}, as e^−that scales; it is {farthest:g}."
            )
        rows = []
        for time, shifts in zip(times.tolist(), kernel.displacement(times), strict=True):
            surrogate = Surrogate(
                scales=np.exp(-kernel.eigenvalues * time),
                shifts=shifts,
                variances=np.full_like(shifts, self.start_variance),
            )
            drop = surrogate.quadratic / time
            rows.append((time, drop, *surrogate.times(drop)))
        time, drop, limit, best, _ = np.array(rows).T
        return {
            "time": time,
            "drop": drop,
            "best": best,
            "speed_limit": limit,
            "gain_of_best": time / best,
            "inefficiency": time / limit,
        }

    def _figure(self, times: np.ndarray) -> "Figure":
        from speedlimits.report.figures.panels import Panel, panels

        grid = np.geomspace(0.1 * times.min(), times.max(), 40)
        found = self._found(grid)
        return panels(
            f"Another loss with the same drop, start variance {self.start_variance:g}",
            Panel(
                "Time to the same end",
                "training time $T$",
                "time",
                {"this loss": (grid, grid), "best loss": (grid, found["best"]), "limit": (grid, found["speed_limit"])},
            ),
            Panel(
                "Times faster",
                "training time $T$",
                "factor",
                {"best loss": (grid, found["gain_of_best"]), "limit": (grid, found["inefficiency"])},
            ),
        )
