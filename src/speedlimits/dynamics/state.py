"""Where an integrator stands on its path: enough to go on, bit for bit, and to write one record."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from speedlimits.dynamics.flat import Flat
from speedlimits.trajectory import Trajectory, distances_squared

Scalar = Float64[Tensor, ""]


@dataclass(frozen=True, kw_only=True)
class State:
    """One point of a path through weight space, with what the path has added up so far.

    The integrators move the displacement y = θ − θ_0 in float64, whatever the model computes in: |y|² then keeps
    its digits even where single steps are smaller than the rounding of θ. The sums stay on the device, so that a
    step costs no transfer to the host.

    Args:
        step: number of steps taken.
        time: t since the start [time].
        displacement: y = θ_t − θ_0, float64.
        loss: L(θ_t), 0-d float64 [loss].
        initial_loss: L(θ_0), 0-d float64 [loss].
        gradient: ∇L(θ_t), in the model's dtype.
        arc_length: Σ|δ| so far, 0-d float64.
        path_dissipation: Σ|δ|²/Δt so far, 0-d float64 [loss].
        gradient_evaluations: gradients spent so far.
    """

    step: int
    time: float
    displacement: Float64[Tensor, " parameters"]
    loss: Scalar
    initial_loss: Scalar
    gradient: Flat
    arc_length: Scalar
    path_dissipation: Scalar
    gradient_evaluations: int

    def record(self) -> dict[str, float]:
        """This point as one row of a trajectory: the only place where numbers come to the host."""
        return {
            "time": self.time,
            "loss": float(self.loss),
            "gradient_norm_squared": float(torch.linalg.vector_norm(self.gradient, dtype=torch.float64)) ** 2,
            "arc_length": float(self.arc_length),
            "w2_squared": float(self.displacement.dot(self.displacement)),
            "path_dissipation": float(self.path_dissipation),
            "gradient_evaluations": self.gradient_evaluations,
        }


def at(theta0: Flat, displacement: Float64[Tensor, " parameters"]) -> Flat:
    """θ = θ_0 + y, in the model's dtype."""
    return (theta0 + displacement).to(theta0.dtype)


def collect(states: Iterable[State]) -> Trajectory:
    """Run through the states of a path and keep each as a record, and its weights as a snapshot.

    Args:
        states: from an integrator, the start first.

    Returns:
        The trajectory. Every record is a snapshot: choose few records for large models.
    """
    rows, snapshots = [], []
    for state in states:
        rows.append(state.record())
        snapshots.append(state.displacement.cpu().numpy())
    return Trajectory.from_records(rows, range(len(rows)), distances_squared(snapshots))
