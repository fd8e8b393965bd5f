"""`speedlimits theory linear-regression`: noisy linear regression with many weights and samples, or with a few."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro
from numpy.typing import ArrayLike

from speedlimits._checks import check_integer, check_time
from speedlimits.bound import SpeedLimit
from speedlimits.cli.theory.output import Output, time_array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUANTITIES = ("w2_squared", "dissipation", "speed_limit")


@dataclass(frozen=True, kw_only=True)
class LinearRegressionCommand(Output):
    """Linear regression by Langevin dynamics with learning rate 1/n: d, n → ∞, and random draws of finite size.

    The dissipation is that per sample. --dimension and --samples, given together, add "finite_size" with the mean
    and standard error over random data and teachers.
    """

    weight_decay: Annotated[float, tyro.conf.arg(metavar="L")]
    """λ."""
    inverse_temperature: Annotated[float, tyro.conf.arg(metavar="B")]
    """β."""
    aspect_ratio: Annotated[float, tyro.conf.arg(metavar="G")]
    """γ = d/n, weights per sample."""
    teacher_variance: Annotated[float, tyro.conf.arg(metavar="A")]
    """α: the teacher's weights have variance α/d."""
    time: Annotated[tuple[float, ...], tyro.conf.arg(metavar="T [T …]")] = (np.inf,)
    """Training time, one or more; inf is training to equilibrium."""
    as_printed: bool = False
    """Evaluate the paper's misprinted formulas instead of the corrected ones; for T = inf only."""
    dimension: Annotated[int | None, tyro.conf.arg(metavar="D")] = None
    """d of the random draws, with d/n = γ."""
    samples: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """n of the random draws."""
    draws: Annotated[int, tyro.conf.arg(metavar="K")] = 10
    """Number of random draws."""
    rng_seed: Annotated[int, tyro.conf.arg(metavar="S")] = 0
    """Seed of the random draws."""

    def __call__(self) -> None:
        """Compute, draw, print."""
        times = time_array(self.time)
        self._check(times)
        limit = self._limit(self.inverse_temperature, times, printed=self.as_printed)
        shape = () if times.size == 1 else times.shape
        record: dict[str, Any] = {name: getattr(limit, name).reshape(shape) for name in ("time", *QUANTITIES)}
        record["as_printed"] = self.as_printed
        sampled = None
        if self.dimension is not None and self.samples is not None:
            check_ratio(self.dimension, self.samples, self.aspect_ratio)
            sampled = self._sampled(self.dimension, self.samples, times)
            sizes = {name: getattr(self, name) for name in ("dimension", "samples", "draws", "rng_seed")}
            record["finite_size"] = sizes | {
                name: {quantity: values.reshape(shape) for quantity, values in part.items()}
                for name, part in sampled.items()
            }
        self.emit(record, lambda: self._figure(limit, sampled))

    def _check(self, times: np.ndarray) -> None:
        check_time("time", times)
        if self.as_printed and np.isfinite(times).any():
            raise ValueError(f"`time` must be inf with as_printed, the paper's only one; time = {times.min():g}.")
        if self.dimension is None and self.samples is None:
            return
        for name, minimum in (("dimension", 1), ("samples", 1), ("draws", 2), ("rng_seed", 0)):
            check_integer(name, getattr(self, name), minimum=minimum)

    def _limit(self, inverse_temperature: ArrayLike, times: ArrayLike, *, printed: bool) -> SpeedLimit:
        """For d, n → ∞."""
        from speedlimits.misprints import regression
        from speedlimits.theory.regression_limit import RegressionLimit

        system = RegressionLimit(
            weight_decay=self.weight_decay,
            inverse_temperature=inverse_temperature,
            aspect_ratio=self.aspect_ratio,
            teacher_variance=self.teacher_variance,
        )
        if not printed:
            return system.speed_limit(times)
        return SpeedLimit(time=times, w2_squared=system.w2_squared(times), dissipation=regression.dissipation(system))

    def _sampled(self, dimension: int, samples: int, times: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        """Mean and standard error over random data and teachers."""
        from speedlimits.theory.linear_regression import LinearRegression

        rng = np.random.default_rng(self.rng_seed)
        limits: list[SpeedLimit] = []
        for _ in range(self.draws):
            inputs = rng.standard_normal((dimension, samples))
            teacher = np.sqrt(self.teacher_variance / dimension) * rng.standard_normal(dimension)
            problem = LinearRegression(
                inputs=inputs,
                targets=inputs.T @ teacher,
                weight_decay=self.weight_decay,
                inverse_temperature=self.inverse_temperature,
            )
            limits.append(problem.speed_limit(times))
        values = {name: np.array([getattr(limit, name) for limit in limits]) for name in QUANTITIES}
        return {
            "mean": {name: value.mean(axis=0) for name, value in values.items()},
            "standard_error": {name: value.std(axis=0, ddof=1) / np.sqrt(self.draws) for name, value in values.items()},
        }

    def _figure(self, limit: SpeedLimit, sampled: dict[str, dict[str, np.ndarray]] | None) -> "Figure":
        from speedlimits.report.figures import theory

        title = f"$λ$ = {self.weight_decay:g}, $γ$ = {self.aspect_ratio:g}, $α$ = {self.teacher_variance:g}"
        if self.as_printed:
            betas = self.inverse_temperature * np.geomspace(1e-3, 1e3, 121)
            printed, corrected = (self._limit(betas, np.inf, printed=printed) for printed in (True, False))
            return theory.misprint(betas, printed, corrected, f"Linear regression, {title}")
        # The learning rate 1/n makes 1 the time of a typical direction.
        grid = theory.time_grid(limit.time, 1.0)
        title = f"Linear regression, {title}, $β$ = {self.inverse_temperature:g}"
        curve = self._limit(self.inverse_temperature, grid, printed=False)
        return theory.regression(curve, limit, sampled, title)


def check_ratio(dimension: int, samples: int, aspect_ratio: float) -> None:
    """Raise unless d/n is γ, as nearly as whole numbers can be."""
    if abs(dimension - aspect_ratio * samples) > 0.5 * max(1.0, aspect_ratio):
        raise ValueError(
            f"`dimension`/`samples` must be aspect_ratio = {aspect_ratio:g} as nearly as whole numbers can be; "
            f"{dimension}/{samples} = {dimension / samples:.4g}."
        )
