"""What integrators share: points to record, states that outlive the process, and the collected trajectory."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from speedlimits._distances import distances_squared
from speedlimits.dynamics.loss import Flat
from speedlimits.trajectory import Trajectory

Scalar = Float64[Tensor, ""]
Displacement = Float64[Tensor, " parameters"]
State = TypeVar("State")


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point of a path through weight space, with what the path has added up so far.

    Integrators move the displacement y = θ − θ_0 in float64, whatever the model computes in: |y|² then keeps its
    digits even where single steps are smaller than the rounding of θ.

    Args:
        time: t since the start [time].
        displacement: y = θ_t − θ_0.
        loss: L(θ_t) [loss].
        gradient_norm_squared: |∇L(θ_t)|² [loss/time].
        arc_length: length of the path so far.
        path_dissipation: ∫|v|²dt, or its exact discrete form, so far [loss].
        gradient_evaluations: gradients spent so far.
        averaged_dissipation: that of the path through the midpoints of the steps [loss]; the same for a flow.
    """

    time: float
    displacement: Displacement
    loss: Scalar
    gradient_norm_squared: Scalar
    arc_length: Scalar
    path_dissipation: Scalar
    gradient_evaluations: int
    averaged_dissipation: Scalar

    def record(self) -> dict[str, float]:
        """This point as one row of a trajectory: here its numbers come to the host."""
        scalars = ("loss", "gradient_norm_squared", "arc_length", "path_dissipation", "averaged_dissipation")
        return {
            "time": self.time,
            **{name: float(getattr(self, name)) for name in scalars},
            "w2_squared": float(self.displacement.dot(self.displacement)),
            "gradient_evaluations": self.gradient_evaluations,
        }


def at(theta0: Flat, displacement: Displacement) -> Flat:
    """θ = θ_0 + y, in the model's dtype."""
    return (theta0 + displacement).to(theta0.dtype)


def collect(points: Iterable[Point]) -> Trajectory:
    """Walk along a path and keep each point as a record, and its weights as a snapshot.

    Args:
        points: from an integrator, the start first.

    Returns:
        The trajectory. Every record is a snapshot: choose few records for large models.
    """
    rows, snapshots = [], []
    for point in points:
        rows.append(point.record())
        snapshots.append(point.displacement.cpu().numpy())
    return Trajectory.from_records(rows, range(len(rows)), distances_squared(snapshots))


def to_arrays(state: Any) -> dict[str, np.ndarray]:
    """An integrator's state as arrays, exactly.

    Args:
        state: a dataclass of tensors, integers and floats.

    Returns:
        An array of at least one dimension for each field.
    """
    values = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    return {
        name: np.atleast_1d(value.cpu().numpy() if isinstance(value, Tensor) else np.array(value))
        for name, value in values.items()
    }


def from_arrays(like: State, arrays: dict[str, np.ndarray]) -> State:
    """The state that `to_arrays` was given.

    Args:
        like: a state of the same integrator and problem: its fields' kinds, shapes and device are taken.
        arrays: from `to_arrays`.

    Returns:
        The state.
    """
    fields: dict[str, Any] = {}
    for name, array in arrays.items():
        pattern = getattr(like, name)
        if isinstance(pattern, Tensor):
            fields[name] = torch.from_numpy(array.copy()).to(pattern.device).reshape(pattern.shape)
        else:
            fields[name] = type(pattern)(array[0].item())
    return dataclasses.replace(like, **fields)  # type: ignore[type-var]
