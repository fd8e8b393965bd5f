"""When an exponential step is worth its Jacobian, and one such step under control of its error."""

import dataclasses
import math

import torch
from torch.utils.flop_counter import FlopCounterMode

from speedlimits.dynamics.flow import etd
from speedlimits.dynamics.flow.exponential_path import ExponentialPath
from speedlimits.dynamics.flow.force import Force
from speedlimits.dynamics.flow.gauss_newton import Modes, check_separable, jacobian
from speedlimits.dynamics.flow.state import FlowState, falls
from speedlimits.dynamics.flow.step_size import growth
from speedlimits.dynamics.loss import Flat, FlatLoss, Loss, value_and_gradient
from speedlimits.dynamics.samples import take

# Exponential steps are so many times longer than those of the Chebyshev method.
LONGER = 2.5
# Its matrix products and eigenmodes in operations of a gradient, of which three take the time of one of a product; and
# as many as a small network's gradient takes the time of, whatever it computes.
PRODUCT, EIGENMODES, OVERHEAD = 2 / 3, 8, 3.5e6
# Bytes of the Jacobian and the kernel's eigenvectors.
MEMORY = 2**31
# The error falls with this power of h.
ORDER = 4
# The estimate is that of a method of order 3; what is kept has order 4.
TOLERANCE = 3.0
# After so many tries that are too rough, a step is left to the Chebyshev method, and the next ones as well.
TRIES = 4
HOLD = 25


def worth(loss: Loss) -> float:
    """Stages of a Chebyshev step from which on an exponential one costs fewer gradients for its length.

    Args:
        loss: L(θ).

    Returns:
        The number: (o + 4)/2.5 for o outputs.

    Raises:
        ValueError: if there is no exponential step for the loss, as of `check_separable`, or its Jacobian takes more
            memory than it may.
    """
    return _gradients(_fit(loss)) / LONGER


def worth_in_time(loss: Loss) -> float:
    """Stages of a Chebyshev step from which on an exponential one takes less time for its length, about.

    It is the count of operations that decides, not the clock: a run is the same on every machine.

    Args:
        loss: L(θ).

    Returns:
        The number; infinite where there is no exponential step for the loss.
    """
    try:
        fit = _fit(loss)
    except ValueError:
        return math.inf
    rows, parameters = _shape(fit)
    with FlopCounterMode(display=False) as counter:
        value_and_gradient(fit, fit.initial)
    algebra = rows**2 * parameters * PRODUCT + rows**3 * EIGENMODES
    return (_gradients(fit) + algebra / max(counter.get_total_flops(), OVERHEAD)) / LONGER


def _fit(loss: Loss) -> FlatLoss:
    """The loss, if it has exponential steps."""
    if not isinstance(loss, FlatLoss):
        raise ValueError(f"`loss` must be a FlatLoss for the method 'etd'; it is a {type(loss).__name__}.")
    rows, parameters = _shape(loss)
    size = 8 * rows * (parameters + rows)
    if size > MEMORY:
        raise ValueError(
            f"`method` must not be 'etd' for {rows:,} outputs of all samples and {parameters:,} weights: its matrices "
            f"would take {size / 2**30:.1f} GiB, more than {MEMORY / 2**30:g}."
        )
    check_separable(loss)
    return loss


def _shape(loss: FlatLoss) -> tuple[int, int]:
    """Rows and columns of the Jacobian."""
    return loss.targets.shape[0] * _outputs(loss), loss.initial.numel()


def _outputs(loss: FlatLoss) -> int:
    """How many outputs a sample has."""
    with torch.no_grad():
        return loss.outputs(loss.initial, take(loss.inputs, slice(1))).numel()


def _gradients(loss: FlatLoss) -> int:
    """Gradients of an exponential step, one for each output and four."""
    return _outputs(loss) + etd.GRADIENTS


def step(
    force: Force, theta0: Flat, state: FlowState, *, end: float, rtol: float
) -> tuple[FlowState, ExponentialPath] | None:
    """One accepted exponential step, at most to the time ``end``.

    Args:
        force: −∇L of a loss that `worth` has let through; the Jacobian counts as o evaluations.
        theta0: θ_0.
        state: where the step begins.
        end: the time not to be passed [time].
        rtol: the tolerance: the error is measured against the distance travelled.

    Returns:
        The state after the step and the path between; None if all tries were too rough.
    """
    assert isinstance(force.loss, FlatLoss)
    origin = theta0 + state.displacement
    rows = jacobian(force.loss, origin.to(theta0.dtype))
    force.evaluations += len(rows) // len(force.loss.targets)
    modes = Modes.of(rows)
    steepest = float(modes.eigenvalues[-1])
    size, rounding = state.size, torch.finfo(theta0.dtype).eps
    rejections = 0
    while rejections < TRIES:
        last = state.time + size >= end * (1 - 1e-12)
        size = end - state.time if last else size
        stages = etd.step(force, origin, state.force, modes, size)
        following, value = state.displacement + stages.change, float(force.value)
        error = float(torch.linalg.vector_norm(stages.estimate) / torch.linalg.vector_norm(following))
        error /= TOLERANCE * rtol
        if not math.isfinite(error) or not falls(value, state, rtol, rounding):
            size *= 0.1
        elif error > 1:
            size *= min(0.7, max(0.1, 0.8 * error ** (-1 / ORDER)))
        else:
            break
        rejections += 1
    else:
        return None
    path = ExponentialPath(state.time, size, state.displacement, state.force, stages, modes)
    length, dissipated = path.travelled()
    return dataclasses.replace(
        state,
        time=end if last else state.time + size,
        displacement=following,
        loss=value,
        force=stages.final,
        radius=steepest,
        radius_age=HOLD,
        size=size * growth(error, 0.0, size, size, order=ORDER),
        last_error=0.0,
        last_size=size,
        arc_length=state.arc_length + length,
        path_dissipation=state.path_dissipation + dissipated,
        gradient_evaluations=state.gradient_evaluations + force.evaluations,
        steps=state.steps + 1,
        rejections=state.rejections + rejections,
        exponential=state.exponential + 1,
    ), path
