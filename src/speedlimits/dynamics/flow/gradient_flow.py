r"""Gradient flow :math:`\dot\theta = -\nabla L(\theta)` by stabilised Runge–Kutta steps.

A plain explicit method is held to steps of 2/λ_max by stability, long after accuracy would allow more. The
Chebyshev method of `rkc2` takes steps h with s ≈ 1.25 √(h·λ_max) gradients: the cost of a run grows as √(λ_max T).
`methods` lists what may stand in its place.
"""

import bisect
import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from speedlimits._checks import check_increasing, check_non_negative, check_one_of, check_positive
from speedlimits.dynamics.flow import exponential
from speedlimits.dynamics.flow.force import Force, spectral_radius
from speedlimits.dynamics.flow.methods import ONE_STEP_METHODS
from speedlimits.dynamics.flow.segment import Path, Segment
from speedlimits.dynamics.flow.state import FlowState, between, falls
from speedlimits.dynamics.flow.step_size import growth, is_kink
from speedlimits.dynamics.loss import Flat, Loss
from speedlimits.dynamics.state import Point, collect
from speedlimits.errors import DivergenceError
from speedlimits.trajectory import Trajectory

# The estimate is of the curvature behind; the path may turn to steeper ground within a step.
SAFETY = 1.25
REFRESH = 25
# Along a kink (the flow may slide on one for long) steps of this share of 1/λ_max are taken whatever their error, as
# gradient descent close to the flow does: smaller ones would follow a zigzag, not the flow.
KINK_STEP = 0.1
# Smallest tolerance that the rounding of the weights leaves attainable.
FLOOR = {torch.float64: 1e-10, torch.float32: 1e-3}


def init(loss: Loss, theta0: Flat, *, rtol: float, method: str = "rkc2") -> FlowState:
    """The start: one gradient, and the spectral radius there.

    Args:
        loss: L(θ).
        theta0: θ_0.
        rtol: as of `gradient_flow`.
        method: as of `gradient_flow`.

    Returns:
        The state at time zero.

    Raises:
        ValueError: if ``method`` is unknown, ``rtol`` below what the weights' precision allows, or θ_0 a stationary
            point.
        DivergenceError: if loss or gradient are not finite there.
    """
    check_one_of("method", method, ONE_STEP_METHODS)
    floor = FLOOR.get(theta0.dtype, 1e-2)
    if not floor <= rtol < 1:
        raise ValueError(f"`rtol` must lie in [{floor:g}, 1) for {theta0.dtype} weights; rtol = {rtol:g}.")
    force, origin = Force(loss, theta0), theta0.double()
    start = force(origin)
    speed, value = float(torch.linalg.vector_norm(start)), float(force.value)
    if not math.isfinite(speed) or not math.isfinite(value):
        raise DivergenceError(f"`loss` and its gradient must be finite at `theta0`; |∇L| = {speed}.")
    if speed == 0:
        raise ValueError("`theta0` must not be a stationary point of the loss; |∇L| = 0 there: nothing would move.")
    radius, direction = spectral_radius(force, origin, start, start)
    # |y| is the distance travelled, so the first step has a relative error of (h·ρ)²/15 or so whatever its size;
    # with order 4, (h·ρ)³/24.
    scheme = ONE_STEP_METHODS[method]
    size = (15 * scheme.tolerance(rtol)) ** (1 / (scheme.error_order - 1)) / radius if radius > 0 else math.inf
    return FlowState(
        time=0.0,
        displacement=torch.zeros_like(origin),
        loss=value,
        initial_loss=value,
        force=start,
        direction=direction,
        radius=radius,
        radius_age=0,
        size=size,
        last_error=0.0,
        last_size=0.0,
        arc_length=0.0,
        path_dissipation=0.0,
        gradient_evaluations=force.evaluations,
        steps=0,
        rejections=0,
        kinks=0,
        exponential=0,
        worth=scheme.worth(loss),
        held=0,
    )


def step(
    loss: Loss, theta0: Flat, state: FlowState, *, end: float, rtol: float, method: str = "rkc2"
) -> tuple[FlowState, Path]:
    """One accepted step, at most to the time ``end``.

    The local error is measured against the distance travelled, |error| ≤ rtol·|y|: the same tolerance is then right
    for the small steps at the start and the large ones later.

    Args:
        loss: L(θ).
        theta0: θ_0.
        state: where the step begins.
        end: the time not to be passed [time].
        rtol: the tolerance.
        method: a name from `ONE_STEP_METHODS`.

    Returns:
        The state after the step, and the path between as a cubic.

    Raises:
        DivergenceError: if no step size makes the loss fall along its gradient, or keeps it finite.
    """
    force, scheme = Force(loss, theta0), ONE_STEP_METHODS[method]
    if not state.held and scheme.stages(min(state.size, end - state.time) * state.radius * SAFETY) >= state.worth:
        found = exponential.step(force, theta0, state, end=end, rtol=rtol)
        if found is not None:
            return found
        state = dataclasses.replace(state, held=exponential.HOLD)
    y, start, origin = state.displacement, state.force, theta0 + state.displacement
    radius, direction, age = state.radius, state.direction, state.radius_age
    size, tries, rounding = state.size, [], torch.finfo(theta0.dtype).eps
    while True:
        # Old news after so many steps, and the first suspect when a step fails.
        if age >= REFRESH or len(tries) == 1:
            radius, direction = spectral_radius(force, origin, start, direction, radius)
            age = 0
        if size * radius > scheme.reach:
            size = scheme.reach / radius
        last = state.time + size >= end * (1 - 1e-12)
        size = end - state.time if last else size
        change, final, estimate = scheme.step(force, origin, start, size, scheme.stages(size * radius * SAFETY))
        following, mean = y + change, change / size
        products = _products(mean, start, final, estimate, following)
        value = float(force.value)
        error = math.inf
        if falls(value, state, rtol, rounding) and products[4, 4] > 0 and math.isfinite(products[3, 3]):
            error = math.sqrt(products[3, 3] / products[4, 4]) / scheme.tolerance(rtol)
        tries.append((size, error))
        along_kink = state.last_error > 1 and size * radius <= KINK_STEP and math.isfinite(error)
        if error <= 1 or along_kink or is_kink(tries):
            break
        _check_hope(state, size, error, rounding)
        size *= min(0.7, max(0.1, 0.8 * error ** (-1 / scheme.error_order))) if math.isfinite(error) else 0.1
    # Across a kink the velocities at the ends are not those between: the chord is the better path.
    if error <= 1:
        segment = Segment(state.time, size, y, mean, start, final, products[:3, :3])
    else:
        segment = Segment.straight(state.time, size, y, mean, products[0, 0])
    length, dissipated = segment.travelled()
    trend = state.last_error if len(tries) == 1 else 0.0
    proposal = size * growth(error, trend, size, state.last_size, order=scheme.error_order)
    if error > 1 and radius > 0:
        proposal = max(proposal, KINK_STEP / radius)
    return dataclasses.replace(
        state,
        time=end if last else state.time + size,
        displacement=following,
        loss=value,
        force=final,
        direction=direction,
        radius=radius,
        radius_age=age + 1,
        size=proposal,
        last_error=error,
        last_size=size,
        arc_length=state.arc_length + length,
        path_dissipation=state.path_dissipation + dissipated,
        gradient_evaluations=state.gradient_evaluations + force.evaluations,
        steps=state.steps + 1,
        rejections=state.rejections + len(tries) - 1,
        kinks=state.kinks + (error > 1),
        held=max(0, state.held - 1),
    ), segment


def integrate(
    loss: Loss, theta0: Flat, state: FlowState, times: Sequence[float], *, rtol: float, method: str = "rkc2"
) -> Iterator[tuple[FlowState, list[Point]]]:
    """Go on from any state to the last of the times.

    Args:
        loss: L(θ).
        theta0: the start of the whole path, which the displacement is measured from.
        state: where to go on, from `init` or an earlier call; the continuation is the same bit for bit.
        times: increasing record times [time]; those not beyond the state are left out.
        rtol: the tolerance.
        method: as of `gradient_flow`.

    Yields:
        The state after each step, and the points at the record times within it.

    Raises:
        DivergenceError: as `step`.
    """
    ahead = [time for time in times if time > state.time]
    while ahead:
        before = state
        state, segment = step(loss, theta0, before, end=times[-1], rtol=rtol, method=method)
        count = bisect.bisect_right(ahead, state.time)
        within, ahead = ahead[:count], ahead[count:]
        yield state, [between(before, state, segment, time) for time in within]


def gradient_flow(
    loss: Loss, theta0: Flat, times: ArrayLike, *, rtol: float = 1e-4, method: str = "rkc2"
) -> Trajectory:
    r"""Follow the gradient flow of a loss and measure its path.

    For the squared error it is Eq. (49).

    Args:
        loss: L(θ), a differentiable function of a flat weight vector, as `FlatLoss`.
        theta0: where to start.
        times: record times t [time], from 0, strictly increasing; they cost no gradients.
        rtol: the accuracy. Distance, loss drop, length and T/T_SL come out within about 10·rtol at every record, for
            smooth networks, by every method, down to 2e-9; at kinks (ReLU, max-pool) 1e-2 is as good as any.
        method: ``"rkc2"``, stabilised, order 2; ``"rock4"``, stabilised, order 4, with ``rtol`` of 1e-4 and below
            (above, the arc length suffers first); ``"rk4"``, the classical method with steps of at most 1/λ_max, for
            reference; ``"etd"``, as ``"rkc2"`` until its steps are stiff, then exponential steps by the network's own
            kernel: fewest gradients, for a `FlatLoss` whose criterion is a sum over samples; ``"auto"``, the same where
            that takes less time, ``"rkc2"`` elsewhere.

    Returns:
        The trajectory at those times, each a snapshot and so a possible start. `path_dissipation` is ∫|v|²dt; how far
        the loss drop is from it, `discretisation_share`, certifies the accuracy.

    Raises:
        ValueError: if ``times`` does not increase from 0, ``method`` is unknown, ``rtol`` is below what the weights'
            precision allows, or ``theta0`` is a stationary point.
        DivergenceError: if the loss stops being finite, or does not fall along its gradient.
    """
    check_positive("rtol", rtol)
    check_non_negative("times", times)
    check_increasing("times", times)
    times = np.atleast_1d(np.asarray(times, dtype=float))
    if times.size == 0 or times[0] != 0:
        raise ValueError(f"`times` must start at zero; times[:2] = {times[:2]}.")
    state = init(loss, theta0, rtol=rtol, method=method)
    walk = integrate(loss, theta0, state, times.tolist(), rtol=rtol, method=method)
    return collect(itertools.chain([state.point()], *(points for _, points in walk)))


def _products(*vectors: Tensor) -> np.ndarray:
    """Inner products of all pairs, in one transfer to the host."""
    rows = torch.stack(vectors)
    return (rows @ rows.T).cpu().numpy()


def _check_hope(state: FlowState, size: float, error: float, rounding: float) -> None:
    """Raise if no smaller step than the one that failed can do better.

    Past convergence a loss does not fall within its rounding, and only steps that made it rise tell of a wrong
    gradient: where a step is finite and just too rough, a smaller one will do.
    """
    still = math.isinf(error) and size * float(state.force.dot(state.force)) <= rounding * abs(state.loss)
    if state.time + size == state.time or still:
        raise DivergenceError(
            f"no step, down to {size:.3g}, makes the loss fall along its gradient at time {state.time:.6g}, loss "
            f"{state.loss:.6g}: `loss` must be finite and have its own gradient."
        )
