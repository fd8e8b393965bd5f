"""How long a run will take, from one gradient that is timed and the sharpness at the start."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from speedlimits.dynamics.curvature import sharpness
from speedlimits.dynamics.loss import value_and_gradient
from speedlimits.dynamics.threads import one_thread
from speedlimits.runs.config import RunConfig
from speedlimits.training.sources import Source

# Gradients of rkc2 over √(λ_max T), λ_max at the start: 11 to 22 for Myrtle-5 of width 16 at 1e-3 (`studies/small`,
# most for the most images), 28 for width 4 on 50 digits at 1e-2, whose sharpness grows; a guide, not a law.
GRADIENTS_PER_ROOT = 18.0
# Hessian-vector products: the steepest direction stands so far out that few find it to some ten per cent.
PRODUCTS = 4


@dataclass(frozen=True)
class Forecast:
    """What one member of a run is expected to cost.

    Args:
        gradient_seconds: measured, for one full-batch gradient.
        accuracy_seconds: measured, for the held-out images once.
        gradients: expected.
        accuracies: how often the held-out samples are classified.
    """

    gradient_seconds: float
    accuracy_seconds: float
    gradients: float
    accuracies: int

    @property
    def seconds(self) -> float:
        """Expected for one member."""
        return self.gradients * self.gradient_seconds + self.accuracies * self.accuracy_seconds

    def scaled(self, factor: float) -> "Forecast":
        """The same network on ``factor`` times as many images: gradients cost as much more, λ_max is so much larger."""
        return Forecast(
            gradient_seconds=factor * self.gradient_seconds,
            accuracy_seconds=self.accuracy_seconds,
            gradients=math.sqrt(factor) * self.gradients,
            accuracies=self.accuracies,
        )


def forecast_member(config: RunConfig) -> Forecast:
    """Time one gradient of the run's first member.

    Args:
        config: the run, with method rkc2.

    Returns:
        The estimate for one member, on one thread.

    Raises:
        ValueError: if the configuration names something unknown.
    """
    with one_thread():
        problem = Source.of(config).build(config, config.seeds[0])
        theta = problem.theta0
        # The first call of anything pays for its preparation.
        steepest = sharpness(
            problem.flat_loss, theta, generator=torch.Generator().manual_seed(0), max_iterations=PRODUCTS
        )
        gradient_seconds = _seconds(lambda: float(value_and_gradient(problem.flat_loss, theta)[0]))
        accuracy_seconds = _seconds(lambda: problem.accuracy(theta))
    gradients = GRADIENTS_PER_ROOT * math.sqrt(steepest.value * config.time)
    return Forecast(gradient_seconds, accuracy_seconds, gradients, min(config.accuracies, config.records))


def _seconds(work: Callable[[], float]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
