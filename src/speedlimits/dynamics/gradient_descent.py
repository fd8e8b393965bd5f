"""Full-batch gradient descent with a constant learning rate: the paper's method (§4), and exact for what it is."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from speedlimits._checks import check_increasing, check_non_negative, check_positive
from speedlimits.dynamics.flat import Flat, value_and_gradient
from speedlimits.dynamics.sharpness import sharpness
from speedlimits.dynamics.state import Displacement, Point, Scalar, at, collect
from speedlimits.errors import DivergenceError
from speedlimits.trajectory import Trajectory

Loss = Callable[[Flat], Tensor]

# A loss this many times above its start does not come back: spikes at the edge of stability stay far below.
EXPLOSION = 1e3
# η·λ_max at which gradient descent stays within 5 % of the flow's dissipation along every mode.
STABLE_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class State:
    """Where the descent stands; its sums stay on the device, so that a step costs no transfer to the host.

    Args:
        step: number of steps taken.
        time: t since the start [time].
        displacement: y = θ_t − θ_0.
        loss: L(θ_t) [loss].
        initial_loss: L(θ_0) [loss].
        gradient: ∇L(θ_t), in the model's dtype.
        arc_length: Σ|δ| so far.
        path_dissipation: Σ|δ|²/η so far [loss].
        gradient_evaluations: gradients spent so far.
    """

    step: int
    time: float
    displacement: Displacement
    loss: Scalar
    initial_loss: Scalar
    gradient: Flat
    arc_length: Scalar
    path_dissipation: Scalar
    gradient_evaluations: int

    def point(self) -> Point:
        """This state as a point of the path."""
        shared = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(Point) if hasattr(self, field.name)
        }
        speed = torch.linalg.vector_norm(self.gradient, dtype=torch.float64)
        return Point(**shared, gradient_norm_squared=speed.square())


def init(loss: Loss, theta0: Flat) -> State:
    """The start: θ_0, with one gradient evaluated there."""
    value, gradient = value_and_gradient(loss, theta0)
    zero = torch.zeros((), dtype=torch.float64, device=theta0.device)
    return State(
        step=0,
        time=0.0,
        displacement=torch.zeros_like(theta0, dtype=torch.float64),
        loss=value.double(),
        initial_loss=value.double(),
        gradient=gradient,
        arc_length=zero,
        path_dissipation=zero.clone(),
        gradient_evaluations=1,
    )


def step(loss: Loss, theta0: Flat, state: State, learning_rate: float) -> State:
    r"""One step, and its share of the exact discrete sums.

    .. math:: \delta = -\eta\nabla L, \qquad l \mathrel{+}= |\delta|, \qquad
              \beta^{-1}R \mathrel{+}= |\delta|^2/\eta = \eta|\nabla L|^2
    """
    displacement = torch.add(state.displacement, state.gradient, alpha=-learning_rate)
    speed = torch.linalg.vector_norm(state.gradient, dtype=torch.float64)
    value, gradient = value_and_gradient(loss, at(theta0, displacement))
    return State(
        step=state.step + 1,
        # A product, not a running sum: no drift over 200,000 steps.
        time=(state.step + 1) * learning_rate,
        displacement=displacement,
        loss=value.double(),
        initial_loss=state.initial_loss,
        gradient=gradient,
        arc_length=state.arc_length + learning_rate * speed,
        path_dissipation=state.path_dissipation + learning_rate * speed.square(),
        gradient_evaluations=state.gradient_evaluations + 1,
    )


def integrate(
    loss: Loss, theta0: Flat, state: State, steps: Iterable[int], *, learning_rate: float
) -> Iterator[tuple[State, list[Point]]]:
    """Go on from any state, and stop at the given step numbers.

    Args:
        loss: L(θ), a differentiable function of a flat weight vector.
        theta0: the start of the whole path, which the displacement is measured from.
        state: where to go on, from `init` or an earlier call; the continuation is the same bit for bit.
        steps: increasing step numbers; those not beyond the state are left out.
        learning_rate: η [time].

    Yields:
        The state at each of the steps, and the same as a point to record.

    Raises:
        DivergenceError: if there the loss or its gradient is not finite, or the loss a thousandfold its start.
    """
    for target in steps:
        if target <= state.step:
            continue
        while state.step < target:
            state = step(loss, theta0, state, learning_rate)
        _check_alive(state, learning_rate)
        yield state, [state.point()]


def gradient_descent(
    loss: Loss, theta0: Flat, times: ArrayLike, *, learning_rate: float | Literal["auto"] = "auto"
) -> Trajectory:
    r"""Follow :math:`\theta_{k+1} = \theta_k - \eta\nabla L(\theta_k)` and measure the path exactly.

    Args:
        loss: L(θ), a differentiable function of a flat weight vector, as `FlatLoss`.
        theta0: where to start.
        times: wanted record times t = η × step [time], from 0, strictly increasing; each is rounded to a step.
        learning_rate: η [time]; above 2/λ_max it diverges. ``"auto"`` is 0.1/λ_max at the start, close to the
            gradient flow, shortened to divide the last time; the search for λ_max counts as gradients.

    Returns:
        The trajectory at those times, each of them a snapshot and so a possible start. Its
        `path_dissipation` is Σ|δ|²/η, exact for finite η.

    Raises:
        ValueError: if ``times`` does not increase from 0 or ``learning_rate`` is not positive.
        DivergenceError: if the loss stops being finite, or rises a thousandfold.
    """
    check_non_negative("times", times)
    check_increasing("times", times)
    times = np.atleast_1d(np.asarray(times, dtype=float))
    if times[:1].sum() != 0 or times.size == 0:
        raise ValueError(f"`times` must start at zero; times[:2] = {times[:2]}.")
    state = init(loss, theta0)
    if learning_rate == "auto":
        found = sharpness(loss, theta0, generator=torch.Generator().manual_seed(0))
        learning_rate = stable_learning_rate(found.value, times[-1])
        spent = state.gradient_evaluations + found.gradient_evaluations
        state = dataclasses.replace(state, gradient_evaluations=spent)
    check_positive("learning_rate", learning_rate)
    steps = record_steps(times, learning_rate)
    walk = integrate(loss, theta0, state, steps, learning_rate=learning_rate)
    return collect(itertools.chain([state.point()], *(points for _, points in walk)))


def stable_learning_rate(sharpness: float, time: float) -> float:
    """η = 0.1/λ_max, shortened so that ``time`` is a whole number of steps; a flat loss takes a hundred of them.

    Args:
        sharpness: λ_max [1/time].
        time: T [time].

    Returns:
        The learning rate [time].
    """
    return whole_steps(time, STABLE_SHARE / sharpness if sharpness > 0 else time / 100)


def record_steps(times: ArrayLike, learning_rate: float) -> list[int]:
    """The step numbers nearest to the wanted times, each once."""
    return np.unique(np.rint(np.asarray(times) / learning_rate)).astype(int).tolist()


def whole_steps(time: float, learning_rate: float) -> float:
    """The largest learning rate, at most the given one, of which ``time`` is a whole number of steps."""
    # The slack keeps T/η = 1000.0000000001 from becoming 1001 steps.
    return time / max(1, math.ceil(time / learning_rate * (1 - 1e-12)))


def _check_alive(state: State, learning_rate: float) -> None:
    loss, start = float(state.loss), float(state.initial_loss)
    speed = float(torch.linalg.vector_norm(state.gradient))
    if math.isfinite(loss) and math.isfinite(speed) and loss - start <= EXPLOSION * abs(start):
        return
    raise DivergenceError(
        f"training diverged: loss {loss:.4g} at time {state.time:.4g} (step {state.step}), {start:.4g} at the start; "
        f"`learning_rate` must be smaller, below 2/λ_max; learning_rate = {learning_rate:.4g}."
    )
