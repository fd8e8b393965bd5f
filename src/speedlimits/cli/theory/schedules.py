"""`speedlimits theory schedules`: learning-rate schedules on power laws, and what the limit allows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from speedlimits.cli.theory.output import Output

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from speedlimits.theory.schedules import NoisyPowerLaw

# What known schedules are tuned over: their peak, in units of the largest rate, and the decay's share of the steps.
PEAKS = tuple(np.geomspace(1e-3, 1.0, 10).tolist())
DECAYS = (0.01, 0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True, kw_only=True)
class SchedulesCommand(Output):
    """Power laws λ_k = k^−α, Δ_k² = k^−δ trained with gradient noise: the best schedule, and known ones at their best.

    For each number of steps: the loss by the best schedule, by polynomial decay, by a stable rate with a linear decay,
    and by a constant rate; the flow time of the best schedule; and the least number of steps by the speed limit.
    """

    spectrum_exponent: Annotated[float, tyro.conf.arg(metavar="A")]
    """α, above 1."""
    residual_exponent: Annotated[float, tyro.conf.arg(metavar="D")]
    """δ, above 1."""
    noise: Annotated[float, tyro.conf.arg(metavar="V")] = 0.01
    """v: a step with the rate η adds η²λ_k²v to Δ_k²."""
    largest_rate: Annotated[float, tyro.conf.arg(metavar="RATE")] = 0.5
    """Of the steps, in units of 1/λ_1."""
    steps: Annotated[tuple[int, ...], tyro.conf.arg(metavar="N [N …]")] = (100, 1000, 10_000, 100_000)
    """One or more."""

    def __call__(self) -> None:
        """Compute, draw, print."""
        from speedlimits.theory.schedules import NoisyPowerLaw

        if not self.steps:
            raise ValueError("`steps` must be one number or more; there is none.")
        law = NoisyPowerLaw(
            spectrum_exponent=self.spectrum_exponent,
            residual_exponent=self.residual_exponent,
            noise=self.noise,
            largest_rate=self.largest_rate,
        )
        found = self._found(law)
        record: dict[str, Any] = {name: np.squeeze(values)[()] for name, values in found.items()}
        exponents = law.exponents
        record["exponents"] = {name: float(value) for name, value in exponents._asdict().items()}
        record["regime"] = law.regime
        self.emit(record, lambda: self._figure(law, found))

    def _found(self, law: "NoisyPowerLaw") -> dict[str, np.ndarray]:
        """Every number at each number of steps."""
        from speedlimits.theory.schedules import polynomial_decay, stable_decay

        polynomial = [polynomial_decay(2.0 * self.spectrum_exponent - 1.0)]
        stable = [stable_decay(0.0, decay) for decay in DECAYS]
        rows = []
        for steps in self.steps:
            best = law.best(steps)
            known = [law.tuned(family, PEAKS, steps).loss for family in (polynomial, stable, [np.ones_like])]
            least = float(law.limit(np.array([best.found.time]))[0].speed_limit) / self.largest_rate
            rows.append((steps, best.found.loss, *known, best.found.time, best.decay, least))
        names = ("steps", "best", "polynomial", "stable_decay", "constant", "flow_time", "decay_share", "least_steps")
        return dict(zip(names, np.array(rows, dtype=float).T, strict=True))

    def _figure(self, law: "NoisyPowerLaw", found: dict[str, np.ndarray]) -> "Figure":
        from speedlimits.report.figures.panels import Panel, panels

        steps, first = found["steps"], float(law.signal(np.zeros(1))[0])
        curves = {
            name.replace("_", "–"): (steps, found[name]) for name in ("best", "polynomial", "stable_decay", "constant")
        }
        flow = (steps, law.signal(self.largest_rate * steps))
        alphas = np.array([1.0, max(3.0, 1.2 * self.spectrum_exponent)])
        return panels(
            rf"$\alpha$ = {self.spectrum_exponent:g}, $\delta$ = {self.residual_exponent:g}, starting at {first:.3g}",
            Panel("Loss after all steps", "steps $N$", "loss", curves | {"without noise": flow}, mark="o-"),
            Panel(
                "What decides",
                r"spectrum exponent $\alpha$",
                r"residual exponent $\delta$",
                {
                    r"$\delta = 1 + \alpha$: above, $T_{SL}$ stays finite": (alphas, 1.0 + alphas),
                    r"$\delta = \alpha$: above, noise costs exponent; below, none": (alphas, alphas),
                    r"$\delta = 1$: below, the loss is infinite": (alphas, np.ones_like(alphas)),
                    "this law": ([self.spectrum_exponent], [self.residual_exponent]),
                },
                ("linear", "linear"),
                mark="o-",
            ),
        )
