"""`speedlimits theory mini-batches`: what mini-batch noise does to the speed limit of linear regression."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from speedlimits._checks import check_integer
from speedlimits.cli.theory.output import Output

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from speedlimits.theory.mini_batch_path import MiniBatchPath


@dataclass(frozen=True, kw_only=True)
class MiniBatchesCommand(Output):
    """Linear regression by mini-batch descent: d, n → ∞, and random draws of finite size, exactly.

    The loss is the mean over samples. --dimension and --samples, given together, add "finite_size" with the mean and
    standard error over random data.
    """

    aspect_ratio: Annotated[float, tyro.conf.arg(metavar="G")]
    """γ = d/n, weights per sample."""
    batch_share: Annotated[float, tyro.conf.arg(metavar="B")]
    """B/n, the share of the samples that is in a batch."""
    learning_rate: Annotated[float, tyro.conf.arg(metavar="ETA")]
    """η."""
    teacher_variance: Annotated[float, tyro.conf.arg(metavar="A")]
    """α: the teacher's weights have variance α/d."""
    steps: Annotated[tuple[int, ...], tyro.conf.arg(metavar="N [N …]")]
    """Steps: one or more."""
    label_variance: Annotated[float, tyro.conf.arg(metavar="V")] = 0.0
    """Of the noise of the labels."""
    start_variance: Annotated[float, tyro.conf.arg(metavar="V")] = 0.0
    """d times that of a weight at the start."""
    replacement: bool = False
    """A batch may hold a sample twice."""
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
        from speedlimits.theory.mini_batch_limit import MiniBatchLimit

        if not self.steps:
            raise ValueError("`steps` must be one number or more; there is none.")
        for steps in self.steps:
            check_integer("steps", steps, minimum=1)
        system = MiniBatchLimit(
            aspect_ratio=self.aspect_ratio,
            batch_share=self.batch_share,
            learning_rate=self.learning_rate,
            teacher_variance=self.teacher_variance,
            label_variance=self.label_variance,
            start_variance=self.start_variance,
            replacement=self.replacement,
        )
        path = system.path(max(self.steps))
        record: dict[str, Any] = self._record(path)
        record["at_rest"] = {"noise_gain": system.noise_gain, "loss": system.loss_at_rest}
        if self.dimension is not None or self.samples is not None:
            sampled = self._sampled()
            record["finite_size"] = {
                "mean": {name: np.mean(values, axis=0)[()] for name, values in sampled.items()},
                "standard_error": {
                    name: np.std(values, axis=0, ddof=1)[()] / np.sqrt(self.draws) for name, values in sampled.items()
                },
            }
        self.emit(record, self._figure(path))

    def _record(self, path: "MiniBatchPath") -> dict[str, Any]:
        """Every number at the steps asked for; one number of steps gives numbers."""
        places = np.squeeze(np.array(self.steps))[()]
        raw, drift = path.raw[places], path.drift[places]
        return {
            "steps": path.steps[places],
            "time": path.times[places],
            "loss": path.losses[places],
            "w2_squared": raw.w2_squared,
            "dissipation": raw.dissipation,
            "noise": path.noise[places],
            "moved_by_noise": path.moved_by_noise[places],
            "inefficiency": raw.inefficiency,
            "drift": drift.inefficiency,
            "estimate": path.estimate[places],
            "inverse_temperature": path.inverse_temperature[places - 1],
        }

    def _sampled(self) -> dict[str, np.ndarray]:
        """The same of random data, a row per draw."""
        from speedlimits.cli.theory.linear_regression import check_ratio
        from speedlimits.theory.mini_batches import MiniBatches

        for name, minimum in (("dimension", 1), ("samples", 2), ("draws", 2), ("rng_seed", 0)):
            check_integer(name, getattr(self, name), minimum=minimum)
        dimension, samples = int(self.dimension or 0), int(self.samples or 0)
        check_ratio(dimension, samples, self.aspect_ratio)
        rng = np.random.default_rng(self.rng_seed)
        rows = []
        for _ in range(self.draws):
            inputs = rng.standard_normal((dimension, samples))
            teacher = np.sqrt(self.teacher_variance / dimension) * rng.standard_normal(dimension)
            problem = MiniBatches(
                inputs=inputs,
                targets=inputs.T @ teacher + np.sqrt(self.label_variance) * rng.standard_normal(samples),
                start=np.zeros(dimension),
                batch=max(round(self.batch_share * samples), 1),
                learning_rate=self.learning_rate,
                replacement=self.replacement,
                start_variance=self.start_variance / dimension,
            )
            rows.append(self._record(problem.path(max(self.steps))))
        return {name: np.array([row[name] for row in rows]) for name in rows[0] if name not in {"steps", "time"}}

    def _figure(self, path: "MiniBatchPath") -> Callable[[], "Figure"]:
        def draw() -> "Figure":
            from speedlimits.report.figures.panels import Panel, panels

            seen, steps, limit = path.strides(), path.steps[1:], path.raw.final
            slower = Panel(
                "T/T_SL over the steps",
                "steps",
                "times slower than the limit",
                {
                    "noise included": (steps, path.raw[1:].inefficiency),
                    "drift": (steps, path.drift[1:].inefficiency),
                },
            )
            ratios = limit.time * seen.dissipation / limit.w2_squared
            share = path.noise[-1] / (limit.dissipation - path.noise[-1])
            law = (1 + share / seen.strides) / (1 + share / len(steps)) * path.drift.final.inefficiency
            strides = Panel(
                "The same path at strides",
                "stride [steps]",
                "times slower than the limit",
                {"exact": (seen.strides, ratios), "white noise, constant drift": (seen.strides, law)},
            )
            title = f"$γ$ = {self.aspect_ratio:g}, $B/n$ = {self.batch_share:g}, $η$ = {self.learning_rate:g}"
            return panels(f"Mini-batches in linear regression, {title}", slower, strides)

        return draw
