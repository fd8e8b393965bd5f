"""`speedlimits theory fokker-planck`: noisy training in one dimension, in any potential."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from speedlimits.cli.theory.output import Output, limit_record, squeezed, time_array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from speedlimits.theory.fokker_planck import FokkerPlanckSolution


@dataclass(frozen=True, kw_only=True)
class FokkerPlanckCommand(Output):
    """Langevin dynamics in a one-dimensional potential: the density, its dissipation, distance and speed limit.

    Potentials are arithmetic in x: numbers, + - * / **, parentheses, and exp, log, sqrt, sin, cos, tan, sinh,
    cosh, tanh, abs. One that begins with a minus sign needs the form --potential="-x**2 + x**4".
    """

    potential: Annotated[str, tyro.conf.arg(metavar="EXPRESSION")]
    """V(x), confining, for example "x**2 + 1.5*(x-1.2)**4"."""
    time: Annotated[tuple[float, ...], tyro.conf.arg(metavar="T [T …]")]
    """Time: one or more."""
    inverse_temperature: Annotated[float, tyro.conf.arg(metavar="B")]
    """β."""
    start_potential: Annotated[str, tyro.conf.arg(metavar="EXPRESSION")] = "x**2"
    """V₀(x) of the start e^(−βV₀)/𝒵₀, Eq. (18)."""
    observable: Annotated[str | None, tyro.conf.arg(metavar="EXPRESSION")] = None
    """r(x), such as "x": adds "uncertainty", lower limits on the dissipation by the mean of r; never for a T_SL."""
    cells: Annotated[int, tyro.conf.arg(metavar="N")] = 1000
    """Cells of the grid; errors fall as their number squared."""
    domain: Annotated[tuple[float, float] | None, tyro.conf.arg(metavar="LOW HIGH")] = None
    """Ends of the grid; by default wide enough for start and equilibrium."""

    def __call__(self) -> None:
        """Solve, draw, print."""
        from speedlimits.cli.theory.expression import from_expression
        from speedlimits.theory.fokker_planck import FokkerPlanck

        system = FokkerPlanck(
            from_expression("potential", self.potential),
            inverse_temperature=self.inverse_temperature,
            start_potential=from_expression("start_potential", self.start_potential),
            cells=self.cells,
            domain=self.domain,
        )
        asked = system.solution(time_array(self.time))

        def draw() -> "Figure":
            from speedlimits.report.figures import theory

            grid = theory.time_grid(asked.times, 0.1 * asked.times.max() or 1.0, points=40)
            title = f"$V(x)$ = {self.potential}, $β$ = {self.inverse_temperature:g}"
            return theory.densities(asked, system.speed_limit(grid), title)

        limit = asked.speed_limit
        record: dict[str, Any] = limit_record(squeezed(limit)) | {
            "entropy_production": self.inverse_temperature * squeezed(limit).dissipation,
            "certified": limit.certified,
            "reasons": limit.reasons,
        }
        if self.observable is not None:
            record["uncertainty"] = self._uncertainty(asked, self.observable)
        self.emit(record, draw)

    def _uncertainty(self, asked: "FokkerPlanckSolution", observable: str) -> dict[str, Any]:
        """Lower limits on the dissipation."""
        from speedlimits.cli.theory.expression import from_expression
        from speedlimits.theory.uncertainty import of_solution

        found = of_solution(asked, from_expression("observable", observable))
        names = ("rate", "variance", "change_variance", "fisher_information", "from_change", "from_rate", "accuracy")
        return {name: np.squeeze(getattr(found, name))[()] for name in names}
