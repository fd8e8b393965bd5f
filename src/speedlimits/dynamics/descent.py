r"""Full-batch gradient descent with a constant learning rate, with or without momentum: the paper's method (§4).

What is measured is exact for what it is, a polygon: no step size is too large for it. With momentum μ a step covers the
flow time :math:`\Delta t = \eta/(1-\mu)`, the time in which a slowly varying force moves the weights as far.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike

from speedlimits._checks import check_increasing, check_momentum, check_non_negative, check_positive
from speedlimits.dynamics.curvature import sharpness
from speedlimits.dynamics.loss import Flat, Loss, value_and_gradient
from speedlimits.dynamics.state import Displacement, Point, Scalar, at, collect
from speedlimits.errors import DivergenceError
from speedlimits.trajectory import Trajectory

# A loss this many times above its start does not come back: spikes at the edge of stability stay far below.
EXPLOSION = 1e3
# A run of more steps is a slip in its rate.
MOST_STEPS = 1_000_000_000
# η·λ_max at which gradient descent stays within 5 % of the flow's dissipation along every mode.
STABLE_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class DescentState:
    """Where the descent stands; its sums stay on the device, so that a step costs no transfer to the host.

    Args:
        step: number of steps taken.
        time: t since the start [time].
        displacement: y = θ_t − θ_0.
        loss: L(θ_t) [loss].
        initial_loss: L(θ_0) [loss].
        gradient: ∇L(θ_t), in the model's dtype.
        change: δ, the last step; zero at the start.
        arc_length: Σ|δ| so far.
        path_dissipation: Σ|δ|²/Δt so far [loss].
        averaged_dissipation: Σ|δ̄|²/Δt so far of the path θ_0 → θ̄_0 → θ̄_1 → … → θ_t through the midpoints of the
            steps, the first and last of its steps half as long [loss].
        gradient_evaluations: gradients spent so far.
    """

    step: int
    time: float
    displacement: Displacement
    loss: Scalar
    initial_loss: Scalar
    gradient: Flat
    change: Displacement
    arc_length: Scalar
    path_dissipation: Scalar
    averaged_dissipation: Scalar
    gradient_evaluations: int

    def point(self) -> Point:
        """This state as a point of the path."""
        shared = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(Point) if hasattr(self, field.name)
        }
        speed = torch.linalg.vector_norm(self.gradient, dtype=torch.float64)
        return Point(**shared, gradient_norm_squared=speed.square())


def init(loss: Loss, theta0: Flat) -> DescentState:
    """The start: θ_0, with one gradient evaluated there."""
    value, gradient = value_and_gradient(loss, theta0)
    zero = torch.zeros((), dtype=torch.float64, device=theta0.device)
    return DescentState(
        step=0,
        time=0.0,
        displacement=torch.zeros_like(theta0, dtype=torch.float64),
        loss=value.double(),
        initial_loss=value.double(),
        gradient=gradient,
        change=torch.zeros_like(theta0, dtype=torch.float64),
        arc_length=zero,
        path_dissipation=zero.clone(),
        averaged_dissipation=zero.clone(),
        gradient_evaluations=1,
    )


def step(loss: Loss, theta0: Flat, state: DescentState, learning_rate: float, momentum: float = 0.0) -> DescentState:
    r"""One step, and its share of the exact discrete sums.

    .. math:: \delta' = \mu\delta - \eta\nabla L, \qquad l \mathrel{+}= |\delta'|, \qquad
              \beta^{-1}R \mathrel{+}= |\delta'|^2/\Delta t
    """
    change = torch.mul(state.change, momentum).add_(state.gradient, alpha=-learning_rate)
    displacement = state.displacement + change
    time_step = learning_rate / (1 - momentum)
    squared = change.dot(change)
    # The last half step, |δ|²/2, becomes the full one between two midpoints, |(δ + δ')/2|²; then comes the new half.
    turn = (state.change + change).square().sum() / 4 - state.change.dot(state.change) / 2
    turn = squared / 2 if state.step == 0 else turn
    value, gradient = value_and_gradient(loss, at(theta0, displacement))
    return DescentState(
        step=state.step + 1,
        # A product, not a running sum: no drift over 200,000 steps.
        time=(state.step + 1) * time_step,
        displacement=displacement,
        loss=value.double(),
        initial_loss=state.initial_loss,
        gradient=gradient,
        change=change,
        arc_length=state.arc_length + squared.sqrt(),
        path_dissipation=state.path_dissipation + squared / time_step,
        averaged_dissipation=state.averaged_dissipation + (turn + squared / 2) / time_step,
        gradient_evaluations=state.gradient_evaluations + 1,
    )


def integrate(
    loss: Loss, theta0: Flat, state: DescentState, steps: Iterable[int], *, learning_rate: float, momentum: float = 0.0
) -> Iterator[tuple[DescentState, list[Point]]]:
    """Go on from any state, and stop at the given step numbers.

    Args:
        loss: L(θ), a differentiable function of a flat weight vector.
        theta0: the start of the whole path, which the displacement is measured from.
        state: where to go on, from `init` or an earlier call; the continuation is the same bit for bit.
        steps: increasing step numbers; those not beyond the state are left out.
        learning_rate: η [time].
        momentum: μ of heavy-ball momentum, in [0, 1).

    Yields:
        The state at each of the steps, and the same as a point to record.

    Raises:
        DivergenceError: if there the loss or its gradient is not finite, or the loss a thousandfold its start.
    """
    for target in steps:
        if target <= state.step:
            continue
        while state.step < target:
            state = step(loss, theta0, state, learning_rate, momentum)
        _check_alive(state, learning_rate)
        yield state, [state.point()]


def gradient_descent(
    loss: Loss,
    theta0: Flat,
    times: ArrayLike,
    *,
    learning_rate: float | Literal["auto"] = "auto",
    momentum: float = 0.0,
) -> Trajectory:
    r"""Follow :math:`\theta_{k+1} = \theta_k + \delta_{k+1}` and measure the path exactly.

    .. math:: \delta_{k+1} = \mu\delta_k - \eta\nabla L(\theta_k)

    Args:
        loss: L(θ), a differentiable function of a flat weight vector, as `FlatLoss`.
        theta0: where to start.
        times: wanted record times t = step × η/(1 − μ) [time], from 0, strictly increasing; each is rounded to a step.
        learning_rate: η [time]; above 2(1 + μ)/λ_max it diverges. ``"auto"`` makes η/(1 − μ) 0.1/λ_max at the start,
            close to the gradient flow, shortened to divide the last time; the search for λ_max counts as gradients.
        momentum: μ of heavy-ball momentum, in [0, 1); 0 is plain gradient descent.

    Returns:
        The trajectory at those times, each of them a snapshot and so a possible start. Its
        `path_dissipation` is Σ|δ|²(1 − μ)/η, exact for finite η; `averaged_dissipation` that of the midpoints.

    Raises:
        ValueError: if ``times`` does not increase from 0, ``learning_rate`` is not positive, or ``momentum`` not in
            [0, 1), or the last time is less than half a step or more than a milliard of them.
        DivergenceError: if the loss stops being finite, or rises a thousandfold.
    """
    check_non_negative("times", times)
    check_increasing("times", times)
    times = np.atleast_1d(np.asarray(times, dtype=float))
    if times[:1].sum() != 0 or times.size == 0:
        raise ValueError(f"`times` must start at zero; times[:2] = {times[:2]}.")
    check_momentum("momentum", momentum)
    state = init(loss, theta0)
    if learning_rate == "auto":
        found = sharpness(loss, theta0, generator=torch.Generator().manual_seed(0))
        learning_rate = (1 - momentum) * stable_time_step(found.value, times[-1])
        spent = state.gradient_evaluations + found.gradient_evaluations
        state = dataclasses.replace(state, gradient_evaluations=spent)
    check_positive("learning_rate", learning_rate)
    steps = record_steps(times, _checked_step(learning_rate, momentum, times[-1]))
    walk = integrate(loss, theta0, state, steps, learning_rate=learning_rate, momentum=momentum)
    return collect(itertools.chain([state.point()], *(points for _, points in walk)))


def _checked_step(learning_rate: float, momentum: float, time: float) -> float:
    """The flow time of a step; raise unless it fits into the time, and not too often."""
    time_step = learning_rate / (1 - momentum)
    # Within half a step the record is rounded to it.
    if not 0.5 * time_step <= time and time > 0:
        raise ValueError(
            f"`learning_rate` must be at most the last of `times` × (1 − momentum) = {time * (1 - momentum):.4g}; "
            f"learning_rate = {learning_rate:.4g}."
        )
    if not time <= MOST_STEPS * time_step:
        raise ValueError(
            f"`learning_rate` must be at least {time * (1 - momentum) / MOST_STEPS:.4g}, for {MOST_STEPS:.0e} steps; "
            f"learning_rate = {learning_rate:.4g}."
        )
    return time_step


def stable_time_step(sharpness: float, time: float) -> float:
    """Δt = 0.1/λ_max, shortened so that ``time`` is a whole number of steps; a flat loss takes a hundred of them.

    Args:
        sharpness: λ_max [1/time].
        time: T [time].

    Returns:
        The flow time of a step [time].
    """
    return whole_steps(time, STABLE_SHARE / sharpness if sharpness > 0 else time / 100)


def record_steps(times: ArrayLike, time_step: float) -> list[int]:
    """The step numbers nearest to the wanted times, each once."""
    return np.unique(np.rint(np.asarray(times) / time_step)).astype(int).tolist()


def whole_steps(time: float, time_step: float) -> float:
    """The largest time step, at most the given one, of which ``time`` is a whole number of steps."""
    # The slack keeps T/Δt = 1000.0000000001 from becoming 1001 steps.
    return time / max(1, math.ceil(time / time_step * (1 - 1e-12)))


def _check_alive(state: DescentState, learning_rate: float) -> None:
    loss, start = float(state.loss), float(state.initial_loss)
    speed = float(torch.linalg.vector_norm(state.gradient))
    if math.isfinite(loss) and math.isfinite(speed) and loss - start <= EXPLOSION * abs(start):
        return
    raise DivergenceError(
        f"training diverged: loss {loss:.4g} at time {state.time:.4g} (step {state.step}), {start:.4g} at the start; "
        "`learning_rate` must be smaller, below 2/λ_max (2(1 + μ)/λ_max with momentum μ); "
        f"learning_rate = {learning_rate:.4g}."
    )
