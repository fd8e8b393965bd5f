"""`speedlimits theory ntk`: training under a constant kernel of any spectrum."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from speedlimits.cli.theory.output import Output, limit_record, squeezed, time_array
from speedlimits.cli.theory.series_file import read_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class ConstantKernelCommand(Output):
    """Gradient flow under a constant kernel: distance, loss spent, path and speed limit.

    Both files hold one number per line (text or .csv), or one array (.npy).
    """

    eigenvalues: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """Eigenvalues λ_k of the kernel."""
    residual: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """Initial output minus target Δ_k in the kernel's eigenbasis, in the same order."""
    time: Annotated[tuple[float, ...], tyro.conf.arg(metavar="T [T …]")]
    """Flow time, learning rate × step: one or more."""

    def __call__(self) -> None:
        """Compute, draw, print."""
        # Late, as in all commands here: SciPy takes a third of a second to import.
        from speedlimits.theory.constant_kernel import ConstantKernel

        kernel = ConstantKernel(
            eigenvalues=read_numbers("eigenvalues", self.eigenvalues), residual=read_numbers("residual", self.residual)
        )
        asked = kernel.speed_limit(time_array(self.time))

        def draw() -> "Figure":
            from speedlimits.report.figures import theory

            # The fastest mode sets the first time at which something happens.
            grid = theory.time_grid(asked.time, 1.0 / (kernel.eigenvalues.max() or 1.0))
            return theory.flow(kernel.speed_limit(grid), asked, f"Constant kernel, {kernel.residual.size} modes")

        self.emit(limit_record(squeezed(asked)), draw)
