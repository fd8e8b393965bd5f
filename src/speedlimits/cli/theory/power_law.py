"""`speedlimits theory power-law`: training under a constant kernel whose spectrum and residual are powers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from speedlimits.cli.theory.output import Output, limit_record, squeezed, time_array

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class PowerLawCommand(Output):
    """Gradient flow with λ_k = k^(−α) and Δ_k² = k^(−δ), k = 1 … N: exact sums, beside their asymptotic forms.

    What decides is a = (1 − δ)/α: for 0 < a < 1 the inefficiency tends to a constant, for −1 < a < 0 it grows.
    """

    spectrum_exponent: Annotated[float, tyro.conf.arg(metavar="ALPHA")]
    """α, positive."""
    residual_exponent: Annotated[float, tyro.conf.arg(metavar="DELTA")]
    """δ."""
    modes: Annotated[int, tyro.conf.arg(metavar="N")]
    """Number of modes."""
    time: Annotated[tuple[float, ...], tyro.conf.arg(metavar="T [T …]")]
    """Flow time, learning rate × step: one or more; the asymptotic forms are for 1 ≪ T ≪ N^α, and state their error."""

    def __call__(self) -> None:
        """Compute, draw, print."""
        from speedlimits.theory.power_law import WINDOW, PowerLaw

        law = PowerLaw(
            spectrum_exponent=self.spectrum_exponent, residual_exponent=self.residual_exponent, modes=self.modes
        )
        times = time_array(self.time)
        asked = law.speed_limit(times)

        def draw() -> "Figure":
            from speedlimits.report.figures import theory

            grid = theory.time_grid(times, 1.0)
            near = law.asymptotic(grid)
            near = near[near.tolerance <= WINDOW]
            powers = f"$λ_k = k^{{{-law.spectrum_exponent:g}}}$, $Δ_k^2 = k^{{{-law.residual_exponent:g}}}$"
            title = f"{powers}, {law.modes:,} modes: {law.regime}"
            return theory.flow(law.speed_limit(grid), asked, title, near if len(near) else None)

        leading = squeezed(law.asymptotic(times))
        asymptotic = limit_record(leading) | {
            "tolerance": leading.tolerance,
            "certified": leading.certified,
            "reasons": leading.reasons,
        }
        record = limit_record(squeezed(asked)) | {"asymptotic": asymptotic, "regime": law.regime}
        self.emit(record, draw)
