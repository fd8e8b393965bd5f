"""Where a gradient flow stands after a step, and the points of its path between two such states."""

from dataclasses import dataclass

from jaxtyping import Float64
from torch import Tensor

from speedlimits.dynamics.flow.segment import Path
from speedlimits.dynamics.state import Displacement, Point

Vector = Float64[Tensor, " parameters"]


@dataclass(frozen=True, kw_only=True)
class FlowState:
    """Where the flow stands, at the end of an accepted step.

    Args:
        time: t since the start [time].
        displacement: y = θ_t − θ_0.
        loss: L(θ_t) [loss].
        initial_loss: L(θ_0) [loss].
        force: −∇L(θ_t), in float64.
        direction: last direction of the power iteration for the spectral radius.
        radius: spectral radius of the Hessian, estimated [1/time].
        radius_age: steps since that estimate.
        size: the next step [time].
        last_error: error of the last step, over its tolerance; 0 where the controller shall not look back.
        last_size: the last step [time].
        arc_length: of the path so far.
        path_dissipation: ∫|v|²dt so far [loss].
        gradient_evaluations: gradients so far, those of the power iteration included.
        steps: accepted so far.
        rejections: steps tried in vain so far.
        kinks: steps accepted above the tolerance, at kinks of the loss.
        exponential: exponential steps among those accepted.
        worth: stages of a step from which on an exponential one is cheaper; infinite where there is none.
        held: steps before the next exponential one is tried, after one that failed.
    """

    time: float
    displacement: Displacement
    loss: float
    initial_loss: float
    force: Vector
    direction: Vector
    radius: float
    radius_age: int
    size: float
    last_error: float
    last_size: float
    arc_length: float
    path_dissipation: float
    gradient_evaluations: int
    steps: int
    rejections: int
    kinks: int
    exponential: int
    worth: float
    held: int

    def point(self) -> Point:
        """This state as a point of the path."""
        like = self.displacement
        return Point(
            time=self.time,
            displacement=self.displacement,
            loss=like.new_tensor(self.loss),
            gradient_norm_squared=self.force.dot(self.force),
            arc_length=like.new_tensor(self.arc_length),
            path_dissipation=like.new_tensor(self.path_dissipation),
            averaged_dissipation=like.new_tensor(self.path_dissipation),
            gradient_evaluations=self.gradient_evaluations,
        )


def between(before: FlowState, after: FlowState, segment: Path, time: float) -> Point:
    """The path at a time within a step: dense output, at no further gradient.

    Args:
        before: the state at the step's start.
        after: at its end.
        segment: the path between.
        time: when.

    Returns:
        The point.
    """
    if time == after.time:
        return after.point()
    u = (time - segment.time) / segment.size
    like = after.displacement
    first, last = (-segment.size * float(state.force.dot(state.force)) for state in (before, after))
    length, dissipated = segment.travelled(u)
    dissipation = like.new_tensor(before.path_dissipation + dissipated)
    return Point(
        time=time,
        displacement=segment.position(u),
        loss=like.new_tensor(segment.loss(u, dissipated, (before.loss, after.loss), (first, last))),
        gradient_norm_squared=like.new_tensor(segment.speed_squared(u)),
        arc_length=like.new_tensor(before.arc_length + length),
        path_dissipation=dissipation,
        averaged_dissipation=dissipation,
        gradient_evaluations=after.gradient_evaluations,
    )


def falls(value: float, state: FlowState, rtol: float, rounding: float) -> bool:
    """Whether the loss falls to this value, or rises by no more than the tolerance and its own rounding hide."""
    return value - state.loss <= rtol * (state.initial_loss - state.loss) + 4 * rounding * abs(state.loss)
